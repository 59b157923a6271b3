//! Reading: from Redis, or for decisions from what the feed keeps true.

use super::link::Link;
use super::shared::{SPACE, Shared};
use crate::cache::Lookup;
use crate::{BATCH_BYTES_LIMIT, StoreError, VALUE_LIMIT, limits};
use bytes::Bytes;
use redis::{Cmd, RedisError, Value};

/// Reads many values, unless they are too large together. One command, so all are of one
/// moment; what is too large is not even sent.
const BOUNDED_MGET: &str = "local bytes = 0
for _, key in ipairs(KEYS) do bytes = bytes + redis.call('STRLEN', key) end
if bytes > tonumber(ARGV[1]) then return bytes end
return redis.call('MGET', unpack(KEYS))";

/// So many values fit together, whatever they are.
const ALWAYS_FIT: usize = BATCH_BYTES_LIMIT / VALUE_LIMIT;

impl Shared {
    /// The value of `key`, as Redis has it now.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let link = self.link().await?;
        let value: Option<Vec<u8>> = link
            .run(redis::cmd("GET").arg(key))
            .await
            .map_err(|error| self.unavailable(error))?;
        Ok(value.map(Bytes::from))
    }

    /// The values of `keys`, as Redis has them now.
    pub(super) async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let link = self.link().await?;
        self.get_many_by(&link, keys).await
    }

    async fn get_many_by(
        &self,
        link: &Link,
        keys: &[String],
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let failed = |error: RedisError| self.unavailable(error);
        let values = match link.run(&mget(keys)).await.map_err(failed)? {
            Value::Array(values) => values,
            Value::Int(bytes) => {
                limits::check_batch_bytes(usize::try_from(bytes).unwrap_or(usize::MAX))?;
                return Err(self.unavailable("it refused to read"));
            }
            other => return Err(self.unavailable(format!("it answered {other:?} to a read"))),
        };
        let values: Vec<Option<Bytes>> = values
            .into_iter()
            .map(|value| match value {
                Value::BulkString(value) => Some(Bytes::from(value)),
                _ => None,
            })
            .collect();
        limits::check_batch_bytes(values.iter().flatten().map(Bytes::len).sum())?;
        Ok(values)
    }

    /// What the cache knows of `keys` together: their values at one moment that no change is
    /// known to have ended.
    ///
    /// One key's value is what it is. Values of several belong together if all were read
    /// before a beat that has come back: every change before that beat has been heard of,
    /// so all of them were true at its moment.
    pub(super) fn recall(&self, keys: &[String]) -> Option<Vec<Option<Bytes>>> {
        if !self.lease.holds() {
            return None;
        }
        let before = if keys.len() == 1 {
            u64::MAX
        } else {
            self.lease.proven()
        };
        let sequence = self.cache.sequence();
        let values: Option<Vec<_>> = keys
            .iter()
            .map(|key| match self.cache.get_before(before, SPACE, key) {
                Lookup::Known(value) => Some(value),
                Lookup::Unknown => None,
            })
            .collect();
        // What a change took out meanwhile was there for some keys and not for others.
        values.filter(|_| self.cache.sequence() == sequence)
    }

    /// Reads `keys` for a decision, and keeps what was read.
    pub(super) async fn read_through(
        &self,
        keys: &[String],
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let link = self.proven_link().await?;
        let fills: Vec<_> = keys
            .iter()
            .map(|key| self.cache.prepare(SPACE, key))
            .collect();
        let values = self.get_many_by(&link, keys).await?;
        let stamp = self.lease.sent();
        for ((key, fill), value) in keys.iter().zip(&fills).zip(&values) {
            self.cache.fill_at(stamp, fill, SPACE, key, value.as_ref());
        }
        Ok(values)
    }

    /// Refuses keys whose changes nobody would hear of.
    pub(super) fn check_followed(&self, keys: &[String]) -> Result<(), StoreError> {
        let followed = |key: &String| self.prefixes.iter().any(|prefix| key.starts_with(prefix));
        match keys.iter().find(|key| !followed(key)) {
            Some(key) if !self.prefixes.is_empty() => Err(self.unavailable(format!(
                "decisions may read keys that begin with {:?}, not {key:?}",
                self.prefixes
            ))),
            _ => Ok(()),
        }
    }
}

fn mget(keys: &[String]) -> Cmd {
    if keys.len() <= ALWAYS_FIT {
        let mut command = redis::cmd("MGET");
        command.arg(keys);
        return command;
    }
    let mut command = redis::cmd("EVAL_RO");
    command
        .arg(BOUNDED_MGET)
        .arg(keys.len())
        .arg(keys)
        .arg(BATCH_BYTES_LIMIT);
    command
}
