//! One relation of an owner to its peers: numbered slots, listed by cursor.
//!
//! The same code serves key → rooms, key → users, room → members and user → rooms.
//! A slot names a peer, and counts only if the peer's entry names the slot; what an
//! entry is (a record, or that of a pair) is the caller's.
//!
//! Slots are claimed with increment, so each has one claimant. A slot whose peer
//! was deleted (ids never come back) can be claimed again: its number is hinted at
//! in the ring, and of all who take the hint the first to increment a counter named
//! after slot and dead peer has it, provided that the slot still names that peer
//! afterwards. Invariant: a slot that names a living peer is never overwritten.

use crate::id::{AppId, RoomId, UserId};
use crate::kv::{Error, Read, Write, counter};
use crate::record::{Slot, decode_at, load};
use crate::{key, ring};
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::marker::PhantomData;

/// How many hints one claim looks at before it takes a fresh slot. Stale hints
/// are used up on the way, so a few suffice.
const HINTS_TRIED: usize = 4;

/// Who can stand in a slot.
pub trait Peer: Copy + Eq + Display + DeserializeOwned {
    /// Where the peer's record lies. The peer is alive while it exists.
    fn record_key(self, tenant: AppId) -> String;
}

impl Peer for RoomId {
    fn record_key(self, tenant: AppId) -> String {
        key::room(tenant, self)
    }
}

impl Peer for UserId {
    fn record_key(self, tenant: AppId) -> String {
        key::user(tenant, self)
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<P> {
    /// The peers, in the order of their slots.
    pub ids: Vec<P>,
    /// The cursor of the page that follows; `None` on the last page.
    pub next: Option<String>,
}

/// A slot that names a peer; whether it counts is the entry's word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occupied<P> {
    pub(crate) number: u64,
    pub(crate) slot: Slot<P>,
}

/// A claimed slot. `settle` is to be deleted once the slot is written.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) number: u64,
    pub(crate) settle: Vec<String>,
}

/// The roster of one owner.
#[derive(Debug, Clone)]
pub struct Roster<P> {
    tenant: AppId,
    base: String,
    /// The owner's record, and what notes that the owner is being removed.
    owner: (String, String),
    peer: PhantomData<P>,
}

/// A slot of a roster that may be free.
#[derive(Debug)]
pub(crate) struct Freed<P> {
    pub(crate) roster: Roster<P>,
    pub(crate) slot: u64,
}

impl Roster<RoomId> {
    /// A tenant's rooms.
    #[must_use]
    pub fn rooms_of_tenant(tenant: AppId) -> Self {
        let owner = (key::app(tenant), key::doom(tenant));
        Self::new(tenant, key::tenant_rooms(tenant), owner)
    }

    /// A user's rooms.
    #[must_use]
    pub fn rooms_of_user(tenant: AppId, user: UserId) -> Self {
        let owner = (key::user(tenant, user), key::doom_of(tenant, user));
        Self::new(tenant, key::user_rooms(tenant, user), owner)
    }
}

impl Roster<UserId> {
    /// A tenant's users.
    #[must_use]
    pub fn users_of_tenant(tenant: AppId) -> Self {
        let owner = (key::app(tenant), key::doom(tenant));
        Self::new(tenant, key::tenant_users(tenant), owner)
    }

    /// A room's members.
    #[must_use]
    pub fn members_of_room(tenant: AppId, room: RoomId) -> Self {
        let owner = (key::room(tenant, room), key::doom_of(tenant, room));
        Self::new(tenant, key::room_members(tenant, room), owner)
    }
}

impl<P: Peer> Roster<P> {
    fn new(tenant: AppId, base: String, owner: (String, String)) -> Self {
        Self {
            tenant,
            base,
            owner,
            peer: PhantomData,
        }
    }

    /// Where the number of the last slot lies.
    pub(crate) fn count_key(&self) -> String {
        format!("{}/count", self.base)
    }

    pub(crate) fn slot_key(&self, number: u64) -> String {
        format!("{}/{number}", self.base)
    }

    /// The number of the last slot ever claimed.
    pub(crate) async fn count<S: Read>(&self, store: &S) -> Result<u64, Error> {
        counter(store, &self.count_key()).await
    }

    /// If the owner is gone, or its tenant is, deletes `keys`, which a late write left
    /// in its roster. Says whether it is so. `app` is whether the tenant exists, read
    /// after that write.
    ///
    /// The roster's own keys are the removal's, which ends by deleting them together
    /// with the record and the note that it goes on. Once both are gone they are the
    /// late writer's.
    pub(crate) async fn bury<S: Write>(
        &self,
        store: &S,
        mut keys: Vec<String>,
        app: bool,
    ) -> Result<bool, Error> {
        let (record, doom) = &self.owner;
        let exists = store.exists(record).await?;
        if exists && app {
            return Ok(false);
        }
        if !exists && !store.exists(doom).await? {
            keys.extend([
                self.count_key(),
                ring::head_key(&self.base),
                ring::tail_key(&self.base),
            ]);
        }
        store.delete_many(keys).await?;
        Ok(true)
    }

