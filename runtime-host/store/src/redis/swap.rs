//! Compare-and-swap, and counting on what Redis does not take for a number.
//!
//! Redis compares nothing before it writes, and what a script writes would be told back by
//! the feed as somebody else's change. So the key is watched, read and compared here, and
//! written in a transaction that fails if somebody wrote meanwhile. What a connection
//! watches it watches until its next transaction: so one swap at a time, each in a task of
//! its own, which goes on when its caller does not.

use super::link::Link;
use super::shared::Shared;
use super::writer::{Outcome, Write};
use crate::{Barrier, StoreError, counter};
use bytes::Bytes;
use redis::{FromRedisValue, Pipeline};
use std::sync::Arc;

/// How often a swap begins anew because somebody else wrote the key. Each time somebody
/// else got on.
const RACES: usize = 1_000;

/// What is to be written in place of what is there; `Err` is the answer where nothing is.
type Step<T> = Box<dyn Fn(Option<Bytes>) -> Result<(Bytes, T), Result<T, StoreError>> + Send>;

/// Writes `new` if `key` is `expected`.
pub(super) async fn swap(
    shared: &Arc<Shared>,
    bytes: usize,
    key: String,
    expected: Bytes,
    new: Bytes,
) -> Result<bool, StoreError> {
    let step: Step<bool> = Box::new(move |current| match current {
        Some(current) if current == expected => Ok((new.clone(), true)),
        _ => Err(Ok(false)),
    });
    exchange(shared, bytes, key, step).await
}

/// Adds to a counter that is not in Redis' own form.
pub(super) async fn count(
    shared: &Arc<Shared>,
    bytes: usize,
    key: String,
    delta: i64,
) -> Result<i64, StoreError> {
    let name = key.clone();
    let step: Step<i64> = Box::new(move |current| {
        let current = match &current {
            Some(value) => counter::decode(value),
            None => Some(0),
        };
        let sum = current.and_then(|current| current.checked_add(delta));
        let sum = sum.ok_or_else(|| Err(StoreError::NotACounter(name.clone())))?;
        Ok((Bytes::from(sum.to_string()), sum))
    });
    exchange(shared, bytes, key, step).await
}

async fn exchange<T: Send + 'static>(
    shared: &Arc<Shared>,
    bytes: usize,
    key: String,
    step: Step<T>,
) -> Result<T, StoreError> {
    let task = Arc::clone(shared);
    let task = shared.runtime.spawn(async move {
        let _turn = task.turn.lock().await;
        in_turn(&task, bytes, &key, step).await
    });
    let (outcome, barriers) = task.await.map_err(|_| shared.closed())??;
    for barrier in barriers {
        barrier.await;
    }
    Ok(outcome)
}

/// The exchange itself. The caller has the turn.
async fn in_turn<T>(
    shared: &Shared,
    bytes: usize,
    key: &str,
    step: Step<T>,
) -> Result<(T, Vec<Barrier>), StoreError> {
    for _ in 0..RACES {
        let link = shared.link().await?;
        let current = watch(shared, &link, key).await?;
        let (new, outcome) = match step(current) {
            Ok(next) => next,
            Err(result) => return result.map(|outcome| (outcome, Vec::new())),
        };
        let write = Write::Guarded {
            link,
            key: key.to_owned(),
            new,
        };
        let (result, barriers) = shared.write(bytes, write).await?.split();
        if let Outcome::Set(true) = result? {
            return Ok((outcome, barriers));
        }
    }
    Err(shared.unavailable(format!("{key:?} changes faster than it can be compared")))
}

/// Watches `key` alone, and reads it.
async fn watch(shared: &Shared, link: &Link, key: &str) -> Result<Option<Bytes>, StoreError> {
    let mut commands = Pipeline::with_capacity(3);
    commands.ignore_errors();
    commands.cmd("UNWATCH");
    commands.cmd("WATCH").arg(key);
    commands.cmd("GET").arg(key);
    let failed = |error| shared.unavailable(error);
    let mut replies = link.run_all(&commands).await.map_err(failed)?;
    let value = match replies.pop() {
        Some(value) => value.map_err(failed)?,
        None => return Err(shared.closed()),
    };
    let value: Option<Vec<u8>> =
        FromRedisValue::from_redis_value(value).map_err(|error| shared.unavailable(error))?;
    Ok(value.map(Bytes::from))
}
