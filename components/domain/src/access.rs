//! Read-only questions of the authority. Each step reads with one get-many.

use crate::id::{AppId, RoomId, UserId};
use crate::key;
use crate::kv::{Error, Read, decode_counter};
use crate::membership::Pair;
use crate::record::{Component, Member, Place, Pointer, Policy, Rule, decode_at};
use crate::roster::{Page, Roster, cursor, first_slot};
use crate::signing::Tokens;

mod reception;

pub use reception::{About, Bearing, Standing, bearing, reception, standing, terms};

/// The most slots in one page of [`rooms`], and in one step of [`shared_rooms`].
pub const SLOTS_PER_STEP: u64 = 100;

/// The most rooms that [`shared_rooms`] names.
pub const SHARED_ROOMS: usize = 16;

/// The components that a tenant uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Components {
    /// The one that is asked.
    pub active: Option<Component>,
    /// The one that runs beside it.
    pub candidate: Option<Component>,
}

/// The tenant that a user id belongs to, by its pointer. Grants nothing.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn tenant_of_user<S: Read>(store: &S, user: UserId) -> Result<Option<AppId>, Error> {
    let key = key::user_pointer(user);
    let values = store.get_many(std::slice::from_ref(&key)).await?;
    let pointer: Option<Pointer> = decode_at(&key, values.first().and_then(Option::as_deref))?;
    Ok(pointer.map(|pointer| pointer.tenant))
}

/// Where the tenant's key server tells its public keys, if it has one.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn key_server<S: Read>(store: &S, tenant: AppId) -> Result<Option<String>, Error> {
    let keys = [key::app(tenant), key::tokens(tenant)];
    let values = Values::read(store, &keys).await?;
    let tokens: Option<Tokens> = decode_at(&keys[1], values.get(1))?;
    let url = tokens.and_then(|tokens| tokens.jwks_url);
    Ok(url.filter(|_| values.get(0).is_some()))
}

/// Whether the tenant exists and its rule is [`Rule::Open`].
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn is_open<S: Read>(store: &S, tenant: AppId) -> Result<bool, Error> {
    let standing = standing(store, tenant, None).await?;
    Ok(standing.app.is_some() && standing.rule == Rule::Open)
}

/// Whether the user is a member of the room: app, room, user and entry.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn is_member<S: Read>(store: &S, pair: Pair) -> Result<bool, Error> {
    let keys = member_keys(pair);
    let values = Values::read(store, &keys).await?;
    member(&keys, &values)
}

/// Whether the user may hear the room and speak in it: as a member, or because the
/// tenant's rule is [`Rule::Open`].
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn may_enter<S: Read>(store: &S, pair: Pair) -> Result<bool, Error> {
    let keys = member_keys(pair);
    let values = Values::read(store, &keys).await?;
    if member(&keys, &values)? {
        return Ok(true);
    }
    let exists = values.get(0).is_some();
    Ok(exists && current_rule(store, pair.tenant).await? == Rule::Open)
}

/// Whether tenant and room exist. With [`Rule::Open`] the room need not.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn has_room<S: Read>(store: &S, tenant: AppId, room: RoomId) -> Result<bool, Error> {
    let keys = [key::app(tenant), key::room(tenant, room)];
    let values = Values::read(store, &keys).await?;
    if values.get(0).is_none() {
        return Ok(false);
    }
    Ok(values.get(1).is_some() || current_rule(store, tenant).await? == Rule::Open)
}

/// The components that the tenant uploaded, or `None` where it does not exist.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn components<S: Read>(store: &S, tenant: AppId) -> Result<Option<Components>, Error> {
    let keys = [
        key::app(tenant),
        key::active_policy(tenant),
        key::candidate_policy(tenant),
    ];
    let values = Values::read(store, &keys).await?;
    if values.get(0).is_none() {
        return Ok(None);
    }
    let place = |index: usize| decode_at::<Place>(&keys[index], values.get(index));
    Ok(Some(Components {
        active: place(1)?.and_then(|place| place.component),
        candidate: place(2)?.and_then(|place| place.component),
    }))
}

/// One page of the user's rooms, or `None` where app or user don't exist. With
/// [`Rule::Open`] a user who does not exist has no rooms.
///
/// # Errors
///
/// A failing store, a record of a newer version, or a cursor that is none.
pub async fn rooms<S: Read>(
    store: &S,
    tenant: AppId,
    user: UserId,
    from: Option<&str>,
) -> Result<Option<Page<RoomId>>, Error> {
    let first = first_slot(from)?;
    let roster = Roster::rooms_of_user(tenant, user);
    let keys = [
        key::app(tenant),
        key::user(tenant, user),
        roster.count_key(),
        key::policy(tenant),
    ];
    let values = Values::read(store, &keys).await?;
    if values.get(0).is_none() {
        return Ok(None);
    }
    if values.get(1).is_none() {
        let open = rule(&keys[3], values.get(3))? == Rule::Open;
        return Ok(open.then_some(Page {
            ids: Vec::new(),
            next: None,
        }));
    }
    let count = decode_counter(&keys[2], values.get(2))?;
    let last = count.min(first.saturating_add(SLOTS_PER_STEP - 1));
    let ids = step(store, tenant, &[user], &roster, first, last).await?;
    let next = (last < count && first <= last).then(|| cursor(last + 1));
    Ok(Some(Page { ids, next }))
}

