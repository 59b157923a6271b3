//! What is left of uploads: which of them are dead, and their deletion.
//!
//! Beside the number of the last upload stands the number up to which they are
//! settled: below it nothing is left but what is in a place. Every change looks at the
//! numbers in between. Who leaves a place is counted as not settled in the very write
//! that makes it leave, so that a crash right after it loses nothing.
//!
//! What later changes can't find, because a maker crashed just between deciding and
//! placing, or because a crash met another's change, is found by the removal of the
//! tenant, which deletes what lies under any number.

use crate::access::Components;
use crate::id::AppId;
use crate::key;
use crate::kv::{BATCH, Error, Read, Write, counter};
use crate::policy::components;
use crate::record::{self, Component, Role, decode_at};
use crate::upload::CHUNKS;
use std::ops::Range;

/// How far a discarder moves the counter that decides about an upload; its maker
/// moves it by 1.
const DISCARDS: i64 = 1 << 20;

/// How many uploads are deleted at once: what lies under their numbers, present or
/// not, fits in one batch.
const UPLOADS_PER_DELETE: usize = 16;

/// The number up to which uploads are settled once those that `leave` names have left
/// their places. What is written there now is read first: whatever comes into a place
/// after that has a higher number.
pub(crate) async fn settled_before<S: Read>(
    store: &S,
    tenant: AppId,
    leave: impl Fn(Components) -> [Option<Component>; 2],
) -> Result<u64, Error> {
    let settled = settled(store, tenant).await?;
    let leave = leave(components(store, tenant).await?)
        .into_iter()
        .flatten();
    let first = leave.map(|component| component.upload).min();
    Ok(first.map_or(settled, |first| settled.min(first - 1)))
}

/// As [`settled_before`], and writes it down, so that who is to leave is found
/// whatever happens.
pub(crate) async fn unsettle<S: Write>(
    store: &S,
    tenant: AppId,
    leave: impl Fn(Components) -> [Option<Component>; 2],
) -> Result<u64, Error> {
    let settled = settled_before(store, tenant, leave).await?;
    if settled < self::settled(store, tenant).await? {
        set_settled(store, tenant, settled).await?;
    }
    Ok(settled)
}

/// [`clean`], up to the last number.
pub(crate) async fn clean_all<S: Write>(
    store: &S,
    tenant: AppId,
    settled: u64,
    discards: impl Fn(Role) -> bool,
) -> Result<(), Error> {
    let last = counter(store, &key::uploads(tenant)).await?;
    clean(store, tenant, settled..last + 1, discards).await
}

/// Deletes what left its place, and the unfinished uploads for the places that
/// `discards` names, of all numbers between the last that is settled and the one at
/// which `range` ends.
pub(crate) async fn clean<S: Write>(
    store: &S,
    tenant: AppId,
    range: Range<u64>,
    discards: impl Fn(Role) -> bool,
) -> Result<(), Error> {
    let (known, last) = (range.start, range.end - 1);
    let mut first_left = None;
    let mut done = Vec::new();
    let mut dead = Vec::new();
    for (number, note) in notes(store, tenant, known + 1, last).await? {
        if note.placed {
            done.push(number);
        } else if discards(note.role) && discard(store, tenant, number).await? {
            dead.push(number);
        } else {
            first_left = first_left.or(Some(number));
        }
    }
    // Read after the notes: what had been in its place and is not there now is dead.
    let placed = components(store, tenant).await?;
    let used = [placed.active, placed.candidate].map(|place| place.map(|it| it.upload));
    dead.extend(
        done.into_iter()
            .filter(|number| !used.contains(&Some(*number))),
    );
    for dead in dead.chunks(UPLOADS_PER_DELETE) {
        let keys = dead.iter().flat_map(|&number| keys(tenant, number));
        store.delete_many(keys.collect()).await?;
    }
    let settled = first_left.map_or(last, |left| left - 1);
    if settled > known {
        set_settled(store, tenant, settled).await?;
    }
    Ok(())
}

/// One step of the removal of a tenant: deletes what lies under the numbers after
/// `done`. Says whether it came to the last one.
pub(crate) async fn remove_step<S: Write>(
    store: &S,
    tenant: AppId,
    done: &mut u64,
    budget: &mut u64,
) -> Result<bool, Error> {
    let count = counter(store, &key::uploads(tenant)).await?;
    while *done < count && *budget > 0 {
        let number = UPLOADS_PER_DELETE as u64;
        let until = count.min(*done + number.min(*budget));
        let keys = (*done + 1..=until).flat_map(|number| keys(tenant, number));
        store.delete_many(keys.collect()).await?;
        *budget -= until - *done;
        *done = until;
    }
    Ok(*done >= count)
}

/// All that may lie under the number of an upload.
pub(crate) fn keys(tenant: AppId, number: u64) -> Vec<String> {
    let chunks = (0..CHUNKS).map(|chunk| key::component_chunk(tenant, number, chunk));
    let notes = [
        key::upload(tenant, number),
        key::upload_claim(tenant, number),
    ];
    notes.into_iter().chain(chunks).collect()
}

/// The number up to which nothing is left to clean up.
pub(crate) async fn settled<S: Read>(store: &S, tenant: AppId) -> Result<u64, Error> {
    counter(store, &key::uploads_settled(tenant)).await
}

async fn set_settled<S: Write>(store: &S, tenant: AppId, number: u64) -> Result<(), Error> {
    let text = number.to_string().into_bytes();
    store.set(&key::uploads_settled(tenant), text).await
}

/// The uploads noted under the numbers `first..=last`.
async fn notes<S: Read>(
    store: &S,
    tenant: AppId,
    first: u64,
    last: u64,
) -> Result<Vec<(u64, record::Upload)>, Error> {
    let mut notes = Vec::new();
    let mut next = first;
    while next <= last {
        let until = last.min(next + BATCH as u64 - 1);
        let keys: Vec<String> = (next..=until)
            .map(|number| key::upload(tenant, number))
            .collect();
        let values = store.get_many(&keys).await?;
        for ((number, key), value) in (next..).zip(&keys).zip(values) {
            if let Some(note) = decode_at(key, value.as_deref())? {
                notes.push((number, note));
            }
        }
        next = until + 1;
    }
    Ok(notes)
}

/// Whether an unfinished upload may be deleted: its maker has not decided otherwise.
async fn discard<S: Write>(store: &S, tenant: AppId, number: u64) -> Result<bool, Error> {
    let claim = key::upload_claim(tenant, number);
    let sum = store.increment(&claim, DISCARDS).await?;
    Ok(sum % DISCARDS == 0)
}
