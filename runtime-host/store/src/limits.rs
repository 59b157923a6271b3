//! The bounds that every store holds its callers to, checked before anything else.

use super::{BATCH_BYTES_LIMIT, BATCH_LIMIT, KEY_LIMIT, StoreError, VALUE_LIMIT};
use bytes::Bytes;

/// What an operation in a store's queue costs beside its keys and values; with it the queue
/// is bounded in operations too.
pub(super) const ENTRY_BYTES: usize = 256;

/// What a batch of writes takes of a store's queue.
pub(super) fn queued_entries(entries: &[(String, Bytes)]) -> usize {
    let each = entries.iter();
    each.map(|(key, value)| ENTRY_BYTES + key.len() + value.len())
        .sum()
}

/// What a batch of deletions takes of a store's queue.
pub(super) fn queued_keys(keys: &[String]) -> usize {
    keys.iter().map(|key| ENTRY_BYTES + key.len()).sum()
}

/// Refuses a key over [`KEY_LIMIT`].
pub(super) fn check_key(key: &str) -> Result<(), StoreError> {
    if key.len() > KEY_LIMIT {
        let length = key.len();
        return Err(StoreError::TooLarge(format!(
            "a key of {length} bytes; at most {KEY_LIMIT} are allowed"
        )));
    }
    Ok(())
}

/// Refuses a value over [`VALUE_LIMIT`].
pub(super) fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > VALUE_LIMIT {
        let length = value.len();
        return Err(StoreError::TooLarge(format!(
            "a value of {length} bytes; at most {VALUE_LIMIT} are allowed"
        )));
    }
    Ok(())
}

/// Refuses a batch of too many keys, and a key that is too long.
pub(super) fn check_keys(keys: &[String]) -> Result<(), StoreError> {
    check_count(keys.len())?;
    keys.iter().try_for_each(|key| check_key(key))
}

/// Refuses a batch that is too large, as a whole or in one of its entries.
pub(super) fn check_entries(entries: &[(String, Bytes)]) -> Result<(), StoreError> {
    check_count(entries.len())?;
    let mut bytes = 0;
    for (key, value) in entries {
        check_key(key)?;
        check_value(value)?;
        bytes += key.len() + value.len();
    }
    check_batch_bytes(bytes)
}

/// Refuses a batch that writes or reads more than [`BATCH_BYTES_LIMIT`].
pub(super) fn check_batch_bytes(bytes: usize) -> Result<(), StoreError> {
    if bytes > BATCH_BYTES_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "a batch of {bytes} bytes or more; at most {BATCH_BYTES_LIMIT} are allowed"
        )));
    }
    Ok(())
}

fn check_count(count: usize) -> Result<(), StoreError> {
    if count > BATCH_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "a batch of {count} keys; at most {BATCH_LIMIT} are allowed"
        )));
    }
    Ok(())
}
