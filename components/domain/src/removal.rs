//! Deletion of tenants, rooms and users, in bounded steps that survive a crash.
//!
//! Before anything is deleted the removal is noted in a queue that belongs to no
//! tenant. Then the record goes, and with it every grant, for nobody believes a
//! membership without it. What is left (entries, slots, pointers) is cleaned up step
//! by step: the first by the caller that deletes, the others by whoever calls
//! [`sweep`]. A step may be repeated and two may work on the same removal: they only
//! delete what is dead and hint at free slots.

use crate::id::{ApiKey, AppId, RoomId, UserId};
use crate::kv::{BATCH, Error, Write};
use crate::record::{App, Doom, DoomPlace, Named, Target, encode, load};
use crate::roster::{Freed, Occupied, Peer, Roster, free};
use crate::{doomed, events, key, policy, settle, signing, tenant};

/// The most slots that one step cleans up. Each costs about four operations, so a
/// step stays far below the time a request may take.
pub const SLOTS_PER_STEP: u64 = BATCH as u64;

/// How many keys are gathered before they are deleted. What one room or user adds
/// in a step (its slots, their entries, its hints) comes on top of it, and all
/// stays below the 1,024 keys that a batch may have.
const KEYS_PER_DELETE: usize = 128;

/// Deletes a room. `false` if the tenant has none of that name.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn remove_room<S: Write>(store: &S, tenant: AppId, room: RoomId) -> Result<bool, Error> {
    let record = key::room(tenant, room);
    let Some(Named { slot }) = load(store, &record).await? else {
        return Ok(false);
    };
    let doom = new_doom(tenant, Target::Room(room, slot));
    let place = doomed::push(store, &doom).await?;
    store.delete(&record).await?;
    step(store, place, doom).await?;
    Ok(true)
}

/// Deletes a user. `false` if the tenant has none of that name.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn remove_user<S: Write>(store: &S, tenant: AppId, user: UserId) -> Result<bool, Error> {
    let record = key::user(tenant, user);
    let Some(Named { slot }) = load(store, &record).await? else {
        return Ok(false);
    };
    let doom = new_doom(tenant, Target::User(user, slot));
    let place = doomed::push(store, &doom).await?;
    store.delete(&record).await?;
    step(store, place, doom).await?;
    Ok(true)
}

/// Deletes the tenant that the key belongs to: refused everywhere at once, then
/// one step of cleaning. Called again it does the next step. `false` if there is
/// no such tenant, or nothing of it is left.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn remove_tenant<S: Write>(store: &S, api_key: &ApiKey) -> Result<bool, Error> {
    let digest = api_key.digest();
    let Some(tenant) = tenant::tenant_of_key(store, &digest).await? else {
        return Ok(false);
    };
    if let Some(app) = load::<App, S>(store, &key::app(tenant)).await? {
        if app.key != digest {
            return Ok(false);
        }
        let doom = new_doom(tenant, Target::Tenant(digest));
        let place = doomed::push(store, &doom).await?;
        store.delete(&key::app(tenant)).await?;
        step(store, place, doom).await?;
        return Ok(true);
    }
    let Some(DoomPlace { place }) = load(store, &key::doom(tenant)).await? else {
        return Ok(false);
    };
    let Some(doom) = load(store, &doomed::item_key(place)).await? else {
        return Ok(false);
    };
    step(store, place, doom).await?;
    Ok(true)
}

/// Does one step of the oldest unfinished removal of any tenant. Says whether
/// more remains to be done.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn sweep<S: Write>(store: &S) -> Result<bool, Error> {
    let (found, more) = doomed::oldest(store).await?;
    let Some((place, doom)) = found else {
        return Ok(more);
    };
    roll_forward(store, &doom).await?;
    let done = step(store, place, doom).await?;
    Ok(!done || more)
}

fn new_doom(tenant: AppId, target: Target) -> Doom {
    Doom {
        tenant,
        target,
        outer: 0,
        uploads_done: false,
        rooms_done: false,
        inner: 0,
    }
}

/// Deletes the record of a removal that was noted and then interrupted.
async fn roll_forward<S: Write>(store: &S, doom: &Doom) -> Result<(), Error> {
    let record = match doom.target {
        Target::Tenant(_) => key::app(doom.tenant),
        Target::Room(room, _) => key::room(doom.tenant, room),
        Target::User(user, _) => key::user(doom.tenant, user),
    };
    if store.exists(&record).await? {
        store.delete(&record).await?;
    }
    Ok(())
}

