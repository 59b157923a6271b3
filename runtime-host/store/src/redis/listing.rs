//! Listing keys in order, of a database that knows none.
//!
//! Each page scans the whole database and keeps the smallest keys after the cursor: memory
//! for one page, time for all keys. No shipped component lists keys.

use super::BEAT_PREFIX;
use super::shared::Shared;
use crate::StoreError;
use redis::RedisError;
use std::collections::BTreeSet;

/// Keys that Redis looks at in one go, so that a scan does not stop it for long.
const KEYS_AT_ONCE: usize = 1_000;

impl Shared {
    /// At most `limit` keys after `after`, in ascending byte order.
    pub(super) async fn keys(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut smallest: BTreeSet<String> = BTreeSet::new();
        let mut cursor: u64 = 0;
        if limit == 0 {
            return Ok(Vec::new());
        }
        loop {
            let link = self.link().await?;
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("COUNT").arg(KEYS_AT_ONCE);
            // Whatever else is there belongs to others.
            scan.arg("TYPE").arg("string");
            let (next, keys): (u64, Vec<Vec<u8>>) = link
                .run(&scan)
                .await
                .map_err(|error: RedisError| self.unavailable(error))?;
            for key in keys {
                let Ok(key) = String::from_utf8(key) else {
                    continue;
                };
                if key.starts_with(BEAT_PREFIX) || after.is_some_and(|after| *key <= *after) {
                    continue;
                }
                let full = smallest.len() == limit;
                if full && smallest.last().is_some_and(|last| key > *last) {
                    continue;
                }
                if smallest.insert(key) && full {
                    smallest.pop_last();
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        Ok(smallest.into_iter().collect())
    }
}
