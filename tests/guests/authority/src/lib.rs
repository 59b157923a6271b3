//! An authority that trusts everybody and fails on command: a user or room whose id
//! is the name of a fault makes the call about it fail that way.

#![allow(missing_docs, unsafe_code, reason = "generated bindings")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "authority",
});

use exports::sschat::policy::decisions::{
    Credential, EventSettings, Guest, Identity, Joined, KeyServer, Login, Pass, Policies, Refusal,
    RoomPage,
};

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// The rooms that everybody is a member of.
const ROOMS: [&str; 4] = ["calm", "trap", "loop", "memory"];

/// The tenant that everybody belongs to.
const TENANT: &str = "app_00000000000040008000000000000000";

struct Hostile;

impl Guest for Hostile {
    fn log_in(presented: Credential) -> Result<Login, Refusal> {
        let user = presented.user.unwrap_or_default();
        if user.starts_with("probe") {
            return Err(Refusal {
                code: "probed".to_owned(),
                reason: surroundings(),
            });
        }
        obey(&user);
        let tenant = TENANT.to_owned();
        Ok(Login {
            who: Identity { tenant, user },
            expires: None,
            info: None,
            channels: Vec::new(),
        })
    }

    fn rooms(_who: Identity, _cursor: Option<String>) -> Result<RoomPage, Refusal> {
        Ok(RoomPage {
            rooms: ROOMS.map(str::to_owned).to_vec(),
            next: None,
        })
    }

    fn may_join(_who: Identity, room: String, _pass: Option<Pass>) -> Result<Joined, Refusal> {
        obey(&room);
        Ok(Joined { expires: None })
    }

    fn keys_of(_tenant: String) -> Result<KeyServer, Refusal> {
        Err(Refusal {
            code: "no_key_server".to_owned(),
            reason: "There is none.".to_owned(),
        })
    }

    fn may_publish(_who: Identity, room: String) -> Result<(), Refusal> {
        obey(&room);
        Ok(())
    }

    fn may_see(_who: Identity, user: String) -> Result<Vec<String>, Refusal> {
        obey(&user);
        Ok(vec![ROOMS[0].to_owned()])
    }

    fn has_room(_tenant: String, _room: String) -> Result<(), Refusal> {
        Err(Refusal {
            code: "unknown_room".to_owned(),
            reason: "There is no such room.".to_owned(),
        })
    }

    fn tenant_of_key(_api_key: String) -> Result<String, Refusal> {
        Ok(TENANT.to_owned())
    }

    fn events_of(_tenant: String) -> Result<EventSettings, Refusal> {
        Err(Refusal {
            code: "no_events".to_owned(),
            reason: "There are none.".to_owned(),
        })
    }

    fn policies_of(tenant: String) -> Result<Policies, Refusal> {
        Ok(Policies {
            active: None,
            candidate: None,
            configuration: format!("{tenant}/policy/config"),
        })
    }
}

/// Everything that a program can see beside its arguments, in one line.
fn surroundings() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let random = RandomState::new().build_hasher().finish();
    let variables = std::env::vars().count();
    let arguments = std::env::args().count();
    let files = std::fs::read_dir("/").is_ok() || std::fs::read("/etc/hostname").is_ok();
    format!(
        "calls={calls} random={random} variables={variables} arguments={arguments} files={files}"
    )
}

fn obey(order: &str) {
    match order {
        "trap" => panic!("told to trap"),
        "loop" => loop {
            std::hint::black_box(order);
        },
        "memory" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            while held.len() < 1 << 12 {
                held.push(std::hint::black_box(vec![1; 1 << 20]));
            }
        }
        _ => {}
    }
}

export!(Hostile);