    /// The keys that a removed owner's roster has beside its slots, or `None` if
    /// they are so many that `limit` of them were deleted and others are left.
    pub(crate) async fn leftover<S: Write>(
        &self,
        store: &S,
        limit: u64,
    ) -> Result<Option<Vec<String>>, Error> {
        let keys = ring::leftover(store, &self.base, limit).await?;
        Ok(keys.map(|mut keys| {
            keys.push(self.count_key());
            keys
        }))
    }

    /// A slot that nobody else has: one that became free, or a fresh one.
    pub(crate) async fn claim<S: Write>(&self, store: &S) -> Result<Claim, Error> {
        let mut settle = Vec::new();
        for _ in 0..HINTS_TRIED {
            let Some(popped) = ring::pop(store, &self.base).await? else {
                break;
            };
            settle.push(popped.key);
            let Some(number) = popped.slot else { continue };
            if let Some(ticket) = self.claim_again(store, number).await? {
                settle.push(ticket);
                return Ok(Claim { number, settle });
            }
        }
        let number = ring::increment(store, &self.count_key(), 1).await?;
        Ok(Claim { number, settle })
    }

    /// Claims a slot whose peer was deleted. Returns the key of the claim, or
    /// `None` where the peer lives or another was first.
    async fn claim_again<S: Write>(&self, store: &S, number: u64) -> Result<Option<String>, Error> {
        let slot_key = self.slot_key(number);
        let Some(slot) = load::<Slot<P>, S>(store, &slot_key).await? else {
            return Ok(None);
        };
        if store.exists(&slot.id.record_key(self.tenant)).await? {
            return Ok(None);
        }
        let ticket = format!("{}/claim/{number}/{}", self.base, slot.id);
        if store.increment(&ticket, 1).await? != 1 {
            return Ok(None);
        }
        // A claim is deleted only after its slot was overwritten. If the slot still
        // names the dead peer now, the claim had not been deleted before either,
        // so nobody but this caller ever got the 1.
        let again = load::<Slot<P>, S>(store, &slot_key).await?;
        if again.is_some_and(|again| again.id == slot.id) {
            return Ok(Some(ticket));
        }
        store.delete(&ticket).await?;
        Ok(None)
    }

    /// The occupied ones among the slots `first..=last`.
    pub(crate) async fn slots<S: Read>(
        &self,
        store: &S,
        first: u64,
        last: u64,
    ) -> Result<Vec<Occupied<P>>, Error> {
        if first > last {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = (first..=last).map(|number| self.slot_key(number)).collect();
        let values = store.get_many(&keys).await?;
        let mut occupied = Vec::with_capacity(values.len());
        for ((number, key), value) in (first..=last).zip(&keys).zip(values) {
            if let Some(slot) = decode_at(key, value.as_deref())? {
                occupied.push(Occupied { number, slot });
            }
        }
        Ok(occupied)
    }
}

/// Says of these slots of a tenant's rosters that they may be free: for each an
/// increment and two gets, one write for all.
pub(crate) async fn free<S: Write, P: Peer>(
    store: &S,
    tenant: AppId,
    freed: &[Freed<P>],
) -> Result<(), Error> {
    if freed.is_empty() {
        return Ok(());
    }
    let hints: Vec<ring::Hint<'_>> = freed
        .iter()
        .map(|freed| ring::Hint {
            base: &freed.roster.base,
            slot: freed.slot,
        })
        .collect();
    let keys = ring::push(store, &hints).await?;
    let app = store.exists(&key::app(tenant)).await?;
    for (freed, key) in freed.iter().zip(keys) {
        freed.roster.bury(store, vec![key], app).await?;
    }
    Ok(())
}

/// The slot that a listing begins with.
pub(crate) fn first_slot(cursor: Option<&str>) -> Result<u64, Error> {
    let Some(cursor) = cursor else { return Ok(1) };
    let digits = cursor.strip_prefix('s').ok_or(Error::Cursor)?;
    let strict = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let slot = u64::from_str_radix(digits, 16).map_err(|_| Error::Cursor)?;
    if !strict || slot == 0 || i64::try_from(slot).is_err() {
        return Err(Error::Cursor);
    }
    Ok(slot)
}

/// The cursor of a listing that goes on with this slot.
pub(crate) fn cursor(slot: u64) -> String {
    format!("s{slot:x}")
}
