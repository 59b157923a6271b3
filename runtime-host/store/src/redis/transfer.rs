//! A Redis, read out by scanning it, or filled in batches.

use super::BEAT_PREFIX;
use crate::transfer::{Entry, Existing, Give, Take, TransferError, check};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use sschat_redis::Place;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Keys that Redis looks at in one go.
const KEYS_AT_ONCE: usize = 500;

/// The most bytes of a batch that is written.
const BATCH: usize = 4 << 20;

/// How long Redis may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection with a runtime of its own.
struct Line {
    runtime: Runtime,
    connection: MultiplexedConnection,
    address: String,
}

impl Line {
    fn open(url: &str) -> Result<Self, TransferError> {
        let failed = |reason: String| TransferError::Store(reason);
        let place = Place::read(url)
            .map_err(|reason| failed(format!("the URL of Redis can't be used: {reason}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let address = place.to_string();
        let connection = runtime.block_on(async {
            let client = place.client().await?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            connecting.await.map_err(|error| error.to_string())
        });
        let connection =
            connection.map_err(|reason| failed(format!("Redis at {address}: {reason}")))?;
        Ok(Self {
            runtime,
            connection,
            address,
        })
    }

    fn run<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, TransferError> {
        let running = command.query_async(&mut self.connection);
        self.runtime.block_on(running).map_err(|error: RedisError| {
            TransferError::Store(format!("Redis at {}: {error}", self.address))
        })
    }

    /// Some of the keys that are this system's, and where to go on.
    fn scan(&mut self, cursor: u64) -> Result<(u64, Vec<String>), TransferError> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(KEYS_AT_ONCE);
        // Whatever else is there belongs to others, or to rooms.
        scan.arg("TYPE").arg("string");
        let (next, keys): (u64, Vec<Vec<u8>>) = self.run(&scan)?;
        let ours = keys
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok());
        Ok((next, ours.filter(|key| is_state(key)).collect()))
    }
}

/// Whether a key is of the state: not what proves feeds, nor what rooms and hosts keep beside it.
fn is_state(key: &str) -> bool {
    !key.starts_with(BEAT_PREFIX) && !key.starts_with("sschat-")
}

pub(crate) fn read(url: &str, take: &mut Take<'_>) -> Result<u64, TransferError> {
    let mut line = Line::open(url)?;
    let (mut cursor, mut count) = (0, 0);
    loop {
        let (next, keys) = line.scan(cursor)?;
        if !keys.is_empty() {
            let mut get = redis::cmd("MGET");
            get.arg(&keys);
            let values: Vec<Option<Vec<u8>>> = line.run(&get)?;
            for (key, value) in keys.iter().zip(values) {
                // It went meanwhile.
                let Some(value) = value else { continue };
                take(key, &value)?;
                count += 1;
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(count);
        }
    }
}

pub(crate) fn write(
    url: &str,
    existing: Existing,
    give: &mut Give<'_>,
) -> Result<u64, TransferError> {
    let mut line = Line::open(url)?;
    if existing != Existing::Merge {
        clear(&mut line, existing)?;
    }
    let (mut batch, mut bytes, mut count) = (Vec::new(), 0, 0);
    for entry in give {
        let entry = entry?;
        check(&entry)?;
        bytes += entry.0.len() + entry.1.len();
        batch.push(entry);
        count += 1;
        if bytes >= BATCH || batch.len() >= KEYS_AT_ONCE {
            send(&mut line, &mut batch)?;
            bytes = 0;
        }
    }
    send(&mut line, &mut batch)?;
    Ok(count)
}

fn clear(line: &mut Line, existing: Existing) -> Result<(), TransferError> {
    let mut cursor = 0;
    loop {
        let (next, keys) = line.scan(cursor)?;
        if !keys.is_empty() {
            if existing == Existing::Refuse {
                return Err(TransferError::NotEmpty(line.address.clone()));
            }
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(&keys);
            line.run::<u64>(&unlink)?;
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

fn send(line: &mut Line, batch: &mut Vec<Entry>) -> Result<(), TransferError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut set = redis::cmd("MSET");
    for (key, value) in batch.drain(..) {
        set.arg(key).arg(value);
    }
    line.run::<()>(&set)
}
