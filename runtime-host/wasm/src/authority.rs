//! Calls of the component with the role `authority`: the contract between it and the
//! policy. The threads that make the calls are in [`pool`].

mod instance;
mod pool;

pub use super::calls::{CallError, Identity, Refusal};
pub use instance::Caller;
pub use pool::AuthorityPool;

/// What a connection presents to log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// The public id of the app that the connection names.
    pub app: Option<String>,
    /// A bare user id.
    pub user: Option<String>,
    /// A JSON Web Token.
    pub token: Option<String>,
}

/// A question for the authority.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// Who is this?
    LogIn(Credential),
    /// Which rooms does `who` hear? One page, from the cursor on.
    Rooms(Identity, Option<String>),
    /// May `who` hear this room, which it names itself?
    MayJoin(Identity, String),
    /// May `who` publish in this room?
    MayPublish(Identity, String),
    /// May `who` see the presence of this user?
    MaySee(Identity, String),
    /// Whose management key is this?
    TenantOfKey(String),
    /// Does this tenant have this room?
    HasRoom(String, String),
    /// Which policies did this tenant upload?
    PoliciesOf(String),
}

/// What the authority answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::LogIn`]: who, and when the login ends (seconds since the epoch).
    Login(Identity, Option<u64>),
    /// To [`Question::Rooms`]: the rooms, and the cursor of the next page.
    Rooms(Vec<String>, Option<String>),
    /// To [`Question::MayJoin`], [`Question::MayPublish`] and [`Question::HasRoom`].
    Yes,
    /// To [`Question::MaySee`]: rooms that both are members of; none where it is oneself.
    Shared(Vec<String>),
    /// To [`Question::TenantOfKey`].
    Tenant(String),
    /// To [`Question::PoliciesOf`].
    Policies(Policies),
    /// To any question.
    No(Refusal),
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
