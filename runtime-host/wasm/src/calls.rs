//! What calls of the authority and of tenants' policies share: who is asked about, what
//! a call may read, and how it can fail.

use bytes::Bytes;
use std::sync::Arc;

/// A session's authenticated identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The tenant's public id (`app_…`).
    pub tenant: String,
    /// The user's id (`user_…`).
    pub user: String,
}

/// A reasoned no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
}

/// Why a call gave no answer. Such a refusal is never kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The component trapped or gave an answer that is none.
    #[error("the component failed: {0}")]
    Failed(String),
    /// It computed longer than a call may.
    #[error("the component took too long")]
    TimedOut,
    /// It met a limit.
    #[error("the component met a limit: {0}")]
    Limit(String),
    /// The store failed under the call.
    #[error("the component could not read the store: {0}")]
    Store(String),
    /// Too many calls wait already.
    #[error("too many calls wait for the component")]
    Overloaded,
    /// The tenant's policy failed too often, or has used up its share of the processor.
    #[error("the policy is suspended: {0}")]
    Suspended(&'static str),
}

/// What a decision can ask about the connection that it is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// The peer's address.
    RemoteAddress,
    /// A header of the handshake.
    Header(&'a str),
    /// A claim of the token, as JSON.
    Claim(&'a str),
}

/// What a call reads the world through: every read is noted by the implementer.
/// Runs on a thread that may block.
pub trait Reads: Send + 'static {
    /// The values of `keys`, in their order.
    ///
    /// # Errors
    /// Where the store fails, or one decision has read as much as it may.
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError>;

    /// Seconds since the Unix epoch, the same throughout a call. Not noted by itself.
    fn time(&self) -> u64;

    /// Notes that the component was told the time.
    fn note_time(&mut self);

    /// The payload that is about to be published; empty where there is none.
    fn payload(&mut self) -> Arc<str>;

    /// An attribute of the connection.
    fn attribute(&mut self, attribute: Attribute<'_>) -> Option<String>;
}

/// Why a read failed.
#[derive(Debug, Clone)]
pub enum ReadError {
    /// The store failed.
    Store(String),
    /// More keys or bytes than one decision may read.
    Limit,
}

/// Takes the place of reads that were given back, or whose thread is gone.
pub(super) struct NoReads;

impl Reads for NoReads {
    fn get_many(&mut self, _: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        Err(ReadError::Store("no call is under way".to_owned()))
    }

    fn time(&self) -> u64 {
        0
    }

    fn note_time(&mut self) {}

    fn payload(&mut self) -> Arc<str> {
        Arc::default()
    }

    fn attribute(&mut self, _: Attribute<'_>) -> Option<String> {
        None
    }
}

/// The longest text of an error, in bytes: names that a component gives its functions and
/// imports stand in it, and they can be as long as one likes.
const TEXT_LIMIT: usize = 1_024;

/// What became of a call that ended in this error.
pub(super) fn failed(error: &wasmtime::Error) -> CallError {
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => CallError::TimedOut,
        _ => {
            // What happened comes before where, which may be long.
            let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
            let text: Vec<&str> = chain.iter().rev().map(String::as_str).collect();
            CallError::Failed(one_line(text.join(": ")))
        }
    }
}

/// The text in one line of bounded length and without control characters.
pub(super) fn one_line(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let mut line = String::new();
    for word in text.split(|it: char| it.is_whitespace() || it.is_control()) {
        let gap = usize::from(!line.is_empty() && !word.is_empty());
        line.push_str(&" "[..gap]);
        line.push_str(word);
        if line.len() > TEXT_LIMIT {
            let end = line.floor_char_boundary(TEXT_LIMIT - '…'.len_utf8());
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}
