//! Who signed a token: the tenant's secrets, its public keys, or those that its key server
//! tells.

use crate::claims::INVALID;
use crate::decisions::{Refusal, refusal};
use serde::Deserialize;
use serde_json::Value;
use sschat_domain::access::Bearing;
use sschat_domain::signing::{Jwk, KEYS_LIMIT};
use sschat_domain::{AppId, Read, key};
use sschat_jws::{Key, Unverified};

/// Tells the host that the key server may know more by now.
pub(crate) const UNKNOWN_KEY: Refusal = refusal(
    "unknown_signing_key",
    "The token names a key that the app's key server has not told.",
);

/// What a key server tells (RFC 7517, section 5). Keys of other kinds are passed over.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// Says nothing where one of the tenant's keys signed the token.
///
/// # Errors
///
/// Where none did.
pub(crate) async fn verify<S: Read>(
    store: &S,
    tenant: AppId,
    token: &Unverified<'_>,
    bearing: &Bearing,
) -> Result<(), Refusal> {
    let wanted = &bearing.tokens;
    let algorithm = token.algorithm();
    if !wanted.algorithms.is_empty() && !wanted.algorithms.contains(&algorithm) {
        return Err(INVALID);
    }
    if algorithm.is_shared() {
        let mut secrets = bearing.secrets.iter();
        let signed = secrets.any(|secret| token.signed_with(secret.expose().as_bytes()));
        return if signed { Ok(()) } else { Err(INVALID) };
    }
    if signed_by_any(token, &wanted.keys) {
        return Ok(());
    }
    let Some(url) = &wanted.jwks_url else {
        return Err(INVALID);
    };
    let told = store.get(&key::key_set(tenant)).await?;
    let told = told.and_then(|kept| told_by(url, &kept));
    let Some(KeySet { keys }) = told else {
        return Err(UNKNOWN_KEY);
    };
    let keys = keys
        .into_iter()
        .filter_map(|key| serde_json::from_value(key).ok());
    let keys: Vec<Jwk> = keys.collect();
    if signed_by_any(token, &keys) {
        return Ok(());
    }
    let known = |id: &str| keys.iter().any(|key| key.kid.as_deref() == Some(id));
    match token.key_id() {
        Some(id) if !known(id) => Err(UNKNOWN_KEY),
        _ => Err(INVALID),
    }
}

/// What this server told. The address that was asked stands before it, in a line of its own:
/// what another one told counts no more.
fn told_by(url: &str, kept: &[u8]) -> Option<KeySet> {
    let told = kept.strip_prefix(url.as_bytes())?.strip_prefix(b"\n")?;
    serde_json::from_slice(told).ok()
}

/// Whether one of these keys signed it: the one that it names, or any where it names none.
fn signed_by_any(token: &Unverified<'_>, keys: &[Jwk]) -> bool {
    let named = |key: &&Jwk| match (token.key_id(), key.kid.as_deref()) {
        (Some(wanted), Some(id)) => wanted == id,
        _ => true,
    };
    let keys = keys
        .iter()
        .filter(named)
        .filter_map(|key| Key::parse(key).ok());
    keys.take(KEYS_LIMIT).any(|key| token.signed_by(&key))
}
