//! Calls of the component with the role `authority`: the contract between it and the
//! policy. The threads that make the calls are in [`pool`].

mod instance;
mod pool;

pub use pool::AuthorityPool;

use bytes::Bytes;

/// A session's authenticated identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The tenant's public id (`app_…`).
    pub tenant: String,
    /// The user's id (`user_…`).
    pub user: String,
}

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
    /// May `who` publish in this room?
    MayPublish(Identity, String),
    /// May `who` see the presence of this user?
    MaySee(Identity, String),
}

/// A reasoned no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
}

/// What the authority answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::LogIn`]: who, and when the login ends (seconds since the epoch).
    Login(Identity, Option<u64>),
    /// To [`Question::Rooms`]: the rooms, and the cursor of the next page.
    Rooms(Vec<String>, Option<String>),
    /// To [`Question::MayPublish`] and [`Question::MaySee`].
    Yes,
    /// To any question.
    No(Refusal),
}

/// Why a call gave no answer. Such a refusal is never kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The component trapped, ran out of time or met a limit.
    #[error("the authority failed: {0}")]
    Failed(String),
    /// The store failed under the call.
    #[error("the authority could not read the store: {0}")]
    Store(String),
    /// Too many calls wait already.
    #[error("the authority is overloaded")]
    Overloaded,
}

/// What a call reads the world through: every read is noted by the implementer.
/// Runs on a thread that may block.
pub trait Reads: Send + 'static {
    /// The values of `keys`, in their order.
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError>;
    /// Seconds since the Unix epoch.
    fn now(&mut self) -> u64;
}

/// Why a read failed.
#[derive(Debug, Clone)]
pub enum ReadError {
    /// The store failed.
    Store(String),
    /// More keys or bytes than one decision may read.
    Limit,
}
