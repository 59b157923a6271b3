//! What can happen to two tenants, and what can be asked about them.

use super::{Court, bare, bytes};
use proptest::prelude::*;
use proptest::sample::select;
use sschat::policy::trace::{Connection, Occasion};
use sschat_domain::membership::{self, Pair};
use sschat_domain::record::{Role, Rule};
use sschat_domain::upload::Upload;
use sschat_domain::{ApiKey, AppId, RoomId, UserId, Write, key, policy, removal, tenant};
use sschat_wasm::authority::{Identity, Question};
use std::cell::Cell;
use std::sync::Arc;

/// Users and rooms of each tenant that are spoken of.
pub(crate) const NAMES: usize = 2;

/// Configurations, most of which order the guest that misbehaves on command.
const CONFIGURATIONS: [&str; 15] = [
    "allow",
    "deny",
    "rewrite",
    "payload",
    "configuration",
    "no JSON {",
    r#"{"mode":"deny","hook":"any"}"#,
    r#"{"mode":"header","hook":"any"}"#,
    r#"{"mode":"state","hook":"any"}"#,
    r#"{"mode":"state","hook":"join","key":"policy"}"#,
    r#"{"mode":"static","hook":"publish"}"#,
    r#"{"mode":"count","hook":"presence"}"#,
    r#"{"mode":"mute","hook":"login"}"#,
    r#"{"mode":"deny","hook":"login"}"#,
    r#"{"mode":"probe"}"#,
];

/// Something that happens to a tenant.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    CreateUser(usize),
    DeleteUser(usize),
    CreateRoom(usize),
    DeleteRoom(usize),
    Member {
        room: usize,
        user: usize,
        add: bool,
    },
    Choose(Rule),
    Configure(&'static str),
    Unconfigure,
    Upload(Role, Uploaded),
    DropCandidate,
    Promote,
    Reset,
    Flag(bool),
    /// Something writes what no component would.
    Spoil(usize, &'static str),
    Unregister,
    Sweep,
}

/// Which component is uploaded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Uploaded {
    Guest,
    Plain,
}

