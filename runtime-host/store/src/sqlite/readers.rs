//! The pool of connections that read what the cache does not hold.
//!
//! Readers never wait for the writer: each sees the last commit. A read takes some
//! microseconds and runs on the thread that asks.

use super::connection::{FIRST_KEYS, GET, NEXT_KEYS, OpenError, open_reader};
use super::unavailable;
use crate::{StoreError, limits, locked};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// Connections at least: one caller that blocks must not stop the next.
const READERS_MIN: usize = 2;

/// Connections at most; misses are rare and short, more would only cost memory.
const READERS_MAX: usize = 8;

pub(super) struct Readers {
    path: PathBuf,
    /// `None` once closed.
    connections: Box<[Mutex<Option<Connection>>]>,
    turn: AtomicUsize,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let cores = std::thread::available_parallelism().map_or(READERS_MIN, usize::from);
        let connections = (0..cores.clamp(READERS_MIN, READERS_MAX))
            .map(|_| open_reader(path).map(|connection| Mutex::new(Some(connection))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            connections,
            turn: AtomicUsize::new(0),
        })
    }

    pub(super) fn get(&self, label: &str, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.with(|connection| read(connection, label, key))
    }

    /// The values of `keys` at one moment.
    pub(super) fn get_many(
        &self,
        label: &str,
        keys: &[&str],
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let read_all = |connection: &Connection| {
            let mut values = Vec::with_capacity(keys.len());
            let mut bytes = 0;
            for key in keys {
                let value = read(connection, label, key)?;
                bytes += value.as_ref().map_or(0, Bytes::len);
                if let Err(error) = limits::check_batch_bytes(bytes) {
                    return Ok(Err(error));
                }
                values.push(value);
            }
            Ok(Ok(values))
        };
        self.with(|connection| {
            if keys.len() < 2 {
                return read_all(connection);
            }
            // All statements of a transaction read the same snapshot.
            let snapshot = connection.unchecked_transaction()?;
            let values = read_all(&snapshot)?;
            snapshot.commit()?;
            Ok(values)
        })?
    }

    /// At most `limit` keys after `after`, in ascending byte order.
    pub(super) fn keys(
        &self,
        label: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let key = |row: &Row<'_>| row.get(0);
        self.with(|connection| match after {
            None => connection
                .prepare_cached(FIRST_KEYS)?
                .query_map(params![label, limit], key)?
                .collect(),
            Some(after) => connection
                .prepare_cached(NEXT_KEYS)?
                .query_map(params![label, limit, after], key)?
                .collect(),
        })
    }

    /// Waits for the reads under way; later ones fail.
    pub(super) fn close(&self) {
        for connection in &self.connections {
            drop(locked(connection).take());
        }
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = self.free();
        let Some(connection) = connection.as_ref() else {
            return Err(StoreError::Unavailable(format!(
                "{} is closed",
                self.path.display()
            )));
        };
        read(connection).map_err(|error| unavailable(&self.path, &error))
    }

    /// A connection that nobody uses, or the next in turn when all are busy.
    fn free(&self) -> MutexGuard<'_, Option<Connection>> {
        for connection in &self.connections {
            match connection.try_lock() {
                Ok(connection) => return connection,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        locked(&self.connections[turn % self.connections.len()])
    }
}

/// The value of one key, whether SQLite holds it as a blob or as text.
pub(super) fn read(
    connection: &Connection,
    label: &str,
    key: &str,
) -> rusqlite::Result<Option<Bytes>> {
    connection
        .prepare_cached(GET)?
        .query_row([label, key], |row| {
            Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_bytes()?))
        })
        .optional()
}
