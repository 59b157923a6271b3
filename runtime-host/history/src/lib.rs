//! The history of rooms: publications, offsets, epochs, recovery.
//!
//! This module owns the contract ([`History`]) and the values it speaks of. One file per
//! implementation stands beside it: [`durable`] keeps everything in a folder,
//! [`memory`] nothing beyond the process. Absent on purpose: who may publish or read
//! (policy), fan-out and presence (the broker), any wire format, and what a payload says.
//!
//! A channel is named by tenant and room. Its *epoch* is a random number, made when the
//! channel is made; its *offsets* count from 1. One that was removed and comes back has
//! another epoch.
//!
//! **Ordering.** Offsets of one epoch are handed out in ascending order, each once, ever;
//! reading gives publications in the order of offsets. After an unclean stop a channel
//! goes on [`UNSYNCED_LIMIT`] offsets further under the same epoch, for that many at most
//! were fanned out and lost. The gap stays visible: nobody recovers across it.
//!
//! **Durability.** [`History::publish`] does not wait for the disk. The [`CommitSink`] is
//! told of a publication when the commit group that holds it was flushed (`fdatasync`):
//! from then on it survives `kill -9` and a power cut. Where [`History::durable`] is
//! false, everything is gone with the process, and the answer says [`Ack::Now`].
//!
//! **Expiry.** A publication is gone as soon as it is outside of its channel's
//! [`Retention`], whether or not it still lies on the disk. The record of a channel (its
//! epoch and top) stays until the channel or its tenant is removed.
//!
//! **Recover or be told.** [`History::recover`] gives every publication after a position
//! up to the top, or says why it cannot.
//!
//! **Errors.** A publication is accepted or refused at once, and a refused one has no
//! offset and is not in the history. An accepted one that cannot be written because the
//! disk is full or failing stays queued and is written when the disk is well again;
//! meanwhile others are refused with [`PublishError::Failing`].

mod bounds;
pub mod durable;
mod engine;
pub mod memory;
mod record;
mod registry;
mod room;

pub use durable::{DurableHistory, OpenError, Options};
pub use memory::MemoryHistory;
pub use room::RoomLog;

use bytes::Bytes;
use futures::future::BoxFuture;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Publications of one channel that were handed out and are not yet on the disk, at
/// most; also by how much a channel's offset moves on after an unclean stop. As many as
/// the fastest channel publishes while a slow disk flushes, and small against 2^53, the
/// largest offset that clients in JavaScript can count to.
pub const UNSYNCED_LIMIT: u64 = 65_536;

/// The largest payload, in bytes: more than any frame that a socket accepts.
pub const PAYLOAD_LIMIT: usize = 4 << 20;

/// The longest tenant or room name, in bytes.
pub const NAME_LIMIT: usize = 1_024;

/// The longest user id, name of a connection or what its login says of it, idempotency key, or name or value of a tag, in
/// bytes.
pub const TEXT_LIMIT: usize = 1_024;

/// The most tags of one publication.
pub const TAGS_LIMIT: usize = 32;

/// Idempotency keys that a channel remembers at most; the oldest are forgotten first.
pub const KEYS_LIMIT: usize = 4_096;

/// How long an idempotency key is remembered.
pub const KEY_WINDOW: Duration = Duration::from_secs(5 * 60);

/// What a publication costs beside its bytes, for retention, quotas and queues.
pub const PUBLICATION_OVERHEAD: u64 = 96;

/// Which life of a channel an offset belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = std::num::ParseIntError;

    /// Reads what [`fmt::Display`] writes. Text of any other form names no epoch.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let epoch = Self(u64::from_str_radix(text, 16)?);
        if epoch.to_string() == text {
            return Ok(epoch);
        }
        // The one way to get such an error is to parse what is no number.
        "?".parse::<u64>().map(Self)
    }
}

/// A place in a channel: after the publication with this offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The life of the channel.
    pub epoch: Epoch,
    /// The last publication before this place; 0 before the first.
    pub offset: u64,
}

/// Names and values that go with a publication.
pub type Tags = Arc<[(Box<str>, Box<str>)]>;

