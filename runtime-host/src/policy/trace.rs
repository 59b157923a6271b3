//! What one evaluation observes, noted as it observes it.

use super::memo::{Index, Verdict};
use crate::clock::unix_now;
use crate::store::Store;
use crate::wasm::authority::{ReadError, Reads};
use bytes::Bytes;
use std::sync::Arc;

/// The most keys that one decision may read: a page of 100 rooms takes about 400.
const KEYS_PER_DECISION: usize = 4_096;

/// The most bytes that one decision may read.
const BYTES_PER_DECISION: usize = 4 << 20;

/// The reads of one evaluation. See [`super::memo`] for why a key is noted first and read then.
pub(super) struct Trace {
    pub(super) verdict: Arc<Verdict>,
    index: Arc<Index>,
    store: Arc<dyn Store>,
    keys: usize,
    bytes: usize,
    /// The time that the component was told, if it asked.
    told_time: Option<u64>,
}

impl Trace {
    pub(super) fn new(index: &Arc<Index>, store: &Arc<dyn Store>) -> Self {
        Self {
            verdict: index.begin(),
            index: Arc::clone(index),
            store: Arc::clone(store),
            keys: 0,
            bytes: 0,
            told_time: None,
        }
    }
}

impl Reads for Trace {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.keys += keys.len();
        if self.keys > KEYS_PER_DECISION {
            return Err(ReadError::Limit);
        }
        for key in keys {
            self.index.note(key, &self.verdict);
        }
        let values = self
            .store
            .get_many_blocking(keys)
            .map_err(|error| ReadError::Store(error.to_string()))?;
        self.bytes += values.iter().flatten().map(Bytes::len).sum::<usize>();
        if self.bytes > BYTES_PER_DECISION {
            return Err(ReadError::Limit);
        }
        Ok(values)
    }

    fn now(&mut self) -> u64 {
        // One evaluation sees one time, so that what it derives from it is of a piece.
        self.verdict.told_time();
        *self.told_time.get_or_insert_with(unix_now)
    }
}
