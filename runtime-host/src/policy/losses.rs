//! Whether a shard may trust that it has heard of every change.
//!
//! Where other processes write to the state, a change feed tells of it, and proves itself
//! until a moment that moves on while it lives. A process that was stopped wakes up past
//! that moment, and its shards may run before anybody has told them that changes were
//! missed. They ask here before they read and before they write.

use super::Policy;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// When it was last told, and every hold posted, that changes may have been missed.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<Option<Instant>>);

impl Losses {
    /// Every session that a missed change may concern is on hold, or its hold is in the
    /// mailbox of its shard.
    pub(super) fn told(&self) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Instant::now());
    }

    fn since(&self, moment: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last >= moment)
    }
}

impl Policy {
    /// Whether changes may have been missed and the sessions do not know it yet. `proven`:
    /// when the caller last saw the feed proven; at most a tenth of a second passes between
    /// two of its questions, unless the process is stopped.
    pub fn in_doubt(&self, proven: &mut Instant) -> bool {
        let Some(until) = self.store.proven_until() else {
            return false;
        };
        let now = Instant::now();
        if now < until {
            *proven = now;
            return false;
        }
        !self.losses.since(*proven)
    }
}