/// The connection that says something, as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Its name.
    pub client: Arc<str>,
    /// What its login says of it: JSON.
    pub info: Option<Arc<str>>,
}

impl Speaker {
    fn cost(&self) -> usize {
        self.client.len() + self.info.as_ref().map_or(0, |info| info.len())
    }
}

/// What is to be published.
#[derive(Debug, Clone, Default)]
pub struct NewPublication {
    /// The message. Shared, never copied.
    pub payload: Bytes,
    /// Who said it, if a user did.
    pub from: Option<Arc<str>>,
    /// The connection that said it, if it has a name.
    pub by: Option<Arc<Speaker>>,
    /// A second publication with this key within [`KEY_WINDOW`] is the first one again.
    pub key: Option<Box<str>>,
    /// Tags, if any.
    pub tags: Option<Tags>,
}

/// A publication in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Its place in the channel.
    pub offset: u64,
    /// When it was accepted, in milliseconds since 1970; never before its predecessor.
    pub time: u64,
    /// The message.
    pub payload: Bytes,
    /// Who said it, if a user did.
    pub from: Option<Arc<str>>,
    /// The connection that said it, if it has a name.
    pub by: Option<Arc<Speaker>>,
    /// Tags, if any.
    pub tags: Option<Tags>,
}

impl Publication {
    /// What it counts for in retention, quotas and queues, in bytes.
    #[must_use]
    pub fn cost(&self) -> u64 {
        let tags = self.tags.iter().flat_map(|tags| tags.iter());
        let tags: usize = tags.map(|(name, value)| name.len() + value.len()).sum();
        let from = self.from.as_ref().map_or(0, |from| from.len());
        let by = self.by.as_ref().map_or(0, |by| by.cost());
        let bytes = self.payload.len() + from + by + tags;
        bytes as u64 + PUBLICATION_OVERHEAD
    }
}

/// How much of a channel is kept. Whatever is outside of any of the three is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Publications at most; 0 keeps offsets only.
    pub count: u32,
    /// Bytes at most, by [`Publication::cost`].
    pub bytes: u64,
    /// The age at which a publication is gone.
    pub age: Duration,
}

impl Retention {
    /// No history, only offsets.
    pub const NONE: Self = Self {
        count: 0,
        bytes: 0,
        age: Duration::ZERO,
    };
}

impl Default for Retention {
    /// 1,000 publications, 4 MiB, one day.
    fn default() -> Self {
        Self {
            count: 1_000,
            bytes: 4 << 20,
            age: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// When a publication may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// At once: it is as durable as it will ever be.
    Now,
    /// When the [`CommitSink`] names its token.
    Later,
}

/// What became of a publication.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its own position.
    pub position: Position,
    /// What is to be fanned out; `None` if its key was seen before and nothing is.
    pub publication: Option<Arc<Publication>>,
    /// When it may be acknowledged.
    pub ack: Ack,
}

/// Who is told which publications are durable.
pub trait CommitSink: Send + Sync + 'static {
    /// The publications with these tokens are durable. Called once per commit group, in
    /// the order in which they were accepted, from the writer's thread: must not block.
    fn committed(&self, tokens: &[u64]);

    /// These were accepted, but the history was closed while the disk failed: they must
    /// not be acknowledged. Whether they are found at the next start is open.
    fn abandoned(&self, tokens: &[u64]);
}

/// What [`History::read`] reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query {
    /// Only what comes after this position; before it, if `reverse`.
    pub since: Option<Position>,
    /// Publications at most; 0 reads the position alone.
    pub limit: usize,
    /// From the newest to the oldest.
    pub reverse: bool,
}

/// What [`History::read`] found.
#[derive(Debug, Clone)]
pub struct Page {
    /// Publications in the order asked for.
    pub publications: Vec<Arc<Publication>>,
    /// The channel's top when the page was taken.
    pub top: Position,
    /// Whether no publication is missing between `since` and the first on the page, nor
    /// between those on the page.
    pub complete: bool,
}

