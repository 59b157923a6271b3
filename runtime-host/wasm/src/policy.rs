//! Calls of a tenant's own policy: hostile until proven otherwise.
//!
//! [`workshop`] turns uploaded bytes into a [`Loaded`] policy, compiling them in a child
//! process; [`pool`] calls policies on threads of their own, each tenant one call at a
//! time and within its share of the processor; [`instance`] makes one call in a fresh
//! instance. What a policy may read is given by [`crate::calls::Reads`], which notes it.

mod breaker;
mod inspect;
mod instance;
mod pool;
mod purpose;
mod rulings;
mod workshop;

pub use super::calls::{CallError, Identity, Refusal};
pub use instance::{BUDGET, Loaded};
pub use pool::{PolicyPool, Usage};
pub use purpose::Purpose;
pub use workshop::{CODE_LIMIT, COMPONENT_LIMIT, LoadError, Workshop, compile_in_child};

/// What a policy is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// May this user be let in, and how?
    Login(Identity),
    /// Which of these rooms may the user hear?
    Join(Identity, Vec<String>),
    /// May the user publish what is about to be published in this room?
    Publish(Identity, String),
    /// In which of these rooms may the user know who is online?
    Presence(Identity, Vec<String>),
    /// No decision: the user calls this method with this JSON text.
    Call(Identity, String, String),
}

impl Hook {
    /// Its name in the world.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Login(_) => "on-login",
            Self::Join(..) => "on-join",
            Self::Publish(..) => "on-publish",
            Self::Presence(..) => "on-presence",
            Self::Call(..) => "call",
        }
    }
}

/// What a policy answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The verdict, or verdicts.
    pub outcome: Outcome,
    /// The second of the Unix epoch from which on it has to be asked again.
    pub until: Option<u64>,
}

/// The verdict of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To [`Hook::Login`]: let in until then, if at all publishing.
    Login {
        /// When the login ends, in seconds since the Unix epoch.
        expires: Option<u64>,
        /// Whether the session may publish at all.
        may_publish: bool,
    },
    /// To [`Hook::Join`] and [`Hook::Presence`]: for each room in its order, why not.
    Each(Vec<Option<Refusal>>),
    /// To [`Hook::Publish`]: as it is.
    Allow,
    /// To [`Hook::Publish`]: with this payload in its place.
    Rewrite(String),
    /// To [`Hook::Call`]: what is to be JSON.
    Answer(String),
    /// To [`Hook::Login`], [`Hook::Publish`] and [`Hook::Call`].
    Deny(Refusal),
}
