//! What a tenant's backend wants to be told of its users and rooms, and how it knows who
//! tells it.
//!
//! Settings are written whole; of two at once the last counts. The secrets lie apart, so
//! that new settings never bring back an old secret. Absent on purpose: events.

use crate::id::AppId;
use crate::key;
use crate::kv::{Error, Read, Write};
use crate::record::{Secret, decode_at, encode, load};
use crate::signing::bury;
use serde::{Deserialize, Serialize};

/// How many secrets sign at a time.
const VALID: usize = 2;

/// Something that a backend can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A session logged in.
    Connect,
    /// It ended.
    Disconnect,
    /// A session came into a room.
    Join,
    /// It left.
    Leave,
    /// A room's first session came.
    Occupied,
    /// Its last one left.
    Vacated,
    /// Something was said in a room.
    Published,
}

impl Kind {
    /// What is told unless the tenant says otherwise: all but what is said.
    pub const USUAL: [Self; 6] = [
        Self::Connect,
        Self::Disconnect,
        Self::Join,
        Self::Leave,
        Self::Occupied,
        Self::Vacated,
    ];
}

/// What a tenant's backend wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Of what.
    pub kinds: Vec<Kind>,
    /// Where it is posted to, if anywhere.
    pub url: Option<String>,
}

/// What signs events, the newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) secrets: Vec<Secret>,
}

/// What became of new settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// They count. A secret was made where there was none.
    Stored(Option<Secret>),
    /// The tenant was deleted meanwhile.
    Gone,
}

/// What the backend wants, and how many secrets sign it. The caller has seen the app.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn wanted<S: Read>(store: &S, tenant: AppId) -> Result<Option<(Events, usize)>, Error> {
    let Some(events) = load(store, &key::events(tenant)).await? else {
        return Ok(None);
    };
    Ok(Some((events, secrets(store, tenant).await?.len())))
}

/// What the backend wants, and what signs it: one get-many.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn in_effect<S: Read>(
    store: &S,
    tenant: AppId,
) -> Result<Option<(Events, Vec<Secret>)>, Error> {
    let [events, secrets] = keys(tenant);
    let keys = [key::app(tenant), events, secrets];
    let values = store.get_many(&keys).await?;
    let value = |at: usize| values.get(at).and_then(Option::as_deref);
    let events: Option<Events> = decode_at(&keys[1], value(1))?;
    let secrets: Option<Secrets> = decode_at(&keys[2], value(2))?;
    let found = events.filter(|_| value(0).is_some());
    Ok(found.map(|events| (events, secrets.unwrap_or_default().secrets)))
}

/// Says what the backend wants from now on. `fresh` becomes the secret where there is none.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn want<S: Write>(
    store: &S,
    tenant: AppId,
    events: &Events,
    fresh: &Secret,
) -> Result<Wanted, Error> {
    let mut entries = vec![(key::events(tenant), encode(events))];
    let made = secrets(store, tenant).await?.is_empty();
    if made {
        let secrets = vec![fresh.clone()];
        entries.push((key::event_secrets(tenant), encode(&Secrets { secrets })));
    }
    store.set_many(entries).await?;
    if bury(store, tenant, keys(tenant).into()).await? {
        return Ok(Wanted::Gone);
    }
    Ok(Wanted::Stored(made.then(|| fresh.clone())))
}

/// Nothing is wanted any more; the secrets go too. `false` where nothing was.
///
/// # Errors
///
/// A failing store.
pub async fn forget<S: Write>(store: &S, tenant: AppId) -> Result<bool, Error> {
    let wanted = store.exists(&key::events(tenant)).await?;
    store.delete_many(keys(tenant).into()).await?;
    Ok(wanted)
}

/// Makes `fresh` the secret; the one before signs beside it, an older one does not. Gives
/// back how many sign; `None` where nothing is wanted. Of two at once the last counts.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn rotate<S: Write>(
    store: &S,
    tenant: AppId,
    fresh: &Secret,
) -> Result<Option<usize>, Error> {
    if !store.exists(&key::events(tenant)).await? {
        return Ok(None);
    }
    let mut secrets = secrets(store, tenant).await?;
    secrets.insert(0, fresh.clone());
    secrets.truncate(VALID);
    let count = secrets.len();
    let at = key::event_secrets(tenant);
    store.set(&at, encode(&Secrets { secrets })).await?;
    let gone = bury(store, tenant, vec![at]).await?;
    Ok((!gone).then_some(count))
}

/// Takes back the older of two secrets. `false` where there are not two.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn retire<S: Write>(store: &S, tenant: AppId) -> Result<bool, Error> {
    let mut secrets = secrets(store, tenant).await?;
    if secrets.len() < VALID {
        return Ok(false);
    }
    secrets.truncate(VALID - 1);
    let at = key::event_secrets(tenant);
    store.set(&at, encode(&Secrets { secrets })).await?;
    bury(store, tenant, vec![at]).await?;
    Ok(true)
}

async fn secrets<S: Read>(store: &S, tenant: AppId) -> Result<Vec<Secret>, Error> {
    let found: Option<Secrets> = load(store, &key::event_secrets(tenant)).await?;
    Ok(found.unwrap_or_default().secrets)
}

/// Every key that may be here.
pub(crate) fn keys(tenant: AppId) -> [String; 2] {
    [key::events(tenant), key::event_secrets(tenant)]
}
