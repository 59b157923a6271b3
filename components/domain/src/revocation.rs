//! Which user tokens a tenant took back: single ones by their `jti`, a user's by when they
//! were made, and all of them by when they were made.
//!
//! The records lie where a decision about a token looks for them, and are there or not;
//! nothing else is read. Those of registered users go with their users. The others, whose
//! number nothing else bounds, take one of [`PLACES`] places each, in turn: a place whose
//! revocation is over is given to the next. Absent on purpose: the clock, and whether a
//! token is meant, which is the authority's affair.

use crate::id::{AppId, TokenDigest, UserId};
use crate::key;
use crate::kv::{Error, Write, counter};
use crate::record::{decode_at, encode, load};
use crate::ring::increment;
use serde::{Deserialize, Serialize};

/// How many tokens and unregistered names a tenant may have revoked at a time: enough for
/// a backend that revokes hundreds an hour and lets them end with their tokens, and about
/// 2 MB of records.
pub const PLACES: u64 = 10_000;

/// How many places one revocation looks at before it is refused. The next one looks on.
const TRIES: usize = 16;

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Every token of the tenant.
    All,
    /// The tokens of a registered user.
    User(UserId),
    /// The tokens of a name that belongs to no registered user.
    Name(&'a str),
    /// The token with this `jti`.
    Token(TokenDigest),
}

/// A revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revoked {
    /// Tokens made before this second of the Unix epoch are revoked; absent where the
    /// revocation is of one token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<u64>,
    /// From this second on the record may be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Its place; 0 where it needs none.
    #[serde(default)]
    pub(crate) place: u64,
}

/// What became of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Done,
    /// All places are taken.
    TooMany,
    /// The user, or the tenant, is gone.
    Gone,
}

/// The key of the revocation that has a place.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    key: String,
}

impl Subject<'_> {
    /// Where its revocation lies.
    #[must_use]
    pub fn key(&self, tenant: AppId) -> String {
        match self {
            Self::All => key::revoked_all(tenant),
            Self::User(user) => key::revoked_user(tenant, *user),
            Self::Name(name) => key::revoked_name(tenant, name),
            Self::Token(digest) => key::revoked_token(tenant, digest),
        }
    }

    const fn takes_a_place(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Token(_))
    }
}

impl Revoked {
    /// Of tokens that were made before this second of the Unix epoch.
    #[must_use]
    pub const fn before(issued: u64) -> Self {
        Self {
            issued_before: Some(issued),
            until: None,
            place: 0,
        }
    }

    /// Of one token; from the second `until` on it need not be kept.
    #[must_use]
    pub const fn token(until: Option<u64>) -> Self {
        Self {
            issued_before: None,
            until,
            place: 0,
        }
    }

    /// Whether it need not be kept at this second.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Revokes. Whoever revokes the same again changes what was said of it.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn revoke<S: Write>(
    store: &S,
    tenant: AppId,
    subject: Subject<'_>,
    wanted: Revoked,
    now: u64,
) -> Result<Outcome, Error> {
    let at = subject.key(tenant);
    let known = load::<Revoked, S>(store, &at).await?;
    let place = known
        .filter(|known| !known.is_over(now))
        .map_or(0, |known| known.place);
    if subject.takes_a_place() && place == 0 {
        return claim(store, tenant, at, wanted, now).await;
    }
    store.set(&at, encode(&Revoked { place, ..wanted })).await?;
    let user = match subject {
        Subject::User(user) => store.exists(&key::user(tenant, user)).await?,
        _ => true,
    };
    if user && store.exists(&key::app(tenant)).await? {
        return Ok(Outcome::Done);
    }
    // Its removal may not have seen what was written.
    store.delete(&at).await?;
    Ok(Outcome::Gone)
}

/// What is revoked of it, if anything.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn revoked<S: Write>(
    store: &S,
    tenant: AppId,
    subject: Subject<'_>,
) -> Result<Option<Revoked>, Error> {
    load(store, &subject.key(tenant)).await
}

/// Takes a revocation back. Its place is found to be free by whoever comes to it.
///
/// # Errors
///
/// A failing store.
pub async fn restore<S: Write>(
    store: &S,
    tenant: AppId,
    subject: Subject<'_>,
) -> Result<(), Error> {
    store.delete(&subject.key(tenant)).await
}

/// Writes a revocation at a place that no other needs.
async fn claim<S: Write>(
    store: &S,
    tenant: AppId,
    at: String,
    wanted: Revoked,
    now: u64,
) -> Result<Outcome, Error> {
    for _ in 0..TRIES {
        let number = increment(store, &key::revocations(tenant), 1).await?;
        let place = (number - 1) % PLACES + 1;
        let place_key = key::revocation_place(tenant, place);
        if let Some(Place { key: old }) = load(store, &place_key).await? {
            let there = load::<Revoked, S>(store, &old).await?;
            // One that has another place by now, or was taken back, does not need this one.
            let there = there.filter(|there| there.place == place);
            if there.is_some_and(|there| !there.is_over(now)) {
                continue;
            }
            if there.is_some() {
                store.delete(&old).await?;
            }
        }
        let entries = vec![
            (place_key.clone(), encode(&Place { key: at.clone() })),
            (at.clone(), encode(&Revoked { place, ..wanted })),
        ];
        store.set_many(entries).await?;
        return match bury(store, tenant, vec![place_key, at]).await? {
            true => Ok(Outcome::Gone),
            false => Ok(Outcome::Done),
        };
    }
    match bury(store, tenant, Vec::new()).await? {
        true => Ok(Outcome::Gone),
        false => Ok(Outcome::TooMany),
    }
}

/// Deletes what was written for a tenant that went meanwhile. The count is the removal's
/// until that has ended.
async fn bury<S: Write>(store: &S, tenant: AppId, mut keys: Vec<String>) -> Result<bool, Error> {
    if store.exists(&key::app(tenant)).await? {
        return Ok(false);
    }
    if !store.exists(&key::doom(tenant)).await? {
        keys.push(key::revocations(tenant));
    }
    if !keys.is_empty() {
        store.delete_many(keys).await?;
    }
    Ok(true)
}

/// Deletes what a removed tenant revoked, from the place behind `done` on, as far as the
/// budget goes. Says whether all places were seen.
pub(crate) async fn remove_step<S: Write>(
    store: &S,
    tenant: AppId,
    done: &mut u64,
    budget: &mut u64,
) -> Result<bool, Error> {
    let count = counter(store, &key::revocations(tenant)).await?.min(PLACES);
    let last = count.min(done.saturating_add(*budget));
    let places: Vec<String> = (*done + 1..=last)
        .map(|place| key::revocation_place(tenant, place))
        .collect();
    if !places.is_empty() {
        let mut keys = Vec::with_capacity(2 * places.len());
        let values = store.get_many(&places).await?;
        for (key, value) in places.iter().zip(values) {
            let place: Option<Place> = decode_at(key, value.as_deref())?;
            keys.extend(place.map(|place| place.key));
        }
        keys.extend(places);
        store.delete_many(keys).await?;
    }
    *budget -= last.saturating_sub(*done);
    *done = last;
    Ok(last == count)
}

/// The keys that go last with a tenant.
pub(crate) fn keys(tenant: AppId) -> [String; 2] {
    [key::revocations(tenant), key::revoked_all(tenant)]
}
