//! Calls of the component with the role `authority`: the contract between it and the
//! policy. The threads that make the calls are in [`pool`].

mod instance;
mod pool;
mod settings;

use std::sync::Arc;

pub use super::calls::{CallError, Identity, Refusal};
pub use instance::Caller;
pub use pool::AuthorityPool;

/// What a connection presents to log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// The public id of the app that the connection names.
    pub app: Option<String>,
    /// The public id of the app that is meant where neither the connection nor the token names one.
    pub fallback_app: Option<String>,
    /// A bare user id.
    pub user: Option<String>,
    /// A JSON Web Token.
    pub token: Option<String>,
}

/// A token that lets its user hear one room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pass {
    /// The token.
    pub token: Arc<str>,
    /// The id of the connection that presents it.
    pub client: Arc<str>,
}

/// An accepted login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub who: Identity,
    /// When it ends, in seconds since the epoch.
    pub expires: Option<u64>,
    /// What others are shown of the user: JSON.
    pub info: Option<String>,
    /// Rooms that the token names.
    pub channels: Vec<String>,
    /// What its session is held to.
    pub limits: Limits,
}

/// What a tenant holds its sessions to. What is absent is the host's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Rooms that a session may name.
    pub channels: Option<u32>,
    /// Bytes of a message.
    pub message_size: Option<u32>,
    /// Bytes that may wait for a session.
    pub queue_size: Option<u32>,
    /// Bytes of a room's name.
    pub channel_length: Option<u32>,
    /// Commands of a session in a second, on average.
    pub commands_per_second: Option<u32>,
}

/// What holds in a room. What is absent is the host's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Bytes of a message.
    pub message_size: Option<u32>,
    /// Publications that are kept; 0 for none.
    pub history_size: Option<u32>,
    /// Seconds until a publication is gone; 0 for none.
    pub history_age: Option<u32>,
}

/// A server that tells a tenant's public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyServer {
    /// Where.
    pub url: String,
    /// The key of the state at which what it told is kept.
    pub keep_at: String,
}

/// A question for the authority.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// Who is this?
    LogIn(Credential),
    /// Which rooms does `who` hear? One page, from the cursor on.
    Rooms(Identity, Option<String>),
    /// May `who` hear this room, which it or its token names, and by this pass?
    MayJoin(Identity, String, Option<Pass>),
    /// May `who` publish in this room?
    MayPublish(Identity, String),
    /// May `who` see the presence of this user?
    MaySee(Identity, String),
    /// Whose management key is this?
    TenantOfKey(String),
    /// Does this tenant have this room?
    HasRoom(String, String),
    /// What holds in this tenant's room?
    TermsOf(String, String),
    /// Where are this tenant's public keys told?
    KeysOf(String),
    /// What does this tenant's backend want to be told?
    EventsOf(String),
    /// Which policies did this tenant upload?
    PoliciesOf(String),
}

/// What the authority answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::LogIn`].
    Login(Box<Login>),
    /// To [`Question::Rooms`]: the rooms, and the cursor of the next page.
    Rooms(Vec<String>, Option<String>),
    /// To [`Question::MayJoin`]: when that ends (seconds since the epoch).
    Joined(Option<u64>),
    /// To [`Question::MayPublish`] and [`Question::HasRoom`].
    Yes,
    /// To [`Question::TermsOf`].
    Terms(Terms),
    /// To [`Question::KeysOf`].
    KeyServer(KeyServer),
    /// To [`Question::EventsOf`].
    Events(EventSettings),
    /// To [`Question::MaySee`]: rooms that both are members of; none where it is oneself.
    Shared(Vec<String>),
    /// To [`Question::TenantOfKey`].
    Tenant(String),
    /// To [`Question::PoliciesOf`].
    Policies(Policies),
    /// To any question.
    No(Refusal),
}

/// Something that a tenant's backend can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "see the type of that name in wit/types.wit")]
pub enum EventKind {
    Connect,
    Disconnect,
    Join,
    Leave,
    Occupied,
    Vacated,
    Published,
}

/// What a tenant's backend wants to be told.
#[derive(Clone, PartialEq, Eq)]
pub struct EventSettings {
    /// Of what.
    pub kinds: Vec<EventKind>,
    /// Where it is posted to, if anywhere.
    pub url: Option<String>,
    /// What signs it.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for EventSettings {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSettings")
            .field("kinds", &self.kinds)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// What a tenant uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// Asked after the system's rules agreed.
    pub active: Option<StoredPolicy>,
    /// Runs beside the active one; its verdicts are compared and never used.
    pub candidate: Option<StoredPolicy>,
    /// The key of the policy's configuration.
    pub configuration: String,
}

/// An uploaded component, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// SHA-256 of the bytes, 64 lower-case hex digits.
    pub digest: String,
    /// The keys whose values, joined in this order, are the bytes.
    pub chunks: Vec<String>,
}
