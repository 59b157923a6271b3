//! Receipts: who waits to hear that a publication is durable.
//!
//! The history's writer names the publications of a commit group by tokens; here they
//! are found again. Only those are noted whose publisher wants a receipt, so that all
//! others neither take a lock nor allocate. Bounded by those who publish: what waits for
//! the disk is bounded by the history's queue.

use super::{Mail, Position, Refused};
use sschat_history::{CommitSink, HistoryError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The token of a publication whose receipt nobody wants.
pub(super) const NOBODY: u64 = 0;

/// What became of a publication: its position, where it has one, or why it must not be
/// counted on.
pub type Outcome = Result<Option<Position>, Refused>;

/// Who takes a receipt.
#[derive(Debug)]
pub enum Taker {
    /// A session, by its shard's mailbox.
    Session {
        /// The shard.
        shard: usize,
        /// The session.
        session: u64,
        /// What the session calls the publication; 0 where it does not name it.
        command: u32,
    },
    /// A task.
    Task(oneshot::Sender<Outcome>),
}

/// A receipt for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The session.
    pub session: u64,
    /// What it calls the publication.
    pub command: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// Gives one receipt now.
pub(super) fn give(mail: &impl Mail, taker: Taker, outcome: Outcome) {
    match taker {
        Taker::Session {
            shard,
            session,
            command,
        } => {
            let receipt = Receipt {
                session,
                command,
                outcome,
            };
            mail.acknowledge(shard, vec![receipt]);
        }
        // Who does not wait any more needs none.
        Taker::Task(task) => drop(task.send(outcome)),
    }
}

/// Receipts that are awaited.
pub struct Receipts<M> {
    pub(super) mail: M,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, (Taker, Position)>>,
}

impl<M: Mail> Receipts<M> {
    /// None yet.
    pub fn new(mail: M) -> Self {
        Self {
            mail,
            next: AtomicU64::new(NOBODY + 1),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn token(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The awaited receipts. Held while a publication that wants one is handed to the
    /// writer, who may be done with it before it is noted.
    pub(super) fn waiting(&self) -> MutexGuard<'_, HashMap<u64, (Taker, Position)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one receipt now.
    pub(super) fn give(&self, taker: Taker, outcome: Outcome) {
        give(&self.mail, taker, outcome);
    }

    fn settle(&self, tokens: &[u64], outcome: impl Fn(Position) -> Outcome) {
        let mut by_shard: HashMap<usize, Vec<Receipt>> = HashMap::new();
        let mut waiting = self.waiting();
        for token in tokens.iter().filter(|token| **token != NOBODY) {
            match waiting.remove(token) {
                None => {}
                Some((Taker::Task(task), position)) => drop(task.send(outcome(position))),
                Some((
                    Taker::Session {
                        shard,
                        session,
                        command,
                    },
                    position,
                )) => by_shard.entry(shard).or_default().push(Receipt {
                    session,
                    command,
                    outcome: outcome(position),
                }),
            }
        }
        drop(waiting);
        for (shard, receipts) in by_shard {
            self.mail.acknowledge(shard, receipts);
        }
    }
}

impl<M: Mail> CommitSink for Receipts<M> {
    fn committed(&self, tokens: &[u64]) {
        self.settle(tokens, |position| Ok(Some(position)));
    }

    fn abandoned(&self, tokens: &[u64]) {
        self.settle(tokens, |_| Err(HistoryError::Closed.into()));
    }
}
