//! The state as a [`Store`].

use super::shared::Shared;
use super::swap;
use super::writer::{Outcome, Write};
use crate::{Store, StoreError, StoreFuture, limits};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

pub(super) struct RedisSpace(pub(super) Arc<Shared>);

impl RedisSpace {
    async fn write(&self, bytes: usize, write: Write) -> Result<Outcome, StoreError> {
        let begun = Instant::now();
        let answer = self.0.write(bytes, write).await?;
        self.0.latency.record(begun.elapsed());
        answer.settled().await
    }
}

impl Store for RedisSpace {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            limits::check_key(key)?;
            self.0.get(key).await
        })
    }

    fn get_many<'a>(&'a self, keys: &'a [String]) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            limits::check_keys(keys)?;
            self.0.get_many(keys).await
        })
    }

    fn get_many_blocking(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        limits::check_keys(keys)?;
        self.0.check_followed(keys)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(values) = self.0.recall(keys) {
            limits::check_batch_bytes(values.iter().flatten().map(Bytes::len).sum())?;
            return Ok(values);
        }
        let (answer, answered) = sync_channel(1);
        let (shared, keys) = (Arc::clone(&self.0), keys.to_vec());
        self.0.runtime.spawn(async move {
            // Nobody waits once the caller's thread is gone.
            let _ = answer.send(shared.read_through(&keys).await);
        });
        answered.recv().unwrap_or_else(|_| Err(self.0.closed()))
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
            let bytes = limits::ENTRY_BYTES + key.len();
            let increment = Write::Increment {
                key: key.clone(),
                delta,
            };
            match self.write(bytes, increment).await? {
                Outcome::Sum(sum) => Ok(sum),
                _ => swap::count(&self.0, bytes, key, delta).await,
            }
        })
    }

    fn swap(&self, key: String, expected: Option<Bytes>, new: Bytes) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            limits::check_key(&key)?;
            limits::check_value(&new)?;
            let bytes = limits::ENTRY_BYTES + key.len() + new.len();
            let Some(expected) = expected else {
                let outcome = self.write(bytes, Write::Create { key, new }).await?;
                return Ok(matches!(outcome, Outcome::Set(true)));
            };
            swap::swap(&self.0, bytes, key, expected, new).await
        })
    }

    fn keys<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>> {
        Box::pin(self.0.keys(after, limit))
    }

    fn proven_until(&self) -> Option<Instant> {
        Some(self.0.lease.until())
    }
}
