//! What a tenant's user tokens are held against: its secrets, two at a time, and what
//! else it configured: public keys, where to find more, algorithms, issuer, audience.
//!
//! Each rotation claims a number and writes a place of its own, so two at once lose
//! nothing: the two newest count. A configuration is written whole, without being read
//! before; of two the last counts. Verifying is not here: see the authority.

use crate::id::AppId;
use crate::key;
use crate::kv::{Error, Read, Write};
use crate::record::{App, Secret, decode_at, encode, load};
use serde::{Deserialize, Serialize};

/// Places for secrets, used in turn: twice as many as count, so that a rotation that
/// failed between its number and its place takes no secret away.
pub const PLACES: u64 = 4;

/// How many secrets count at a time.
const VALID: usize = 2;

/// The most public keys of a configuration.
pub const KEYS_LIMIT: usize = 16;

/// How a token is signed (RFC 7518 section 3.1, RFC 8037 section 3.1). There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named by the RFC")]
pub enum Algorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Whether it takes a shared secret; the others take public keys.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// A public key (RFC 7517), as it is stored and as key servers tell it. What belongs to
/// other kinds of keys is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `RSA`, `EC` or `OKP`.
    pub kty: String,
    /// The curve: `P-256`, `Ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The name by which tokens call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What it is for; `sig`, if anything.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// The one algorithm that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// An RSA key's modulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// An RSA key's exponent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// A point's first coordinate, or an Ed25519 key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// A point's second coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
}

/// What a tenant wants of tokens, beside that one of its secrets signed them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// The algorithms that are taken. Where none is named: those that there are keys for.
    pub algorithms: Vec<Algorithm>,
    /// Public keys.
    pub keys: Vec<Jwk>,
    /// Where a server tells more public keys, as a set (RFC 7517, section 5).
    pub jwks_url: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be, or hold.
    pub audience: Option<String>,
}

/// A place for a secret. Without one it says that the secret of this number is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    number: u64,
    secret: Option<Secret>,
}

/// Makes `fresh` a secret of the tenant: the one before stays valid beside it, an older
/// one does not. `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn rotate<S: Write>(store: &S, tenant: AppId, fresh: &Secret) -> Result<bool, Error> {
    let number = store.increment(&key::rotations(tenant), 1).await?;
    let number = u64::try_from(number).unwrap_or_default();
    let place = Place {
        number,
        secret: Some(fresh.clone()),
    };
    let at = key::secret(tenant, number % PLACES);
    store.set(&at, encode(&place)).await?;
    Ok(!bury(store, tenant, vec![key::rotations(tenant), at]).await?)
}

/// Takes back the older of two secrets. `false` where only one is valid.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn retire<S: Write>(store: &S, tenant: AppId, app: &App) -> Result<bool, Error> {
    let keys = secret_keys(tenant);
    let values = store.get_many(&keys).await?;
    let places = places(app, &keys, &values)?;
    let Some(Place { number, .. }) = places.get(1).filter(|place| place.secret.is_some()) else {
        return Ok(false);
    };
    let gone = Place {
        number: *number,
        secret: None,
    };
    let at = key::secret(tenant, number % PLACES);
    store.set(&at, encode(&gone)).await?;
    bury(store, tenant, vec![at]).await?;
    Ok(true)
}

/// How many secrets are valid now. The caller has seen the app.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn count<S: Read>(store: &S, tenant: AppId, app: &App) -> Result<usize, Error> {
    let keys = secret_keys(tenant);
    let values = store.get_many(&keys).await?;
    Ok(valid(app, &keys, &values)?.len())
}

/// What the tenant wants of tokens. The caller has seen the app.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn wanted<S: Read>(store: &S, tenant: AppId) -> Result<Tokens, Error> {
    let tokens = load(store, &key::tokens(tenant)).await?;
    Ok(tokens.unwrap_or_default())
}

/// Says what is wanted of tokens from now on. What a key server told stays, and counts while
/// the same one is named.
/// `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store.
pub async fn want<S: Write>(store: &S, tenant: AppId, tokens: &Tokens) -> Result<bool, Error> {
    let at = key::tokens(tenant);
    store.set(&at, encode(tokens)).await?;
    Ok(!bury(store, tenant, vec![at]).await?)
}

/// The record that says what is wanted of tokens, for a registration to write.
pub(crate) fn entry(tenant: AppId, tokens: &Tokens) -> (String, Vec<u8>) {
    (key::tokens(tenant), encode(tokens))
}

/// Every key that may be here.
pub(crate) fn keys(tenant: AppId) -> Vec<String> {
    let mut keys = secret_keys(tenant).to_vec();
    keys.push(key::rotations(tenant));
    keys.push(key::tokens(tenant));
    keys.push(key::key_set(tenant));
    keys
}

pub(crate) fn secret_keys(tenant: AppId) -> [String; PLACES as usize] {
    std::array::from_fn(|place| key::secret(tenant, place as u64))
}

/// The secrets that count, the newest first, from the values at [`secret_keys`].
pub(crate) fn valid(
    app: &App,
    keys: &[String],
    values: &[Option<Vec<u8>>],
) -> Result<Vec<Secret>, Error> {
    let places = places(app, keys, values)?;
    let secrets = places.into_iter().filter_map(|place| place.secret);
    Ok(secrets.collect())
}

/// The newest places. That of the registration has number 0 and stands in the app's record.
fn places(app: &App, keys: &[String], values: &[Option<Vec<u8>>]) -> Result<Vec<Place>, Error> {
    let mut places: Vec<Place> = Vec::with_capacity(keys.len() + app.secrets.len());
    for (key, value) in keys.iter().zip(values) {
        places.extend(decode_at::<Place>(key, value.as_deref())?);
    }
    if !places.iter().any(|place| place.number == 0) {
        places.extend(app.secrets.first().map(|secret| Place {
            number: 0,
            secret: Some(secret.clone()),
        }));
    }
    places.sort_by_key(|place| std::cmp::Reverse(place.number));
    places.truncate(VALID);
    // Where rotations failed again and again, none may bring back what was replaced long ago.
    let newest = places.first().map_or(0, |place| place.number);
    places.retain(|place| place.number + PLACES > newest);
    Ok(places)
}

/// Deletes what was written for a tenant that went meanwhile.
pub(crate) async fn bury<S: Write>(
    store: &S,
    tenant: AppId,
    keys: Vec<String>,
) -> Result<bool, Error> {
    if store.exists(&key::app(tenant)).await? {
        return Ok(false);
    }
    store.delete_many(keys).await?;
    Ok(true)
}