/// Does one step and keeps how far it came. Says whether the removal is finished.
async fn step<S: Write>(store: &S, place: u64, mut doom: Doom) -> Result<bool, Error> {
    let tenant = doom.tenant;
    let mut last = vec![doomed::note_key(&doom), doomed::item_key(place)];
    let done = match doom.target {
        Target::Tenant(digest) => {
            last.push(key::key_pointer(&digest));
            tenant_step(store, &mut doom, last).await?
        }
        Target::Room(room, slot) => {
            let side = room_side(tenant, room);
            let roster = Roster::rooms_of_tenant(tenant);
            let freed = Freed { roster, slot };
            side_step(store, &side, &mut doom, freed, last).await?
        }
        Target::User(user, slot) => {
            let side = user_side(tenant, user);
            let roster = Roster::users_of_tenant(tenant);
            let freed = Freed { roster, slot };
            last.push(key::user_pointer(user));
            side_step(store, &side, &mut doom, freed, last).await?
        }
    };
    if done {
        return Ok(true);
    }
    store.set(&doomed::item_key(place), encode(&doom)).await?;
    if store.exists(&doomed::note_key(&doom)).await? {
        return Ok(false);
    }
    // Another finished it meanwhile.
    store.delete(&doomed::item_key(place)).await?;
    Ok(true)
}

/// A room or a user that is being removed, seen from its memberships.
struct Side<P, E, F> {
    roster: Roster<P>,
    /// Where the entry of the pair with this peer lies.
    entry: E,
    /// This slot in the roster of this peer.
    freed: F,
}

fn room_side(
    tenant: AppId,
    room: RoomId,
) -> Side<UserId, impl Fn(UserId) -> String, impl Fn(UserId, u64) -> Freed<RoomId>> {
    Side {
        roster: Roster::members_of_room(tenant, room),
        entry: move |user| key::member(tenant, room, user),
        freed: move |user, slot| Freed {
            roster: Roster::rooms_of_user(tenant, user),
            slot,
        },
    }
}

fn user_side(
    tenant: AppId,
    user: UserId,
) -> Side<RoomId, impl Fn(RoomId) -> String, impl Fn(RoomId, u64) -> Freed<UserId>> {
    Side {
        roster: Roster::rooms_of_user(tenant, user),
        entry: move |room| key::member(tenant, room, user),
        freed: move |room, slot| Freed {
            roster: Roster::members_of_room(tenant, room),
            slot,
        },
    }
}

/// Cleans up one step of a room's or a user's memberships: peers and, at the end,
/// the tenant are told which of their slots is free. What is `last` goes last.
async fn side_step<S, P, Q, E, F>(
    store: &S,
    side: &Side<P, E, F>,
    doom: &mut Doom,
    in_tenant: Freed<Q>,
    last: Vec<String>,
) -> Result<bool, Error>
where
    S: Write,
    P: Peer,
    Q: Peer,
    E: Fn(P) -> String,
    F: Fn(P, u64) -> Freed<Q>,
{
    let count = side.roster.count(store).await?;
    let until = count.min(doom.inner.saturating_add(SLOTS_PER_STEP));
    let slots = side.roster.slots(store, doom.inner + 1, until).await?;
    let mut freed = Vec::with_capacity(slots.len() + 1);
    let mut keys = Vec::with_capacity(2 * slots.len());
    for Occupied { number, slot } in slots {
        // Peers that are gone need no hint; those that go meanwhile bury theirs.
        if store.exists(&slot.id.record_key(doom.tenant)).await? {
            freed.push((side.freed)(slot.id, slot.back));
        }
        keys.push((side.entry)(slot.id));
        keys.push(side.roster.slot_key(number));
    }
    doom.inner = until;
    let leftover = if until == count {
        side.roster.leftover(store, SLOTS_PER_STEP).await?
    } else {
        None
    };
    if leftover.is_some() {
        freed.push(in_tenant);
    }
    free(store, doom.tenant, &freed).await?;
    let emptied = leftover.is_some();
    if let Some(leftover) = leftover {
        keys.extend(leftover);
        keys.extend(last);
    }
    if !keys.is_empty() {
        store.delete_many(keys).await?;
    }
    Ok(emptied)
}

