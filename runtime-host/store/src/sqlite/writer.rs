//! The one thread that writes.
//!
//! It takes everything that waits in the queue, applies it in one transaction,
//! commits once (one flush to disk), brings the read cache up to date, tells the
//! listeners in commit order and then answers. It never waits for a barrier: whoever
//! asked for the write does.

use super::connection::{DATA_VERSION, DELETE, SET};
use super::readers::read;
use super::shared::{Shared, Space};
use super::unavailable;
use crate::cache::Written;
use crate::{Barrier, Change, StoreError, counter};
use bytes::Bytes;
use rusqlite::{Connection, TransactionBehavior, params};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Operations in one transaction at most, so that the first does not wait long for the last.
const GROUP_OPERATIONS: usize = 1_024;

/// How often an idle writer looks whether another program changed the database: the
/// lease of the change feed.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What is to be written.
pub(super) enum Write {
    SetMany(Vec<(String, Bytes)>),
    DeleteMany(Vec<String>),
    Increment {
        key: String,
        delta: i64,
    },
    Swap {
        key: String,
        expected: Option<Bytes>,
        new: Bytes,
    },
}

/// What a write came to.
pub(super) enum Outcome {
    Done,
    Sum(i64),
    Swapped(bool),
}

/// The answer to an operation: it counts once the barriers have passed.
pub(super) struct Answer {
    pub(super) result: Result<Outcome, StoreError>,
    pub(super) barriers: Vec<Barrier>,
}

/// A write in the queue.
pub(super) struct Operation {
    pub(super) space: Arc<Space>,
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Answer>,
    /// The operation's share of the queue's memory, given back with it.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What the queue carries.
pub(super) enum Message {
    Operation(Operation),
    /// Finish what came before and stop.
    Close,
}

/// An operation after its transaction ran, before it is answered.
struct Applied {
    space: Arc<Space>,
    answer: oneshot::Sender<Answer>,
    result: Result<Outcome, StoreError>,
    written: Vec<Written>,
    _permit: OwnedSemaphorePermit,
}

pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
    shared: Arc<Shared>,
    /// Keeps the state folder locked for as long as the database is open.
    _claim: File,
    /// SQLite's count of other connections' commits, when last looked at.
    data_version: i64,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        shared: Arc<Shared>,
        claim: File,
    ) -> rusqlite::Result<Self> {
        let data_version = data_version(&connection)?;
        Ok(Self {
            path,
            connection,
            shared,
            _claim: claim,
            data_version,
        })
    }

    /// Serves `queue` until it closes, then leaves the database as one closed file.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            match queue.recv_timeout(WATCH_INTERVAL) {
                Ok(Message::Operation(first)) => {
                    let (group, close) = gather(first, queue);
                    self.write(group);
                    if close {
                        break;
                    }
                }
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.watch(),
            }
        }
        self.finish();
    }

    /// Applies `group`, makes it durable and answers every operation in it.
    fn write(&mut self, group: Vec<Operation>) {
        // Left open only if an earlier roll-back failed; SQLite refuses to nest.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let mut applied = Vec::with_capacity(group.len());
        match self.transact(group, &mut applied) {
            Ok(()) => self.acknowledge(applied),
            Err(Failure::Undone(error)) => self.fail(applied, &error, false),
            Err(Failure::Unknown(error)) => self.fail(applied, &error, true),
        }
    }

    /// One transaction. `applied` takes over the whole group, whatever happens.
    fn transact(
        &mut self,
        group: Vec<Operation>,
        applied: &mut Vec<Applied>,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let transaction = match self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
        {
            Ok(transaction) => Some(transaction),
            Err(error) => {
                failure = Some(error);
                None
            }
        };
        for Operation {
            space,
            write,
            answer,
            permit,
        } in group
        {
            let (mut result, mut written) = (Ok(Outcome::Done), Vec::new());
            if let (Some(transaction), None) = (&transaction, &failure) {
                match apply(transaction, &space, write) {
                    Ok((outcome, changes)) => (result, written) = (Ok(outcome), changes),
                    Err(ApplyError::Refused(error)) => result = Err(error),
                    Err(ApplyError::Sqlite(error)) => failure = Some(error),
                }
            }
            applied.push(Applied {
                space,
                answer,
                result,
                written,
                _permit: permit,
            });
        }
        // Dropping the transaction rolls it back.
        let (Some(transaction), None) = (transaction, &failure) else {
            return Err(Failure::Undone(
                failure.unwrap_or(rusqlite::Error::InvalidQuery),
            ));
        };
        let foreign = data_version(&transaction).map_err(Failure::Undone)?;
        if foreign != std::mem::replace(&mut self.data_version, foreign) {
            self.shared.lose_everything(&self.path);
        }
        if applied.iter().all(|applied| applied.written.is_empty()) {
            return transaction.commit().map_err(Failure::Undone);
        }
        let written = || applied.iter().flat_map(|applied| &applied.written);
        self.shared.cache.begin(written());
        let begun = Instant::now();
        let committed = transaction.commit();
        self.shared.latency.record(begun.elapsed());
        self.shared.cache.end(written(), committed.is_ok());
        committed.map_err(Failure::Unknown)?;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the listeners in commit order, then answers.
    fn acknowledge(&self, applied: Vec<Applied>) {
        let told: Vec<_> = applied
            .into_iter()
            .map(|mut applied| {
                let written = std::mem::take(&mut applied.written);
                let barriers = match change(written) {
                    Some(change) => applied.space.listeners.tell(&change),
                    None => Vec::new(),
                };
                (applied, barriers)
            })
            .collect();
        for (applied, barriers) in told {
            // Nobody listens if the future was dropped; the write stands.
            let _ = applied.answer.send(Answer {
                result: applied.result,
                barriers,
            });
        }
    }

    /// Answers every operation with `error`. Where it is `unknown` whether the commit
    /// took effect, those who follow the changes must doubt what they know.
    fn fail(&self, applied: Vec<Applied>, error: &rusqlite::Error, unknown: bool) {
        let failed = unavailable(&self.path, error);
        tracing::error!(
            operations = applied.len(),
            unknown,
            "writing failed: {failed}"
        );
        let mut told: Vec<(u32, Vec<Barrier>)> = Vec::new();
        for applied in applied {
            let mut barriers = Vec::new();
            if unknown {
                let space = &applied.space;
                barriers = match told.iter().find(|(number, _)| *number == space.number) {
                    Some((_, barriers)) => barriers.clone(),
                    None => {
                        let barriers = space.listeners.tell(&Change::Lost);
                        told.push((space.number, barriers.clone()));
                        barriers
                    }
                };
            }
            let result = Err(applied.result.err().unwrap_or_else(|| failed.clone()));
            let _ = applied.answer.send(Answer { result, barriers });
        }
    }

    /// Notices changes that another program made to the database.
    fn watch(&mut self) {
        match data_version(&self.connection) {
            Ok(version) if version == self.data_version => {}
            Ok(version) => {
                self.data_version = version;
                self.shared.lose_everything(&self.path);
            }
            Err(error) => tracing::error!("reading failed: {}", unavailable(&self.path, &error)),
        }
    }

    /// Folds the log into the database file. What fails here is done at the next start.
    fn finish(self) {
        self.shared.close();
        let folded = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
        if let Err(error) = folded {
            tracing::warn!(
                "the log was not folded in: {}",
                unavailable(&self.path, &error)
            );
        }
        let closed = self.connection.close();
        if let Err((_, error)) = closed {
            tracing::warn!("closing failed: {}", unavailable(&self.path, &error));
        }
    }
}

