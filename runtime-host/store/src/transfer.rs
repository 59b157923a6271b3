//! Everything that a store has, read out or put in, for moving and for backups. Blocks.
//!
//! What is read of a database file is what it had at one moment, whoever writes to it meanwhile. Redis has no such moment:
//! a key that is there from the beginning to the end is read once at least, with a value that it had meanwhile.

use crate::redis::transfer as redis;
use crate::sqlite::transfer as sqlite;
use crate::{KEY_LIMIT, VALUE_LIMIT};
use std::path::PathBuf;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A database file.
    Sqlite(PathBuf),
    /// The URL of a Redis.
    Redis(String),
}

/// A key and its value.
pub type Entry = (String, Vec<u8>);

/// What becomes of what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// There must be nothing.
    Refuse,
    /// It stays where nothing new has its key.
    Merge,
    /// It goes.
    Replace,
}

/// Why nothing, or not everything, was moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There are keys already.
    #[error("the store {0} is not empty")]
    NotEmpty(String),
    /// What is put in could not be read, or what is read could not be taken.
    #[error(transparent)]
    Other(#[from] std::io::Error),
    /// An entry is larger than a store takes.
    #[error("{0:?} is too large: a key has up to {KEY_LIMIT} bytes, a value up to {VALUE_LIMIT}")]
    TooLarge(String),
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

/// Takes an entry.
pub type Take<'a> = dyn FnMut(&str, &[u8]) -> std::io::Result<()> + 'a;

/// Gives entries, one after the other.
pub type Give<'a> = dyn Iterator<Item = std::io::Result<Entry>> + 'a;

/// Reads every key under `label`; how many there were. A label is of database files alone.
///
/// # Errors
/// Where the store is not there, or fails; `take`'s.
pub fn read(target: &Target, label: &str, take: &mut Take<'_>) -> Result<u64, TransferError> {
    match target {
        Target::Sqlite(path) => sqlite::read(path, label, take),
        Target::Redis(url) => redis::read(url, take),
    }
}

/// Puts entries in; how many there were. A database file has all of them afterwards or none; a Redis that fails midway
/// has some, and may be given them again.
///
/// # Errors
/// Where a host has the database open, where there is something already that may not be, where the store fails; `give`'s.
pub fn write(
    target: &Target,
    label: &str,
    existing: Existing,
    give: &mut Give<'_>,
) -> Result<u64, TransferError> {
    match target {
        Target::Sqlite(path) => sqlite::write(path, label, existing, give),
        Target::Redis(url) => redis::write(url, existing, give),
    }
}

/// Refuses what no store takes.
pub(crate) fn check((key, value): &Entry) -> Result<(), TransferError> {
    match key.len() <= KEY_LIMIT && value.len() <= VALUE_LIMIT {
        true => Ok(()),
        false => Err(TransferError::TooLarge(key.clone())),
    }
}
