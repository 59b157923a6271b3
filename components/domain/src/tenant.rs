//! Tenants: registration, authentication, and the creation and listing of what
//! they own. Deletion is in [`crate::removal`].
//!
//! A record, the slot that lists it and the pointer that leads to it are written as
//! one. A pointer without its record grants nothing.

use crate::id::{ApiKey, AppId, KeyDigest, RoomId, UserId};
use crate::key;
use crate::kv::{Error, Read, Write};
use crate::membership::SLOTS_PER_PAGE;
use crate::record::{App, Named, Pointer, Slot, decode_at, encode, load};
use crate::roster::{Claim, Page, Peer, Roster, cursor, first_slot};
use crate::signing::{self, Tokens};

/// A tenant whose key was presented, and its record.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its public name.
    pub id: AppId,
    /// Its record.
    pub app: App,
}

/// Makes a tenant. The key is not stored, only its digest, which `app` carries.
///
/// # Errors
///
/// A failing store.
pub async fn register<S: Write>(store: &S, id: AppId, app: &App) -> Result<(), Error> {
    register_with(store, id, app, None).await
}

/// As [`register`], with what the tenant wants of tokens.
///
/// # Errors
///
/// A failing store.
pub async fn register_with<S: Write>(
    store: &S,
    id: AppId,
    app: &App,
    tokens: Option<&Tokens>,
) -> Result<(), Error> {
    let pointer = encode(&Pointer { tenant: id });
    let mut entries = vec![
        (key::key_pointer(&app.key), pointer),
        (key::app(id), encode(app)),
    ];
    entries.extend(tokens.map(|tokens| signing::entry(id, tokens)));
    store.set_many(entries).await
}

/// The tenant that the key belongs to, or `None`: two gets.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn authenticate<S: Read>(store: &S, key: &ApiKey) -> Result<Option<Tenant>, Error> {
    let digest = key.digest();
    let Some(id) = tenant_of_key(store, &digest).await? else {
        return Ok(None);
    };
    let app = load::<App, S>(store, &key::app(id)).await?;
    // A pointer that outlived its key's replacement no longer counts.
    let app = app.filter(|app| app.key == digest);
    Ok(app.map(|app| Tenant { id, app }))
}

/// Where the pointer of a key leads, whether or not the tenant still exists.
pub(crate) async fn tenant_of_key<S: Read>(
    store: &S,
    digest: &KeyDigest,
) -> Result<Option<AppId>, Error> {
    let pointer = load::<Pointer, S>(store, &key::key_pointer(digest)).await?;
    Ok(pointer.map(|pointer| pointer.tenant))
}

/// Creates a room. `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn create_room<S: Write>(store: &S, tenant: AppId, room: RoomId) -> Result<bool, Error> {
    let roster = Roster::rooms_of_tenant(tenant);
    create(store, tenant, &roster, room, None).await
}

/// Creates a user. `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn create_user<S: Write>(store: &S, tenant: AppId, user: UserId) -> Result<bool, Error> {
    let roster = Roster::users_of_tenant(tenant);
    let pointer = key::user_pointer(user);
    create(store, tenant, &roster, user, Some(pointer)).await
}

/// Whether the tenant has this room. The caller has seen the app.
///
/// # Errors
///
/// A failing store.
pub async fn room_exists<S: Read>(store: &S, tenant: AppId, room: RoomId) -> Result<bool, Error> {
    store.exists(&key::room(tenant, room)).await
}

/// Whether the tenant has this user. The caller has seen the app.
///
/// # Errors
///
/// A failing store.
pub async fn user_exists<S: Read>(store: &S, tenant: AppId, user: UserId) -> Result<bool, Error> {
    store.exists(&key::user(tenant, user)).await
}

/// One page of the tenant's rooms. The caller has seen the app.
///
/// # Errors
///
/// A failing store, a record of a newer version, or a cursor that is none.
pub async fn rooms<S: Read>(
    store: &S,
    tenant: AppId,
    from: Option<&str>,
    limit: usize,
) -> Result<Page<RoomId>, Error> {
    list(store, tenant, &Roster::rooms_of_tenant(tenant), from, limit).await
}

/// One page of the tenant's users. The caller has seen the app.
///
/// # Errors
///
/// A failing store, a record of a newer version, or a cursor that is none.
pub async fn users<S: Read>(
    store: &S,
    tenant: AppId,
    from: Option<&str>,
    limit: usize,
) -> Result<Page<UserId>, Error> {
    list(store, tenant, &Roster::users_of_tenant(tenant), from, limit).await
}

async fn create<S: Write, P: Peer + serde::Serialize>(
    store: &S,
    tenant: AppId,
    roster: &Roster<P>,
    id: P,
    pointer: Option<String>,
) -> Result<bool, Error> {
    let Claim { number, settle } = roster.claim(store).await?;
    let record = id.record_key(tenant);
    let slot = roster.slot_key(number);
    let mut entries = vec![
        (record.clone(), encode(&Named { slot: number })),
        (slot.clone(), encode(&Slot { id, back: 0 })),
    ];
    entries.extend(
        pointer
            .clone()
            .map(|key| (key, encode(&Pointer { tenant }))),
    );
    store.set_many(entries).await?;
    if !settle.is_empty() {
        store.delete_many(settle).await?;
    }
    // If the tenant went meanwhile, its removal may not have seen what was written.
    let mut keys = vec![record, slot];
    keys.extend(pointer);
    let gone = roster.bury(store, keys, true).await?;
    Ok(!gone)
}

async fn list<S: Read, P: Peer>(
    store: &S,
    tenant: AppId,
    roster: &Roster<P>,
    from: Option<&str>,
    limit: usize,
) -> Result<Page<P>, Error> {
    let first = first_slot(from)?;
    let count = roster.count(store).await?;
    let last = count.min(first.saturating_add(SLOTS_PER_PAGE - 1));
    let mut ids = Vec::new();
    let mut next = first;
    while next <= last && ids.len() < limit {
        let wanted = (limit - ids.len()) as u64;
        let until = last.min(next + wanted - 1);
        let slots = roster.slots(store, next, until).await?;
        let keys: Vec<String> = slots
            .iter()
            .map(|slot| slot.slot.id.record_key(tenant))
            .collect();
        let records = store.get_many(&keys).await?;
        for ((slot, key), record) in slots.iter().zip(&keys).zip(records) {
            let named: Option<Named> = decode_at(key, record.as_deref())?;
            if named.is_some_and(|named| named.slot == slot.number) {
                ids.push(slot.slot.id);
            }
        }
        next = until + 1;
    }
    let next = (next <= count).then(|| cursor(next));
    Ok(Page { ids, next })
}
