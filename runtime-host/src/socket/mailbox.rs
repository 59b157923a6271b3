//! How other threads reach a shard: two lists under a lock, and one wake-up per batch.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long letters of a kind may keep a turn of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All are taken in the next turn: a publication, a hold, an answer that one session awaits.
    Prompt,
    /// A few are taken a turn: they come in thousands at once, and each is work. They keep
    /// their order among themselves; prompt ones overtake them.
    Bulk,
}

struct Lists<T> {
    prompt: Vec<T>,
    bulk: VecDeque<T>,
}

/// Letters for a shard. Posting takes a lock for the length of a push and wakes the
/// shard only where the list was empty; the shard takes the whole list at once.
///
/// Bounded by those who post: each connection and each room has a bounded number of
/// letters on its way (one decision awaited, publications under its rate limit).
pub struct Mailbox<T> {
    lists: Mutex<Lists<T>>,
    waker: mio::Waker,
}

impl<T> Mailbox<T> {
    /// A mailbox that wakes the event loop of `waker`.
    pub fn new(waker: mio::Waker) -> Self {
        Self {
            lists: Mutex::new(Lists {
                prompt: Vec::new(),
                bulk: VecDeque::new(),
            }),
            waker,
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists<T>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a letter. Letters of one thread and one pace keep their order.
    pub fn post(&self, letter: T, pace: Pace) {
        let mut lists = self.lists();
        let first = lists.prompt.is_empty() && lists.bulk.is_empty();
        match pace {
            Pace::Prompt => lists.prompt.push(letter),
            Pace::Bulk => lists.bulk.push_back(letter),
        }
        drop(lists);
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a shard could not be woken");
        }
    }

    /// Moves all prompt letters and then up to `most` of the others to the end of `into`.
    /// Says whether there are more: nobody wakes the shard for those.
    pub fn collect(&self, into: &mut Vec<T>, most: usize) -> bool {
        let mut lists = self.lists();
        if into.is_empty() {
            std::mem::swap(&mut lists.prompt, into);
        } else {
            into.append(&mut lists.prompt);
        }
        let taken = lists.bulk.len().min(most);
        into.extend(lists.bulk.drain(..taken));
        !lists.bulk.is_empty()
    }
}
