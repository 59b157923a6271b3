//! Durable state: keys, bytes and the change feed.
//!
//! This module owns the contract of a store ([`Store`]), what may go wrong
//! ([`StoreError`]) and how a change reaches those who depend on it
//! ([`ChangeListener`]). It never looks into a value: records belong to the
//! components (invariant 1). One file per implementation stands beside it; the
//! contract suite in `tests/contract` runs over all of them.

mod cache;
mod counter;
pub mod latency;
mod limits;
mod listeners;
pub mod redis;
pub mod sqlite;
pub mod transfer;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The longest key, in bytes. Twice what the longest key of the data model needs.
pub const KEY_LIMIT: usize = 512;

/// The largest value, in bytes. A record is a few hundred; this leaves room for a
/// policy's configuration and keeps one value from filling a host's memory.
pub const VALUE_LIMIT: usize = 4 << 20;

/// The most keys in one batch.
pub const BATCH_LIMIT: usize = 1_024;

/// The most bytes, keys and values together, that one batch writes or reads. A
/// guest that asks for many large values at once would otherwise decide how much
/// memory its host needs.
pub const BATCH_BYTES_LIMIT: usize = 16 << 20;

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The key or value is larger than [`KEY_LIMIT`] or [`VALUE_LIMIT`], or a batch
    /// than [`BATCH_LIMIT`] or [`BATCH_BYTES_LIMIT`].
    #[error("{0}")]
    TooLarge(String),
    /// `increment` met a value that is no counter, or would overflow.
    #[error("the value of {0:?} is not a counter that can take this increment")]
    NotACounter(String),
    /// The backend failed or is out of reach; the call may or may not have taken effect.
    #[error("store unavailable: {0}")]
    Unavailable(String),
}

/// The future of a store call.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// One labelled key space of a store, as a `key_value_stores` grant names it.
///
/// Ordering: calls made one after the other take effect in that order, and a read
/// sees every write that was acknowledged before it began. Durability: an
/// acknowledged write survives `kill -9` and a power cut where the backend's
/// documentation says so. Changes: a write is acknowledged only after every
/// [`ChangeListener`] was told and the [`Barrier`] it returned has passed. Keys: any
/// UTF-8 text of up to [`KEY_LIMIT`] bytes, the empty one included. Dropping: the
/// future of a write that is dropped before it ends leaves open whether the write
/// takes effect; it does so as a whole or not at all.
pub trait Store: Send + Sync + 'static {
    /// The value of `key`, or `None`.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// The same store, if its reads never wait for another machine.
    fn local(&self) -> Option<&dyn LocalStore> {
        None
    }

    /// The values of `keys`, in their order, as they were together at one moment:
    /// a batch written by [`Store::set_many`] is seen as a whole or not at all.
    fn get_many<'a>(&'a self, keys: &'a [String]) -> StoreFuture<'a, Vec<Option<Bytes>>>;

    /// [`Store::get_many`] for a thread that may block; never call it on an async worker.
    ///
    /// For decisions, which follow the change feed. Where other processes write to the
    /// state too, the values are those of one moment that no change has been heard to end:
    /// they lag behind a write of another process by as much as the feed does. Fails while
    /// the feed is in doubt, for no change would end what was read then.
    fn get_many_blocking(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Writes all `entries` or none, as one change. Of two entries for one key the later wins.
    fn set_many(&self, entries: Vec<(String, Bytes)>) -> StoreFuture<'_, ()>;

    /// Removes all `keys` that are there, as one change. Absent keys are no error.
    fn delete_many(&self, keys: Vec<String>) -> StoreFuture<'_, ()>;

    /// Adds `delta` to the counter at `key` (absent counts as 0) and returns the sum.
    /// A value that is no counter, and a sum that is no `i64`, is refused and left as it is.
    fn increment(&self, key: String, delta: i64) -> StoreFuture<'_, i64>;

    /// Writes `new` if the value of `key` is still `expected` (`None`: if there is none);
    /// says whether it did.
    fn swap(&self, key: String, expected: Option<Bytes>, new: Bytes) -> StoreFuture<'_, bool>;

    /// At most `limit` keys in ascending byte order, those after `after`.
    /// No snapshot is held between pages: a key that exists throughout is listed once.
    fn keys<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>>;

    /// Until when the change feed is proven: every change made before now has been told or
    /// will be told before this moment. `None` where there is nothing to prove, because no
    /// other process writes to this state.
    ///
    /// A moment that has passed means that changes may be missing, though [`Change::Lost`]
    /// need not have been told yet (a process that was stopped tells nothing). It moves on
    /// from there only after [`Change::Lost`] was told. Costs an atomic load.
    fn proven_until(&self) -> Option<Instant> {
        None
    }

    /// Whether the change feed is proven now, so that what was derived from reads and has
    /// not been ended by a change may be used.
    fn is_proven(&self) -> bool {
        let until = self.proven_until();
        until.is_none_or(|until| Instant::now() < until)
    }
}

/// A store whose reads end on the spot, in the memory or on the disk of this machine. For
/// those who read so often that a future a read is too much.
pub trait LocalStore {
    /// As [`Store::get`].
    fn get_now(&self, key: &str) -> Result<Option<Bytes>, StoreError>;
}

/// What a store tells about changes of one key space.
#[derive(Debug, Clone)]
pub enum Change {
    /// These keys were written or removed, in one commit. A call that changed
    /// nothing (a refused swap, a deletion of absent keys) may tell nothing.
    Keys(Arc<[String]>),
    /// Changes may have been missed: everything known before is in doubt. Told when that is
    /// noticed and, by a store whose feed has to be proven, once more when the feed is: what
    /// was read in between is in doubt as well.
    Lost,
}

/// Passes once those who had to act on a change have acted.
pub type Barrier = Shared<BoxFuture<'static, ()>>;

/// Who is told of changes.
pub trait ChangeListener: Send + Sync + 'static {
    /// Called in commit order, after the commit and before the write is acknowledged.
    /// Must not block. The acknowledgement waits for the returned barrier.
    fn changed(&self, change: &Change) -> Option<Barrier>;
}

/// A lock whose holder panicked is as good as any: nothing here is left half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
