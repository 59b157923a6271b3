//! Rooms ↔ users: the entry of a pair is the truth, and its slots make it listable.
//!
//! A first add claims a slot in both rosters and writes the entry and both slots
//! as one; afterwards only the entry is rewritten, so a removed pair keeps its slots.
//! Whatever writes an entry then looks again whether room, user and app exist: a
//! deletion that came first did not see the write, which therefore undoes itself;
//! one that comes later will see it.

use crate::id::{AppId, RoomId, UserId};
use crate::key;
use crate::kv::{Error, Read, Write};
use crate::record::{Member, Slot, decode_at, encode, load};
use crate::roster::{Freed, Occupied, Page, Peer, Roster, cursor, first_slot, free};

/// The most slots that one page looks at, occupied or not.
pub const SLOTS_PER_PAGE: u64 = 1_000;

/// How many slots are read at once.
const SLOTS_PER_READ: u64 = 100;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as asked, whether or not it was before.
    Done,
    /// The room, the user or the tenant does not exist.
    Missing(Missing),
}

/// What does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The tenant.
    App,
    /// The room.
    Room,
    /// The user.
    User,
}

/// A pair of a room and a user of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The tenant of both.
    pub tenant: AppId,
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
}

impl Pair {
    /// Where the entry lies.
    #[must_use]
    pub fn key(&self) -> String {
        key::member(self.tenant, self.room, self.user)
    }

    fn members(&self) -> Roster<UserId> {
        Roster::members_of_room(self.tenant, self.room)
    }

    fn rooms(&self) -> Roster<RoomId> {
        Roster::rooms_of_user(self.tenant, self.user)
    }
}

/// Makes the user a member of the room. Idempotent. The caller has seen the app.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn add<S: Write>(store: &S, pair: Pair) -> Result<Outcome, Error> {
    if let Some(missing) = missing_side(store, pair).await? {
        return Ok(Outcome::Missing(missing));
    }
    match load::<Member, S>(store, &pair.key()).await? {
        Some(member) if member.active => Ok(Outcome::Done),
        Some(member) => {
            let member = Member {
                active: true,
                ..member
            };
            rewrite(store, pair, member).await
        }
        None => create(store, pair).await,
    }
}

/// Ends the membership. Idempotent; one who never was a member costs no write.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn remove<S: Write>(store: &S, pair: Pair) -> Result<Outcome, Error> {
    if let Some(missing) = missing_side(store, pair).await? {
        return Ok(Outcome::Missing(missing));
    }
    match load::<Member, S>(store, &pair.key()).await? {
        Some(member) if member.active => {
            let member = Member {
                active: false,
                ..member
            };
            rewrite(store, pair, member).await
        }
        _ => Ok(Outcome::Done),
    }
}

/// One page of a room's members. The caller has seen app and room.
///
/// # Errors
///
/// A failing store, a record of a newer version, or a cursor that is none.
pub async fn members<S: Read>(
    store: &S,
    tenant: AppId,
    room: RoomId,
    from: Option<&str>,
    limit: usize,
) -> Result<Page<UserId>, Error> {
    let roster = Roster::members_of_room(tenant, room);
    let entry_of = |user: UserId| Pair { tenant, room, user }.key();
    let names = |member: Member, slot: u64| member.active && member.member_slot == slot;
    list(store, tenant, &roster, from, limit, entry_of, names).await
}

/// One page of a user's rooms. The caller has seen app and user.
///
/// # Errors
///
/// A failing store, a record of a newer version, or a cursor that is none.
pub async fn rooms<S: Read>(
    store: &S,
    tenant: AppId,
    user: UserId,
    from: Option<&str>,
    limit: usize,
) -> Result<Page<RoomId>, Error> {
    let roster = Roster::rooms_of_user(tenant, user);
    let entry_of = |room: RoomId| Pair { tenant, room, user }.key();
    let names = |member: Member, slot: u64| member.active && member.room_slot == slot;
    list(store, tenant, &roster, from, limit, entry_of, names).await
}

async fn list<S: Read, P: Peer>(
    store: &S,
    tenant: AppId,
    roster: &Roster<P>,
    from: Option<&str>,
    limit: usize,
    entry_of: impl Fn(P) -> String,
    names: impl Fn(Member, u64) -> bool,
) -> Result<Page<P>, Error> {
    let first = first_slot(from)?;
    let count = roster.count(store).await?;
    let last = count.min(first.saturating_add(SLOTS_PER_PAGE - 1));
    let mut ids = Vec::new();
    let mut next = first;
    while next <= last && ids.len() < limit {
        let wanted = (limit - ids.len()) as u64;
        let until = last.min(next + wanted.min(SLOTS_PER_READ) - 1);
        let slots = roster.slots(store, next, until).await?;
        let slots = named(store, slots, &entry_of, &names).await?;
        ids.extend(alive(store, tenant, slots).await?);
        next = until + 1;
    }
    let next = (next <= count).then(|| cursor(next));
    Ok(Page { ids, next })
}

