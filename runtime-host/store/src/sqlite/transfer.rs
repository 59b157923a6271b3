//! A database file, read out as it is at one moment, or filled in one transaction.

use super::connection::{SET, claim_folder, open_reader, open_writer};
use crate::transfer::{Existing, Give, Take, TransferError, check};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

const ALL: &str = "SELECT key, value FROM spin_key_value WHERE store = ?1 ORDER BY key";
const ANY: &str = "SELECT EXISTS (SELECT 1 FROM spin_key_value WHERE store = ?1)";
const CLEAR: &str = "DELETE FROM spin_key_value WHERE store = ?1";

fn failed(error: rusqlite::Error) -> TransferError {
    TransferError::Store(error.to_string())
}

fn not_opened(error: impl std::fmt::Display) -> TransferError {
    TransferError::Store(error.to_string())
}

pub(crate) fn read(path: &Path, label: &str, take: &mut Take<'_>) -> Result<u64, TransferError> {
    let connection = open_reader(path).map_err(not_opened)?;
    // One statement sees one moment.
    let mut statement = connection.prepare(ALL).map_err(failed)?;
    let mut rows = statement.query([label]).map_err(failed)?;
    let mut count = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        let key = row.get_ref(0).map_err(failed)?;
        let key = key.as_str().map_err(|error| failed(error.into()))?;
        let value = row.get_ref(1).map_err(failed)?;
        let value = value.as_bytes().map_err(|error| failed(error.into()))?;
        take(key, value)?;
        count += 1;
    }
    Ok(count)
}

pub(crate) fn write(
    path: &Path,
    label: &str,
    existing: Existing,
    give: &mut Give<'_>,
) -> Result<u64, TransferError> {
    // Held to the end: a host that has it open would not hear of what changes.
    let _claim = claim_folder(path).map_err(not_opened)?;
    let mut connection = open_writer(path).map_err(not_opened)?;
    let count = fill(&mut connection, (path, label), existing, give)?;
    // The log goes into the file, so that the file alone can be copied.
    let merged = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    merged.map_err(failed)?;
    Ok(count)
}

fn fill(
    connection: &mut Connection,
    (path, label): (&Path, &str),
    existing: Existing,
    give: &mut Give<'_>,
) -> Result<u64, TransferError> {
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection
        .transaction_with_behavior(behavior)
        .map_err(failed)?;
    match existing {
        Existing::Merge => {}
        Existing::Replace => {
            transaction.execute(CLEAR, [label]).map_err(failed)?;
        }
        Existing::Refuse => {
            let any: bool = transaction
                .query_row(ANY, [label], |row| row.get(0))
                .map_err(failed)?;
            if any {
                return Err(TransferError::NotEmpty(path.display().to_string()));
            }
        }
    }
    let mut count = 0;
    {
        let mut statement = transaction.prepare(SET).map_err(failed)?;
        for entry in give {
            let entry = entry?;
            check(&entry)?;
            let (key, value) = entry;
            statement.execute((label, key, value)).map_err(failed)?;
            count += 1;
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(count)
}
