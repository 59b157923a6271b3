//! Opening the database: the state folder, its lock, the table and the settings of
//! each connection.

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the lock file beside the database.
const LOCK_FILE: &str = "lock";

/// How long a statement waits for another process that has the database locked.
/// Nobody should: whoever does is a `spin up` that is just ending, or a mistake.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A write-ahead log that grew beyond this is cut back when it starts anew.
const LOG_BYTES_KEPT: i64 = 64 << 20;

/// Memory for the pages that a connection keeps, in KiB (negative is SQLite's way to say so).
const PAGE_CACHE_KIB: i64 = -8_192;

/// Statements that a connection keeps prepared: all there are, with room to spare.
const PREPARED_STATEMENTS: usize = 16;

/// Exactly Spin's table, so that either program can open the other's file.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL,
    key   TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (store, key)
)";

/// The value of one key.
pub(super) const GET: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
/// Writes one key.
pub(super) const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (store, key) DO UPDATE SET value = excluded.value";
/// Removes one key.
pub(super) const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
/// The first keys of a space.
pub(super) const FIRST_KEYS: &str =
    "SELECT key FROM spin_key_value WHERE store = ?1 ORDER BY key LIMIT ?2";
/// The keys of a space that follow one.
pub(super) const NEXT_KEYS: &str =
    "SELECT key FROM spin_key_value WHERE store = ?1 AND key > ?3 ORDER BY key LIMIT ?2";
/// Moves when another connection changed the database.
pub(super) const DATA_VERSION: &str = "PRAGMA data_version";

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state folder is not there and cannot be made, or cannot be written.
    #[error("the state folder {} cannot be written: {source}", folder.display())]
    Folder {
        /// The folder of the database.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another host has the state folder open.
    #[error("the state folder {} is in use by another sschat process (it holds {})", folder.display(), lock.display())]
    InUse {
        /// The folder of the database.
        folder: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// Another program, perhaps `spin up`, has locked the database.
    #[error("the database {} is locked by another program; is `spin up` running on it?", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is no database, is damaged, has other columns or cannot be written.
    #[error("the database {} cannot be used: {reason}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

/// Makes the folder of the database where it is missing, and claims it for this
/// process for as long as the returned file is open.
pub(super) fn claim_folder(path: &Path) -> Result<File, OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    create_folder(folder).map_err(failed)?;
    let lock = folder.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            folder: folder.to_owned(),
            lock,
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Records are nobody else's business: a new folder is its owner's alone.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The one connection that writes. Leaves the table in place, the log in use and
/// whatever a killed process left behind recovered.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(set_up_writer)
        .map_err(|error| open_error(path, &error))
}

fn set_up_writer(mut connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        let reason = format!("the write-ahead log cannot be used here (journal mode {mode})");
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        return Err(rusqlite::Error::SqliteFailure(code, Some(reason)));
    }
    // Every commit is flushed to disk before it is acknowledged.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "cache_size", PAGE_CACHE_KIB)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Taking the write lock finds out whether the file can be written at all.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(CREATE_TABLE)?;
    // A table of another shape fails here, with SQLite's words for what is missing.
    for statement in [GET, SET, DELETE, FIRST_KEYS, NEXT_KEYS] {
        transaction.prepare_cached(statement)?;
    }
    transaction.commit()?;
    Ok(connection)
}

/// A connection that reads. The writer's connection must be open.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
            connection.pragma_update(None, "cache_size", PAGE_CACHE_KIB)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            connection.prepare_cached(GET)?;
            Ok(connection)
        })
        .map_err(|error| open_error(path, &error))
}

fn open_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
        _ => OpenError::Database {
            path,
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::open_writer;

    #[test]
    fn commits_are_flushed_through_a_write_ahead_log() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_writer(&folder.path().join("a.db")).unwrap();
        let synchronous: i64 = connection
            .query_row("PRAGMA synchronous", [], |row| row.get(0))
            .unwrap();
        let mode: String = connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!((synchronous, mode.as_str()), (2, "wal"), "2 is FULL");
    }
}