/// The rooms that make one user's presence visible to the other, at most
/// [`SHARED_ROOMS`], or `None` where it is not. Walks the rooms of the one who has
/// fewer slots and stops after the step that found the first room shared. With
/// [`Rule::Open`] everybody is visible, and no room is named.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn shared_rooms<S: Read>(
    store: &S,
    tenant: AppId,
    one: UserId,
    other: UserId,
) -> Result<Option<Vec<RoomId>>, Error> {
    let rosters = [one, other].map(|user| Roster::rooms_of_user(tenant, user));
    let keys = [
        key::app(tenant),
        key::user(tenant, one),
        key::user(tenant, other),
        rosters[0].count_key(),
        rosters[1].count_key(),
        key::policy(tenant),
    ];
    let values = Values::read(store, &keys).await?;
    if values.get(0).is_some() && rule(&keys[5], values.get(5))? == Rule::Open {
        return Ok(Some(Vec::new()));
    }
    if (0..3).any(|index| values.get(index).is_none()) {
        return Ok(None);
    }
    let ones = decode_counter(&keys[3], values.get(3))?;
    let others = decode_counter(&keys[4], values.get(4))?;
    let [of_one, of_other] = &rosters;
    let (roster, count, users) = if ones <= others {
        (of_one, ones, [one, other])
    } else {
        (of_other, others, [other, one])
    };
    let mut first = 1;
    while first <= count {
        let last = count.min(first + SLOTS_PER_STEP - 1);
        let mut shared = step(store, tenant, &users, roster, first, last).await?;
        if !shared.is_empty() {
            shared.truncate(SHARED_ROOMS);
            return Ok(Some(shared));
        }
        first = last + 1;
    }
    Ok(None)
}

/// What a membership is believed by, in the order that [`member`] expects.
fn member_keys(pair: Pair) -> [String; 4] {
    let Pair { tenant, room, user } = pair;
    [
        key::app(tenant),
        key::room(tenant, room),
        key::user(tenant, user),
        pair.key(),
    ]
}

fn member(keys: &[String], values: &Values) -> Result<bool, Error> {
    let member: Option<Member> = decode_at(&keys[3], values.get(3))?;
    let exist = (0..3).all(|index| values.get(index).is_some());
    Ok(exist && member.is_some_and(|member| member.active))
}

/// The tenant's rule, by a read of its own: a member's answer does not depend on it.
async fn current_rule<S: Read>(store: &S, tenant: AppId) -> Result<Rule, Error> {
    let key = key::policy(tenant);
    rule(&key, store.get(&key).await?.as_deref())
}

/// The rule that a tenant's record names; the default where there is none.
fn rule(key: &str, value: Option<&[u8]>) -> Result<Rule, Error> {
    let policy: Option<Policy> = decode_at(key, value)?;
    Ok(policy.unwrap_or_default().rule)
}

/// The living rooms in the slots `first..=last` of the first user's roster that
/// all `users` are members of: slots, then entries, then records.
async fn step<S: Read>(
    store: &S,
    tenant: AppId,
    users: &[UserId],
    roster: &Roster<RoomId>,
    first: u64,
    last: u64,
) -> Result<Vec<RoomId>, Error> {
    let slots = roster.slots(store, first, last).await?;
    let mut keys = Vec::with_capacity(slots.len() * users.len());
    for slot in &slots {
        let room = slot.slot.id;
        keys.extend(users.iter().map(|&user| Pair { tenant, room, user }.key()));
    }
    let entries = Values::read(store, &keys).await?;
    let mut rooms = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        let mut counts = true;
        for (nth, at) in (index * users.len()..).take(users.len()).enumerate() {
            let member: Option<Member> = decode_at(&keys[at], entries.get(at))?;
            counts &= member.is_some_and(|member| {
                // The slot is in the first user's roster; the others' lie elsewhere.
                member.active && (nth > 0 || member.room_slot == slot.number)
            });
        }
        if counts {
            rooms.push(slot.slot.id);
        }
    }
    let keys: Vec<String> = rooms.iter().map(|&room| key::room(tenant, room)).collect();
    let records = Values::read(store, &keys).await?;
    let alive = |index: usize| records.get(index).is_some();
    let rooms = rooms.into_iter().enumerate();
    Ok(rooms
        .filter_map(|(index, room)| alive(index).then_some(room))
        .collect())
}

/// The answer to one get-many.
struct Values(Vec<Option<Vec<u8>>>);

impl Values {
    async fn read<S: Read>(store: &S, keys: &[String]) -> Result<Self, Error> {
        if keys.is_empty() {
            return Ok(Self(Vec::new()));
        }
        store.get_many(keys).await.map(Self)
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index)?.as_deref()
    }
}
