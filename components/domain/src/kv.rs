//! The key-value store as this crate sees it: two small traits and what may go wrong.
//!
//! Only operations that every backend does correctly are here. There is no
//! compare-and-swap and no listing of keys on purpose.

use crate::record::RecordError;
use std::future::Future;

/// The most keys that one batch of this crate names. Stores bound their batches.
pub(crate) const BATCH: usize = 256;

/// Why an operation could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store failed; the operation may or may not have taken effect.
    #[error("store unavailable: {0}")]
    Store(String),
    /// More was read than one call may read.
    #[error("the call reads more than it may")]
    Limit,
    /// The value of `key` can't be read, or was written by a newer version.
    #[error("the value of {key:?}: {error}")]
    Record {
        /// Where the value lies.
        key: String,
        /// What is wrong with it.
        error: RecordError,
    },
    /// A listing cursor that was not given out by this roster.
    #[error("not a cursor")]
    Cursor,
}

/// Reading. A read sees every write that was acknowledged before it began.
///
/// Futures need not be `Send`: components are single-threaded.
pub trait Read {
    /// The value of `key`, or `None`.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Error>>;

    /// Whether `key` has a value.
    fn exists(&self, key: &str) -> impl Future<Output = Result<bool, Error>> {
        async move { Ok(self.get(key).await?.is_some()) }
    }

    /// The values of `keys`, in their order; a loop unless the store does better.
    /// Not a snapshot: keys may be read one after the other.
    fn get_many(
        &self,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, Error>> {
        async move {
            let mut values = Vec::with_capacity(keys.len());
            for key in keys {
                values.push(self.get(key).await?);
            }
            Ok(values)
        }
    }
}

/// Writing. Calls made one after the other take effect in that order, and an
/// acknowledged write is durable where the store is.
pub trait Write: Read {
    /// Writes `value` at `key`.
    fn set(&self, key: &str, value: Vec<u8>) -> impl Future<Output = Result<(), Error>>;

    /// Removes `key`; an absent key is no error.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Error>>;

    /// Writes all `entries` or none, visible at once.
    fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> impl Future<Output = Result<(), Error>>;

    /// Removes all `keys` that are there, visible at once.
    fn delete_many(&self, keys: Vec<String>) -> impl Future<Output = Result<(), Error>>;

    /// Adds `delta` to the counter at `key` (absent counts as 0), atomically, and
    /// returns the sum. A counter is never written by any other call.
    fn increment(&self, key: &str, delta: i64) -> impl Future<Output = Result<i64, Error>>;
}

/// The counter at `key`; an absent one counts as 0.
pub(crate) async fn counter<S: Read>(store: &S, key: &str) -> Result<u64, Error> {
    decode_counter(key, store.get(key).await?.as_deref())
}

/// What `increment` left at `key`: 8 little-endian bytes in SQLite, decimal text
/// in Redis. All digits means text: as bytes it would be a number above 3 × 10¹⁸.
pub(crate) fn decode_counter(key: &str, value: Option<&[u8]>) -> Result<u64, Error> {
    let Some(bytes) = value else { return Ok(0) };
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = match text {
        Some(digits) => digits.parse().ok(),
        None => <[u8; 8]>::try_from(bytes).ok().map(u64::from_le_bytes),
    };
    number
        .filter(|number| i64::try_from(*number).is_ok())
        .ok_or_else(|| Error::Record {
            key: key.to_owned(),
            error: RecordError::Malformed,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_bytes_or_text() {
        let decode = |value: &[u8]| decode_counter("c", Some(value)).ok();
        assert_eq!(decode_counter("c", None), Ok(0));
        assert_eq!(decode(&7u64.to_le_bytes()), Some(7));
        assert_eq!(decode(b"7"), Some(7));
        assert_eq!(decode(b"12345678"), Some(12_345_678));
        assert_eq!(decode(b"10000"), Some(10_000));
        assert_eq!(decode(&0x3130_u64.to_le_bytes()), Some(0x3130));
        for wrong in [&b""[..], b"-1", b"1x", b"seven", &(-1i64).to_le_bytes()] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }
}