/// The peers whose entry says that they stand in that slot and are active.
async fn named<S: Read, P: Peer>(
    store: &S,
    slots: Vec<Occupied<P>>,
    entry_of: &impl Fn(P) -> String,
    names: &impl Fn(Member, u64) -> bool,
) -> Result<Vec<P>, Error> {
    let keys: Vec<String> = slots.iter().map(|slot| entry_of(slot.slot.id)).collect();
    let entries = store.get_many(&keys).await?;
    let mut peers = Vec::with_capacity(slots.len());
    for ((slot, key), entry) in slots.iter().zip(&keys).zip(entries) {
        if let Some(member) = decode_at::<Member>(key, entry.as_deref())?
            && names(member, slot.number)
        {
            peers.push(slot.slot.id);
        }
    }
    Ok(peers)
}

async fn alive<S: Read, P: Peer>(store: &S, tenant: AppId, peers: Vec<P>) -> Result<Vec<P>, Error> {
    let keys: Vec<String> = peers.iter().map(|peer| peer.record_key(tenant)).collect();
    let records = store.get_many(&keys).await?;
    let alive = peers.into_iter().zip(records);
    Ok(alive
        .filter_map(|(peer, record)| record.map(|_| peer))
        .collect())
}

async fn create<S: Write>(store: &S, pair: Pair) -> Result<Outcome, Error> {
    let (members, rooms) = (pair.members(), pair.rooms());
    let in_room = members.claim(store).await?;
    let in_user = rooms.claim(store).await?;
    let member = Member {
        active: true,
        member_slot: in_room.number,
        room_slot: in_user.number,
    };
    let member_slot = Slot {
        id: pair.user,
        back: in_user.number,
    };
    let room_slot = Slot {
        id: pair.room,
        back: in_room.number,
    };
    let entries = vec![
        (pair.key(), encode(&member)),
        (members.slot_key(in_room.number), encode(&member_slot)),
        (rooms.slot_key(in_user.number), encode(&room_slot)),
    ];
    store.set_many(entries).await?;
    let settle = [in_room.settle, in_user.settle].concat();
    if !settle.is_empty() {
        store.delete_many(settle).await?;
    }
    match missing(store, pair).await? {
        None => Ok(Outcome::Done),
        Some(missing) => {
            undo(store, pair, member).await?;
            Ok(Outcome::Missing(missing))
        }
    }
}

/// Writes the entry of a pair that has its slots.
async fn rewrite<S: Write>(store: &S, pair: Pair, member: Member) -> Result<Outcome, Error> {
    store.set(&pair.key(), encode(&member)).await?;
    match missing(store, pair).await? {
        None => Ok(Outcome::Done),
        Some(missing) => {
            // The slots are not this call's: the deletion sees to them.
            store.delete(&pair.key()).await?;
            Ok(Outcome::Missing(missing))
        }
    }
}

/// Takes back an entry whose room, user or tenant is gone. In a living owner's
/// roster the slot now names a dead peer, may already be claimed by another, and
/// is only hinted at; of an owner that is gone it is deleted.
async fn undo<S: Write>(store: &S, pair: Pair, member: Member) -> Result<(), Error> {
    store.delete(&pair.key()).await?;
    let app = store.exists(&key::app(pair.tenant)).await?;
    let (roster, slot) = (pair.members(), member.member_slot);
    let keys = vec![roster.slot_key(slot)];
    if !roster.bury(store, keys, app).await? {
        free(store, pair.tenant, &[Freed { roster, slot }]).await?;
    }
    let (roster, slot) = (pair.rooms(), member.room_slot);
    let keys = vec![roster.slot_key(slot)];
    if !roster.bury(store, keys, app).await? {
        free(store, pair.tenant, &[Freed { roster, slot }]).await?;
    }
    Ok(())
}

async fn missing_side<S: Read>(store: &S, pair: Pair) -> Result<Option<Missing>, Error> {
    if !store.exists(&key::room(pair.tenant, pair.room)).await? {
        return Ok(Some(Missing::Room));
    }
    if !store.exists(&key::user(pair.tenant, pair.user)).await? {
        return Ok(Some(Missing::User));
    }
    Ok(None)
}

async fn missing<S: Read>(store: &S, pair: Pair) -> Result<Option<Missing>, Error> {
    if !store.exists(&key::app(pair.tenant)).await? {
        return Ok(Some(Missing::App));
    }
    missing_side(store, pair).await
}
