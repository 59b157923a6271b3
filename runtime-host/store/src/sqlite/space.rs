//! One key space as a [`Store`]: reads run on the caller's thread, writes go to the queue.

use super::Database;
use super::shared::{Shared, Space};
use super::writer::{Outcome, Write};
use crate::cache::Lookup;
use crate::{LocalStore, Store, StoreError, StoreFuture, limits};
use bytes::Bytes;
use std::future::ready;
use std::sync::Arc;

/// Keys that a listing reads before it lets other tasks of its thread go on.
const KEYS_AT_ONCE: usize = 256;

/// One key space as a [`Store`].
pub(super) struct SqliteStore {
    pub(super) database: Arc<Database>,
    pub(super) space: Arc<Space>,
}

impl SqliteStore {
    fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let Shared { cache, readers, .. } = &*self.database.shared;
        let Space { number, label, .. } = &*self.space;
        if let Lookup::Known(value) = cache.get(*number, key) {
            return Ok(value);
        }
        limits::check_key(key)?;
        let fill = cache.prepare(*number, key);
        let value = readers.get(label, key)?;
        cache.fill(&fill, *number, key, value.as_ref());
        Ok(value)
    }

    fn read_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        if let [key] = keys {
            return Ok(vec![self.read(key)?]);
        }
        limits::check_keys(keys)?;
        let cache = &self.database.shared.cache;
        let sequence = cache.sequence();
        let mut values: Vec<_> = keys
            .iter()
            .map(|key| cache.get(self.space.number, key))
            .collect();
        let missing: Vec<usize> = (0..keys.len())
            .filter(|&index| matches!(values[index], Lookup::Unknown))
            .collect();
        self.read_missing(keys, &missing, &mut values)?;
        if cache.sequence() != sequence {
            // A write began meanwhile: what the cache said and what the database said
            // may not belong together. A snapshot of the database does.
            let all: Vec<usize> = (0..keys.len()).collect();
            self.read_missing(keys, &all, &mut values)?;
        }
        let values: Vec<_> = values.into_iter().map(Lookup::value).collect();
        limits::check_batch_bytes(values.iter().flatten().map(Bytes::len).sum())?;
        Ok(values)
    }

    /// Reads the keys at the places in `missing` from one snapshot of the database.
    fn read_missing(
        &self,
        keys: &[String],
        missing: &[usize],
        values: &mut [Lookup],
    ) -> Result<(), StoreError> {
        if missing.is_empty() {
            return Ok(());
        }
        let Shared { cache, readers, .. } = &*self.database.shared;
        let Space { number, label, .. } = &*self.space;
        let wanted: Vec<&str> = missing.iter().map(|&index| keys[index].as_str()).collect();
        let fills: Vec<_> = wanted
            .iter()
            .map(|key| cache.prepare(*number, key))
            .collect();
        let found = readers.get_many(label, &wanted)?;
        for (((&index, key), fill), value) in missing.iter().zip(wanted).zip(&fills).zip(found) {
            cache.fill(fill, *number, key, value.as_ref());
            values[index] = Lookup::Known(value);
        }
        Ok(())
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut keys: Vec<String> = Vec::new();
        while keys.len() < limit {
            let after = keys.last().map(String::as_str).or(after);
            let wanted = KEYS_AT_ONCE.min(limit - keys.len());
            let mut page = self
                .database
                .shared
                .readers
                .keys(&self.space.label, after, wanted)?;
            let last = page.len() < wanted;
            keys.append(&mut page);
            if last {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(keys)
    }

    async fn write(&self, bytes: usize, write: Write) -> Result<Outcome, StoreError> {
        self.database.write(&self.space, bytes, write).await
    }
}

impl LocalStore for SqliteStore {
    fn get_now(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.read(key)
    }
}

impl Store for SqliteStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(ready(self.read(key)))
    }

    fn local(&self) -> Option<&dyn LocalStore> {
        Some(self)
    }

    fn get_many<'a>(&'a self, keys: &'a [String]) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(ready(self.read_many(keys)))
    }

    fn get_many_blocking(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.read_many(keys)
    }

    fn set_many(&self, entries: Vec<(String, Bytes)>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            limits::check_entries(&entries)?;
            if entries.is_empty() {
                return Ok(());
            }
            let bytes = limits::queued_entries(&entries);
            self.write(bytes, Write::SetMany(entries)).await.map(drop)
        })
    }

    fn delete_many(&self, keys: Vec<String>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            limits::check_keys(&keys)?;
            if keys.is_empty() {
                return Ok(());
            }
            let bytes = limits::queued_keys(&keys);
            self.write(bytes, Write::DeleteMany(keys)).await.map(drop)
        })
    }

    fn increment(&self, key: String, delta: i64) -> StoreFuture<'_, i64> {
        Box::pin(async move {
            limits::check_key(&key)?;
            match self
                .write(
                    limits::ENTRY_BYTES + key.len(),
                    Write::Increment { key, delta },
                )
                .await?
            {
                Outcome::Sum(sum) => Ok(sum),
                Outcome::Done | Outcome::Swapped(_) => Err(self.database.closed()),
            }
        })
    }

    fn swap(&self, key: String, expected: Option<Bytes>, new: Bytes) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            limits::check_key(&key)?;
            limits::check_value(&new)?;
            let bytes = limits::ENTRY_BYTES
                + key.len()
                + new.len()
                + expected.as_ref().map_or(0, Bytes::len);
            // Nothing larger can be stored, so nothing larger can be what is stored.
            if expected
                .as_ref()
                .is_some_and(|expected| limits::check_value(expected).is_err())
            {
                return Ok(false);
            }
            match self
                .write(bytes, Write::Swap { key, expected, new })
                .await?
            {
                Outcome::Swapped(swapped) => Ok(swapped),
                Outcome::Done | Outcome::Sum(_) => Err(self.database.closed()),
            }
        })
    }

    fn keys<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>> {
        Box::pin(self.list(after, limit))
    }
}