/// Cleans up one step of a tenant: uploads, then rooms, then users, then its rosters.
/// No slot is hinted at, for all rosters go.
async fn tenant_step<S: Write>(
    store: &S,
    doom: &mut Doom,
    last: Vec<String>,
) -> Result<bool, Error> {
    let tenant = doom.tenant;
    let mut budget = SLOTS_PER_STEP;
    if !doom.uploads_done {
        if !settle::remove_step(store, tenant, &mut doom.outer, &mut budget).await? {
            return Ok(false);
        }
        (doom.uploads_done, doom.outer) = (true, 0);
    }
    let rooms = Roster::rooms_of_tenant(tenant);
    if !doom.rooms_done {
        let none = |_: RoomId| None;
        let side = |room| room_side(tenant, room);
        if !owned_step(store, &rooms, doom, &mut budget, side, none).await? {
            return Ok(false);
        }
        (doom.rooms_done, doom.outer, doom.inner) = (true, 0, 0);
    }
    let users = Roster::users_of_tenant(tenant);
    let pointer = |user: UserId| Some(key::user_pointer(user));
    let side = |user| user_side(tenant, user);
    if !owned_step(store, &users, doom, &mut budget, side, pointer).await? {
        return Ok(false);
    }
    let Some(mut keys) = rooms.leftover(store, SLOTS_PER_STEP).await? else {
        return Ok(false);
    };
    let Some(more) = users.leftover(store, SLOTS_PER_STEP).await? else {
        return Ok(false);
    };
    keys.extend(more);
    keys.extend(policy::keys(tenant));
    keys.push(key::uploads(tenant));
    keys.extend(signing::keys(tenant));
    keys.extend(events::keys(tenant));
    keys.extend(last);
    store.delete_many(keys).await?;
    Ok(true)
}

/// Removes rooms or users of a tenant until the budget, counted in slots, is used up.
async fn owned_step<S, O, P, E, F>(
    store: &S,
    owned: &Roster<O>,
    doom: &mut Doom,
    budget: &mut u64,
    side_of: impl Fn(O) -> Side<P, E, F>,
    pointer_of: impl Fn(O) -> Option<String>,
) -> Result<bool, Error>
where
    S: Write,
    O: Peer,
    P: Peer,
    E: Fn(P) -> String,
{
    let count = owned.count(store).await?;
    let mut keys = Vec::new();
    let mut emptied = true;
    while emptied && doom.outer < count {
        if *budget == 0 {
            emptied = false;
            break;
        }
        if keys.len() >= KEYS_PER_DELETE {
            store.delete_many(std::mem::take(&mut keys)).await?;
        }
        *budget -= 1;
        let number = doom.outer + 1;
        let slots = owned.slots(store, number, number).await?;
        if let Some(Occupied { slot, .. }) = slots.first() {
            let mut last = vec![slot.id.record_key(doom.tenant), owned.slot_key(number)];
            last.extend(pointer_of(slot.id));
            let side = side_of(slot.id);
            emptied = inner_step(store, &side, doom, budget, last, &mut keys).await?;
        }
        if emptied {
            (doom.outer, doom.inner) = (number, 0);
        }
    }
    if !keys.is_empty() {
        store.delete_many(keys).await?;
    }
    Ok(emptied)
}

/// Gathers in `keys` the entries and slots of one room or user, and what is `last`
/// once none is left: the record goes together with the roster's own keys.
async fn inner_step<S, P, E, F>(
    store: &S,
    side: &Side<P, E, F>,
    doom: &mut Doom,
    budget: &mut u64,
    last: Vec<String>,
    keys: &mut Vec<String>,
) -> Result<bool, Error>
where
    S: Write,
    P: Peer,
    E: Fn(P) -> String,
{
    let count = side.roster.count(store).await?;
    let until = count.min(doom.inner.saturating_add(*budget));
    for Occupied { number, slot } in side.roster.slots(store, doom.inner + 1, until).await? {
        keys.push((side.entry)(slot.id));
        keys.push(side.roster.slot_key(number));
    }
    *budget -= until.saturating_sub(doom.inner);
    doom.inner = until;
    if until < count {
        return Ok(false);
    }
    let Some(leftover) = side.roster.leftover(store, SLOTS_PER_STEP).await? else {
        return Ok(false);
    };
    keys.extend(leftover);
    keys.extend(last);
    Ok(true)
}
