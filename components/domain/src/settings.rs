//! What a tenant chose for itself and for its rooms: limits, how much history is kept,
//! whether bare user ids log in.
//!
//! Each record is written whole without being read before; of two the last counts. What a
//! host allows at most is not here: the smaller of the two counts, and hosts differ.

use crate::id::{AppId, RoomId};
use crate::key;
use crate::kv::{Error, Read, Write};
use crate::record::{encode, load};
use serde::{Deserialize, Serialize};

/// What sessions are held to. What is absent is the host's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Rooms that a session may hear beside those of its user.
    pub channels: Option<u32>,
    /// Bytes of a message.
    pub message_size: Option<u32>,
    /// Bytes that may wait for a session.
    pub queue_size: Option<u32>,
    /// Bytes of a room's name.
    pub channel_length: Option<u32>,
    /// Commands of a session in a second, on average.
    pub commands_per_second: Option<u32>,
}

/// How much of a room is kept. What is absent is the key's word, or the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Publications; 0 for none.
    pub size: Option<u32>,
    /// Seconds until a publication is gone; 0 for none.
    pub age: Option<u32>,
}

/// What a tenant chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What its sessions are held to.
    pub limits: Limits,
    /// How much of its rooms is kept.
    pub history: History,
    /// Whether bare user ids are refused; absent, the registration's word.
    pub require_token: Option<bool>,
}

/// What a tenant chose for one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomSettings {
    /// How much of it is kept.
    pub history: History,
}

/// What the tenant chose. The caller has seen the app.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn of_tenant<S: Read>(store: &S, tenant: AppId) -> Result<Settings, Error> {
    let found = load(store, &key::settings(tenant)).await?;
    Ok(found.unwrap_or_default())
}

/// Chooses. `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store.
pub async fn set<S: Write>(store: &S, tenant: AppId, chosen: &Settings) -> Result<bool, Error> {
    let at = key::settings(tenant);
    if *chosen == Settings::default() {
        store.delete(&at).await?;
        return Ok(true);
    }
    store.set(&at, encode(chosen)).await?;
    keep(store, at, &[key::app(tenant)]).await
}

/// What the tenant chose for a room. The caller has seen both.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn of_room<S: Read>(
    store: &S,
    tenant: AppId,
    room: RoomId,
) -> Result<RoomSettings, Error> {
    let found = load(store, &key::room_settings(tenant, room)).await?;
    Ok(found.unwrap_or_default())
}

/// Chooses for a room. `false` if it was deleted meanwhile, or its tenant.
///
/// # Errors
///
/// A failing store.
pub async fn set_room<S: Write>(
    store: &S,
    tenant: AppId,
    room: RoomId,
    chosen: &RoomSettings,
) -> Result<bool, Error> {
    let at = key::room_settings(tenant, room);
    if *chosen == RoomSettings::default() {
        store.delete(&at).await?;
        return Ok(true);
    }
    store.set(&at, encode(chosen)).await?;
    keep(store, at, &[key::room(tenant, room), key::app(tenant)]).await
}

/// Deletes what was written late: the removal of its owner may not have seen it.
async fn keep<S: Write>(store: &S, at: String, owners: &[String]) -> Result<bool, Error> {
    for owner in owners {
        if !store.exists(owner).await? {
            store.delete(&at).await?;
            return Ok(false);
        }
    }
    Ok(true)
}
