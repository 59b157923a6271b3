//! A queue of slot numbers that may be free: hints, nothing more.
//!
//! `push` delivers at least once, and `pop` at most once per push, except that a
//! crash inside `pop` loses the hint. Because hints may be doubled or stale, whoever
//! takes one must claim the slot before using it ([`crate::roster`]).
//!
//! Places are handed out by incrementing `tail`, and taken by incrementing `head`.
//! One who takes a place before its hint is written finds nothing; the pusher sees
//! that `head` has passed and pushes again.

use crate::kv::{Error, Write, counter, decode_counter};

/// One hint for the ring with this base key.
#[derive(Debug)]
pub(crate) struct Hint<'a> {
    /// The base key of the ring.
    pub(crate) base: &'a str,
    /// The slot that may be free.
    pub(crate) slot: u64,
}

/// What [`pop`] took out of a ring.
#[derive(Debug)]
pub(crate) struct Popped {
    /// The slot, unless the hint was not written yet.
    pub(crate) slot: Option<u64>,
    /// The key of the hint, to be deleted once it is used.
    pub(crate) key: String,
}

pub(crate) fn head_key(base: &str) -> String {
    format!("{base}/free/head")
}

pub(crate) fn tail_key(base: &str) -> String {
    format!("{base}/free/tail")
}

pub(crate) fn item_key(base: &str, place: u64) -> String {
    format!("{base}/free/{place}")
}

/// Pushes all hints: one increment and one get for each, one set-many for all.
/// Returns the keys of the hints, in their order.
pub(crate) async fn push<S: Write>(store: &S, hints: &[Hint<'_>]) -> Result<Vec<String>, Error> {
    let mut keys = vec![String::new(); hints.len()];
    // Which hints are to be pushed, and how far their places lie ahead.
    let mut pending: Vec<(usize, i64)> = (0..hints.len()).map(|index| (index, 1)).collect();
    while !pending.is_empty() {
        let mut places = Vec::with_capacity(pending.len());
        let mut entries = Vec::with_capacity(pending.len());
        for (index, ahead) in pending {
            let Hint { base, slot } = hints[index];
            let place = increment(store, &tail_key(base), ahead).await?;
            places.push((index, place));
            keys[index] = item_key(base, place);
            entries.push((keys[index].clone(), slot.to_string().into_bytes()));
        }
        store.set_many(entries).await?;
        pending = Vec::new();
        let mut stray = Vec::new();
        for (index, place) in places {
            let head = counter(store, &head_key(hints[index].base)).await?;
            if head >= place {
                stray.push(keys[index].clone());
                pending.push((index, (head - place + 1).cast_signed()));
            }
        }
        if !stray.is_empty() {
            store.delete_many(stray).await?;
        }
    }
    Ok(keys)
}

/// Takes the next hint, or `None` if the ring is empty: one get where nothing was
/// ever freed.
pub(crate) async fn pop<S: Write>(store: &S, base: &str) -> Result<Option<Popped>, Error> {
    let tail = counter(store, &tail_key(base)).await?;
    if tail == 0 || counter(store, &head_key(base)).await? >= tail {
        return Ok(None);
    }
    let place = increment(store, &head_key(base), 1).await?;
    let key = item_key(base, place);
    let slot = match store.get(&key).await? {
        Some(bytes) => Some(decode_counter(&key, Some(&bytes))?),
        None => None,
    };
    Ok(Some(Popped { slot, key }))
}

/// The keys left in the ring of a removed owner. Where they are more than `limit`
/// hints, deletes so many and returns `None`: there is more to do.
pub(crate) async fn leftover<S: Write>(
    store: &S,
    base: &str,
    limit: u64,
) -> Result<Option<Vec<String>>, Error> {
    let tail = counter(store, &tail_key(base)).await?;
    // Named even where they are absent: a late push may bring them back.
    let ends = [head_key(base), tail_key(base)];
    if tail == 0 {
        return Ok(Some(ends.into()));
    }
    let head = counter(store, &head_key(base)).await?;
    let last = tail.min(head.saturating_add(limit));
    let mut keys: Vec<String> = (head + 1..=last)
        .map(|place| item_key(base, place))
        .collect();
    if last < tail {
        store.delete_many(keys).await?;
        increment(store, &head_key(base), limit.cast_signed()).await?;
        return Ok(None);
    }
    keys.extend(ends);
    Ok(Some(keys))
}

/// Increments a counter that never falls below 0.
pub(crate) async fn increment<S: Write>(store: &S, key: &str, delta: i64) -> Result<u64, Error> {
    let sum = store.increment(key, delta).await?;
    u64::try_from(sum).map_err(|_| Error::Record {
        key: key.to_owned(),
        error: crate::record::RecordError::Malformed,
    })
}
