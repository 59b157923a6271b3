//! A policy that is hostile or odd on command: the name of a mode makes the call
//! misbehave, or tell what it sees, in that way.
//!
//! The name is the id of the room, or else of the user, so that a test that calls
//! the hooks itself says it in the arguments. A test that has real ids says it in the
//! configuration, which is the name of a mode or an object:
//!
//! ```json
//! {"mode": "header", "hook": "publish", "only": "room_…", "header": "x-pass"}
//! ```
//!
//! `hook` is `login`, `join`, `publish` (where it says nothing), `presence` or `any`;
//! `only` is the one user or room to misbehave for; the rest are settings of the mode.
//! Whatever is not named so is allowed. The modes are listed in `faults.rs` (those that
//! a limit has to end), `sights.rs` (what a policy can see) and `answers.rs` (odd answers);
//! what clients may call, in `calls.rs`.

// What it calls are functions that the bindings generate.
#![allow(missing_docs, unsafe_code, reason = "generated bindings")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "sschat:policy/policy-with-calls",
});

mod answers;
mod calls;
mod faults;
mod order;
mod sights;

use answers::Answer;
use exports::sschat::policy::calls::{Guest as Calls, Refusal};
use exports::sschat::policy::hooks;
use hooks::{Decision, Guest, Identity, LoginDecision, PublishDecision};
use order::{Hook, Order};

struct Hostile;

impl Guest for Hostile {
    fn on_login(who: Identity) -> LoginDecision {
        obey(&Order::of(Hook::Login, &who, &who.user)).into()
    }

    fn on_join(who: Identity, rooms: Vec<String>) -> Vec<Decision> {
        each(Hook::Join, &who, &rooms)
    }

    fn on_publish(who: Identity, room: String) -> PublishDecision {
        obey(&Order::of(Hook::Publish, &who, &room)).into()
    }

    fn on_presence(who: Identity, rooms: Vec<String>) -> Vec<Decision> {
        each(Hook::Presence, &who, &rooms)
    }
}

impl Calls for Hostile {
    fn call(who: Identity, method: String, data: String) -> Result<String, Refusal> {
        calls::answer(&who, &method, &data)
    }
}

/// One decision a room, unless the order is to miscount.
fn each(hook: Hook, who: &Identity, rooms: &[String]) -> Vec<Decision> {
    let mut decisions = Vec::with_capacity(rooms.len());
    for room in rooms {
        let order = Order::of(hook, who, room);
        match order.mode() {
            "few" => return Vec::new(),
            "many" => return vec![Answer::allow().into(); 1 << 20],
            _ => decisions.push(obey(&order).into()),
        }
    }
    decisions
}

fn obey(order: &Order) -> Answer {
    let mode = order.mode();
    faults::commit(mode)
        .or_else(|| sights::tell(mode, order))
        .or_else(|| answers::give(mode, order))
        .unwrap_or_else(|| Answer::deny("unknown_mode", format!("nothing called {mode:?}")))
}

export!(Hostile);
