//! The queue of unfinished removals, of all tenants.
//!
//! A removal takes a place by increment and stays there, at its item, until nothing
//! is left to do; beside it a note under the tenant says that it goes on. Items end
//! in any order. The head is where the places begin that may still hold one; it is
//! moved by those who look for the oldest, and a removal whose place it has passed
//! before the item was written takes another.

use crate::key;
use crate::kv::{Error, Read, Write, counter};
use crate::record::{Doom, DoomPlace, Target, encode, load};
use crate::ring;

/// How many places are looked at for the oldest removal.
const PLACES_PER_LOOK: u64 = 512;

/// A removal and its place.
pub(crate) type Placed = (u64, Doom);

/// Where the item at this place lies.
pub(crate) fn item_key(place: u64) -> String {
    ring::item_key(key::DOOMED, place)
}

/// The key that notes that this removal goes on.
pub(crate) fn note_key(doom: &Doom) -> String {
    match doom.target {
        Target::Tenant(_) => key::doom(doom.tenant),
        Target::Room(room, _) => key::doom_of(doom.tenant, room),
        Target::User(user, _) => key::doom_of(doom.tenant, user),
    }
}

/// Notes a removal in the queue, at a place that no sweep has passed yet.
pub(crate) async fn push<S: Write>(store: &S, doom: &Doom) -> Result<u64, Error> {
    let mut ahead = 1;
    loop {
        let place = ring::increment(store, &ring::tail_key(key::DOOMED), ahead).await?;
        let entries = vec![
            (item_key(place), encode(doom)),
            (note_key(doom), encode(&DoomPlace { place })),
        ];
        store.set_many(entries).await?;
        let head = counter(store, &head_key()).await?;
        if head < place {
            return Ok(place);
        }
        store.delete(&item_key(place)).await?;
        ahead = (head - place + 1).cast_signed();
    }
}

/// The oldest removal, if one is found, and whether there may be more.
pub(crate) async fn oldest<S: Write>(store: &S) -> Result<(Option<Placed>, bool), Error> {
    let head = counter(store, &head_key()).await?;
    let tail = counter(store, &ring::tail_key(key::DOOMED)).await?;
    let last = tail.min(head.saturating_add(PLACES_PER_LOOK));
    let mut found = first(store, head, last).await?;
    if found.is_none() && last > head {
        // A removal that took its place but wrote its item only after this look sees
        // the new head, or is seen by the second look.
        set_head(store, last).await?;
        found = first(store, head, last).await?;
    }
    let Some((place, doom)) = found else {
        return Ok((None, last < tail));
    };
    set_head(store, place - 1).await?;
    Ok((Some((place, doom)), place < tail))
}

/// The first item at a place in `head + 1..=last`.
async fn first<S: Read>(store: &S, head: u64, last: u64) -> Result<Option<(u64, Doom)>, Error> {
    for place in head + 1..=last {
        if let Some(doom) = load(store, &item_key(place)).await? {
            return Ok(Some((place, doom)));
        }
    }
    Ok(None)
}

/// Moves the head. It is written by sweeps alone and may fall back when two race:
/// finished places are then passed over once more.
async fn set_head<S: Write>(store: &S, place: u64) -> Result<(), Error> {
    store.set(&head_key(), place.to_string().into_bytes()).await
}

fn head_key() -> String {
    ring::head_key(key::DOOMED)
}