/// Why a group was not written.
enum Failure {
    /// Nothing took effect.
    Undone(rusqlite::Error),
    /// The commit itself failed: it may be found in the log after a crash.
    Unknown(rusqlite::Error),
}

/// Why an operation was not applied.
enum ApplyError {
    /// It alone fails; it has changed nothing.
    Refused(StoreError),
    /// The transaction fails.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// `first` and what waits behind it; whether the queue closes after that.
fn gather(first: Operation, queue: &Receiver<Message>) -> (Vec<Operation>, bool) {
    let mut group = vec![first];
    while group.len() < GROUP_OPERATIONS {
        match queue.try_recv() {
            Ok(Message::Operation(operation)) => group.push(operation),
            Ok(Message::Close) => return (group, true),
            Err(_) => break,
        }
    }
    (group, false)
}

/// Applies one write. Whatever may be refused is found out before anything is written.
fn apply(
    connection: &Connection,
    space: &Space,
    write: Write,
) -> Result<(Outcome, Vec<Written>), ApplyError> {
    let label = space.label.as_str();
    let written = |key, value| Written {
        space: space.number,
        key,
        value,
    };
    let set = |key: String, value: Bytes| {
        connection
            .prepare_cached(SET)?
            .execute(params![label, key, &value[..]])?;
        rusqlite::Result::Ok(written(key, Some(value)))
    };
    Ok(match write {
        Write::SetMany(entries) => {
            let written: rusqlite::Result<_> = entries
                .into_iter()
                .map(|(key, value)| set(key, value))
                .collect();
            (Outcome::Done, written?)
        }
        Write::DeleteMany(keys) => {
            let mut delete = connection.prepare_cached(DELETE)?;
            let mut removed = Vec::new();
            for key in keys {
                if delete.execute([label, &key])? > 0 {
                    removed.push(written(key, None));
                }
            }
            (Outcome::Done, removed)
        }
        Write::Increment { key, delta } => {
            let current = match read(connection, label, &key)? {
                Some(value) => counter::decode(&value),
                None => Some(0),
            };
            let Some(sum) = current.and_then(|current| current.checked_add(delta)) else {
                return Err(ApplyError::Refused(StoreError::NotACounter(key)));
            };
            (Outcome::Sum(sum), vec![set(key, counter::encode(sum))?])
        }
        Write::Swap { key, expected, new } => {
            if read(connection, label, &key)? != expected {
                return Ok((Outcome::Swapped(false), Vec::new()));
            }
            (Outcome::Swapped(true), vec![set(key, new)?])
        }
    })
}

/// The change that tells of `written`; none if nothing was.
fn change(written: Vec<Written>) -> Option<Change> {
    let mut keys: Vec<String> = written.into_iter().map(|written| written.key).collect();
    keys.sort_unstable();
    keys.dedup();
    (!keys.is_empty()).then(|| Change::Keys(keys.into()))
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(DATA_VERSION)?
        .query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests;
