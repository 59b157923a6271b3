//! How other threads reach a shard: a list under a lock, and one wake-up per batch.

use std::sync::Mutex;
use std::sync::PoisonError;

/// Letters for a shard. Posting takes a lock for the length of a push and wakes the
/// shard only where the list was empty; the shard takes the whole list at once.
///
/// Bounded by those who post: each connection and each room has a bounded number of
/// letters on its way (one decision awaited, publications under its rate limit).
pub struct Mailbox<T> {
    letters: Mutex<Vec<T>>,
    waker: mio::Waker,
}

impl<T> Mailbox<T> {
    /// A mailbox that wakes the event loop of `waker`.
    pub fn new(waker: mio::Waker) -> Self {
        Self {
            letters: Mutex::new(Vec::new()),
            waker,
        }
    }

    /// Adds a letter. Letters of one thread keep their order.
    pub fn post(&self, letter: T) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push(letter);
        let first = letters.len() == 1;
        drop(letters);
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a shard could not be woken");
        }
    }

    /// Moves all letters to the end of `into`.
    pub fn collect(&self, into: &mut Vec<T>) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if into.is_empty() {
            std::mem::swap(&mut *letters, into);
        } else {
            into.append(&mut letters);
        }
    }
}