/// What [`History::recover`] came to.
#[derive(Debug, Clone)]
pub enum Recovery {
    /// Everything after the position, up to the top.
    Recovered {
        /// The missed publications in order.
        publications: Vec<Arc<Publication>>,
        /// Where the channel is after them.
        top: Position,
    },
    /// Something is missing, or may be.
    Unrecoverable {
        /// Why.
        reason: Unrecoverable,
        /// Where the channel is.
        top: Position,
    },
}

/// Why a position cannot be recovered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecoverable {
    /// The channel has another epoch.
    WrongEpoch,
    /// The channel has never come that far.
    Future,
    /// Publications after the position are outside of the retention, or were lost in an
    /// unclean stop.
    Gone,
    /// More was missed than the limit allows.
    TooMany,
}

/// Why a publication was refused. None of it has any effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A size is over its limit.
    #[error("the {0} of the publication is too large")]
    TooLarge(&'static str),
    /// The disk does not keep up. Temporary.
    #[error("the disk is too slow: too much waits to be written")]
    Full,
    /// The disk is full or fails; what was accepted before waits for it. Temporary.
    #[error("the disk fails: {0}")]
    Failing(Arc<str>),
    /// The history was closed.
    #[error("the history is closed")]
    Closed,
}

/// Why something else could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A name is empty or longer than [`NAME_LIMIT`].
    #[error("the name of a channel has 1 to {NAME_LIMIT} bytes")]
    BadName,
    /// `since` names another epoch.
    #[error("the position is of another epoch")]
    WrongEpoch,
    /// Too much is being read. Temporary.
    #[error("too many reads wait for the disk")]
    Busy,
    /// The disk failed. Perhaps temporary.
    #[error("history unavailable: {0}")]
    Unavailable(Arc<str>),
    /// What lies on the disk is not what was written. The channel can be removed.
    #[error("the history is damaged: {0}")]
    Corrupt(Arc<str>),
    /// The history was closed.
    #[error("the history is closed")]
    Closed,
}

/// The future of a history call. It can be awaited on any executor.
pub type HistoryFuture<T> = BoxFuture<'static, Result<T, HistoryError>>;

/// Publications of channels. See the module's documentation for what is promised.
pub trait History: Send + Sync + 'static {
    /// Whether an acknowledged publication survives the process.
    fn durable(&self) -> bool;

    /// The channel, made where it is missing. It is the same value for everybody while
    /// anybody has it; the last `retention` given to it counts.
    fn open(&self, tenant: &str, room: &str, retention: Retention) -> HistoryFuture<Arc<RoomLog>>;

    /// Appends to a channel. Never waits and never touches the disk. `token` is given to
    /// the [`CommitSink`] where the answer is [`Ack::Later`].
    ///
    /// The order of two calls is the order of their offsets; callers who fan out in that
    /// order hold a lock of their own over both.
    fn publish(
        &self,
        log: &Arc<RoomLog>,
        publication: NewPublication,
        token: u64,
    ) -> Result<Published, PublishError>;

    /// Publications of a channel, as they were together at one moment. Ready at once
    /// where they are in memory.
    fn read(&self, log: &Arc<RoomLog>, query: Query) -> HistoryFuture<Page>;

    /// Everything after `since`, or why not. `limit`: publications at most.
    fn recover(&self, log: &Arc<RoomLog>, since: Position, limit: usize)
    -> HistoryFuture<Recovery>;

    /// Removes all publications; the channel has another epoch at once. Ends when that
    /// is durable.
    fn remove(&self, tenant: &str, room: &str) -> HistoryFuture<()>;

    /// Removes all channels of a tenant, those that are open included. Ends when that is
    /// durable; the disk space is given back in small steps after it.
    fn remove_tenant(&self, tenant: &str) -> HistoryFuture<()>;

    /// What the tenant's channels hold, by [`Publication::cost`].
    fn tenant_bytes(&self, tenant: &str) -> HistoryFuture<u64>;

    /// Writes what waits, refuses everything from then on, and ends cleanly.
    fn close(&self) -> HistoryFuture<()>;
}

/// The time in milliseconds since 1970. Given in, so that tests decide it.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's time.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    })
}