/// Steps and the tenant that each happens to.
pub(crate) fn step() -> impl Strategy<Value = (usize, Step)> {
    let name = || 0..NAMES;
    let role = select(vec![Role::Active, Role::Active, Role::Candidate]);
    let uploaded = select(vec![Uploaded::Guest, Uploaded::Guest, Uploaded::Plain]);
    let spoiled = select(vec![r#"{"v":2}"#, "no record", ""]);
    let step = prop_oneof![
        2 => name().prop_map(Step::CreateUser),
        1 => name().prop_map(Step::DeleteUser),
        2 => name().prop_map(Step::CreateRoom),
        1 => name().prop_map(Step::DeleteRoom),
        8 => (name(), name(), any::<bool>())
            .prop_map(|(room, user, add)| Step::Member { room, user, add }),
        2 => select(vec![Rule::Open, Rule::Members]).prop_map(Step::Choose),
        8 => select(CONFIGURATIONS.to_vec()).prop_map(Step::Configure),
        1 => Just(Step::Unconfigure),
        4 => (role, uploaded).prop_map(|(role, which)| Step::Upload(role, which)),
        1 => Just(Step::DropCandidate),
        1 => Just(Step::Promote),
        1 => Just(Step::Reset),
        4 => any::<bool>().prop_map(Step::Flag),
        1 => (0_usize..6, spoiled).prop_map(|(which, value)| Step::Spoil(which, value)),
        1 => Just(Step::Sweep),
    ];
    let rarely = prop_oneof![60 => step, 1 => Just(Step::Unregister)];
    (0_usize..2, rarely)
}

/// A tenant as the questions name it.
pub(crate) struct Town {
    pub(crate) id: AppId,
    pub(crate) key: ApiKey,
    pub(crate) users: [UserId; NAMES],
    pub(crate) rooms: [RoomId; NAMES],
}

impl Town {
    /// Registered, with all of its users and rooms.
    pub(crate) async fn found(court: &Court, ids: &Ids) -> Self {
        let (id, key) = court.register(ids.next()).await;
        let town = Self {
            id,
            key,
            users: [0; NAMES].map(|_| UserId::from_random(bytes(ids.next()))),
            rooms: [0; NAMES].map(|_| RoomId::from_random(bytes(ids.next()))),
        };
        for user in town.users {
            tenant::create_user(&court.records, id, user).await.unwrap();
        }
        for room in town.rooms {
            tenant::create_room(&court.records, id, room).await.unwrap();
        }
        town
    }

    fn pair(&self, room: usize, user: usize) -> Pair {
        Pair {
            tenant: self.id,
            room: self.rooms[room],
            user: self.users[user],
        }
    }

    /// Takes the step. It may fail, for instance over a record that was spoiled: what
    /// counts is what is stored then.
    pub(crate) async fn take(&mut self, court: &Court, step: &Step, ids: &Ids) {
        let (records, id) = (&court.records, self.id);
        match *step {
            Step::CreateUser(name) => {
                self.users[name] = UserId::from_random(bytes(ids.next()));
                drop(tenant::create_user(records, id, self.users[name]).await);
            }
            Step::DeleteUser(name) => {
                drop(removal::remove_user(records, id, self.users[name]).await);
            }
            Step::CreateRoom(name) => {
                self.rooms[name] = RoomId::from_random(bytes(ids.next()));
                drop(tenant::create_room(records, id, self.rooms[name]).await);
            }
            Step::DeleteRoom(name) => {
                drop(removal::remove_room(records, id, self.rooms[name]).await);
            }
            Step::Member { room, user, add } => {
                let pair = self.pair(room, user);
                if add {
                    drop(membership::add(records, pair).await);
                } else {
                    drop(membership::remove(records, pair).await);
                }
            }
            Step::Unregister => drop(removal::remove_tenant(records, &self.key).await),
            Step::Sweep => drop(removal::sweep(records).await),
            _ => self.choose(court, step).await,
        }
    }

    /// Takes a step that is about the tenant's policy.
    async fn choose(&self, court: &Court, step: &Step) {
        let (records, id) = (&court.records, self.id);
        match *step {
            Step::Choose(rule) => drop(policy::set_rule(records, id, rule).await),
            Step::Configure(text) => {
                drop(policy::set_config(records, id, text.into()).await);
            }
            Step::Unconfigure => drop(policy::delete_config(records, id).await),
            Step::Upload(role, which) => upload(court, id, role, which).await,
            Step::DropCandidate => drop(policy::drop_candidate(records, id).await),
            Step::Promote => drop(policy::promote(records, id).await),
            Step::Reset => drop(policy::reset(records, id).await),
            Step::Flag(true) => records.set(&flag(id), vec![1]).await.unwrap(),
            Step::Flag(false) => records.delete(&flag(id)).await.unwrap(),
            Step::Spoil(which, value) => {
                let keys = [
                    key::app(id),
                    key::policy(id),
                    key::active_policy(id),
                    key::user(id, self.users[0]),
                    key::room(id, self.rooms[0]),
                    key::member(id, self.rooms[0], self.users[0]),
                ];
                records.set(&keys[which], value.into()).await.unwrap();
            }
            _ => unreachable!("taken already"),
        }
    }

    /// Everything that can be asked about the tenant, each for one occasion.
    pub(crate) fn questions(&self, other: &Self) -> Vec<(Question, Occasion)> {
        let plain = Occasion::default;
        let polite = || Occasion {
            connection: Some(connection()),
            payload: Some("\"please\"".into()),
        };
        let terse = || Occasion {
            connection: None,
            payload: Some("\"now\"".into()),
        };
        let mut all = vec![
            (Question::TenantOfKey(self.key.to_string()), plain()),
            (Question::PoliciesOf(self.id.to_string()), plain()),
        ];
        for room in self.rooms.iter().chain(&other.rooms[..1]) {
            let question = Question::HasRoom(self.id.to_string(), room.to_string());
            all.push((question, plain()));
        }
        for user in self.users {
            let who = self.identity(user);
            all.push((Question::LogIn(bare(user)), plain()));
            all.push((Question::LogIn(bare(user)), polite()));
            all.push((Question::Rooms(who.clone(), None), polite()));
            for seen in self.users.iter().chain(&other.users[..1]) {
                let question = Question::MaySee(who.clone(), seen.to_string());
                all.push((question, plain()));
            }
            for room in self.rooms.iter().chain(&other.rooms[..1]) {
                let room = room.to_string();
                let join = Question::MayJoin(who.clone(), room.clone(), None);
                let publish = Question::MayPublish(who.clone(), room);
                all.push((join, polite()));
                all.push((publish.clone(), polite()));
                all.push((publish, terse()));
            }
        }
        all
    }

    pub(crate) fn identity(&self, user: UserId) -> Identity {
        Identity {
            tenant: self.id.to_string(),
            user: user.to_string(),
        }
    }
}

fn flag(tenant: AppId) -> String {
    format!("{tenant}/flag")
}

/// Numbers that were not given out before.
#[derive(Default)]
pub(crate) struct Ids(Cell<u64>);

impl Ids {
    pub(crate) fn next(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
}

/// The connection of every session.
pub(crate) fn connection() -> Arc<Connection> {
    Arc::new(Connection {
        remote: None,
        headers: Box::new([("x-pass".into(), "yes".into())]),
        token: None,
    })
}

/// Puts a component into its place, as the REST component does.
pub(crate) async fn upload(court: &Court, id: AppId, role: Role, which: Uploaded) {
    let bytes = match which {
        Uploaded::Guest => crate::policy::guest(),
        Uploaded::Plain => sschat_guest_policies::policy("allow"),
    };
    if let Ok(Some(mut upload)) = Upload::begin(&court.records, id, role).await {
        drop(upload.write(&bytes).await);
        drop(upload.finish().await);
    }
}
