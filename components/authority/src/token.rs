//! JSON Web Tokens (RFC 7519) signed with a shared secret (RFC 7515, RFC 7518
//! section 3.2): HS256, HS384 and HS512, nothing else.

use crate::decisions::{Clock, Refusal, refusal};
use crate::name::Name;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::{Sha256, Sha384, Sha512};

/// The longest token, in bytes. A few claims take a few hundred.
pub const TOKEN_LIMIT: usize = 8 << 10;

/// How far the clock of whoever made the token may be ahead, in seconds.
const LEEWAY: f64 = 60.0;

/// A token that is not what it should be. One code for all, so that a forger
/// learns nothing.
pub(crate) const INVALID: Refusal = refusal("invalid_token", "The token is not valid.");

const EXPIRED: Refusal = refusal("token_expired", "The token has expired.");

/// A token whose signature has not been looked at.
#[derive(Debug)]
pub struct Unverified<'a> {
    algorithm: Algorithm,
    signed: &'a str,
    signature: Vec<u8>,
    /// What it says.
    pub claims: Claims,
}

/// The algorithms that are taken. `none` and those with public keys are not among
/// them, whatever the token says.
#[derive(Debug, Clone, Copy, Deserialize)]
enum Algorithm {
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
}

#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    // An extension that must be understood (RFC 7515, section 4.1.11): none is.
    crit: Option<serde::de::IgnoredAny>,
}

/// The claims that matter here.
#[derive(Debug, Deserialize)]
pub struct Claims {
    sub: Option<String>,
    /// The public id of the app.
    pub app: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// Where it has another form, or wants what is not supported.
    pub fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > TOKEN_LIMIT {
            return Err(INVALID);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(INVALID)?;
        let (header, claims) = signed.split_once('.').ok_or(INVALID)?;
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(INVALID);
        }
        Ok(Self {
            algorithm: header.alg,
            signed,
            signature: decode(signature)?,
            claims: json(claims)?,
        })
    }

    /// Whether this secret signed it, compared in constant time.
    #[must_use]
    pub fn signed_with(&self, secret: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Hs256 => self.matches(Hmac::<Sha256>::new_from_slice(secret)),
            Algorithm::Hs384 => self.matches(Hmac::<Sha384>::new_from_slice(secret)),
            Algorithm::Hs512 => self.matches(Hmac::<Sha512>::new_from_slice(secret)),
        }
    }

    fn matches<M: Mac, E>(&self, mac: Result<M, E>) -> bool {
        mac.is_ok_and(|mac| {
            let mac = mac.chain_update(self.signed);
            mac.verify_slice(&self.signature).is_ok()
        })
    }
}

impl Claims {
    /// The user that the token is about.
    #[must_use]
    pub fn subject(&self) -> Option<Name> {
        Name::parse(self.sub.as_deref()?)
    }

    /// Holds `exp`, `nbf` and `iat` against the clock, which is read only if one
    /// of them is there. Returns when the token ends.
    ///
    /// # Errors
    ///
    /// Where it has expired or is not valid yet.
    pub fn check_times(&self, clock: &impl Clock) -> Result<Option<u64>, Refusal> {
        if self.exp.is_none() && self.nbf.is_none() && self.iat.is_none() {
            return Ok(None);
        }
        // Exact up to 2⁵³, far beyond any date.
        let now = clock.now() as f64;
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err(EXPIRED);
        }
        let early = |time: Option<f64>| time.is_some_and(|time| time > now + LEEWAY);
        if early(self.nbf) || early(self.iat) {
            return Err(INVALID);
        }
        Ok(self.exp.map(|exp| exp as u64))
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Refusal> {
    let bytes = decode(part)?;
    // The parser would take an array as an object without names.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(INVALID);
    }
    serde_json::from_slice(&bytes).map_err(|_| INVALID)
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| INVALID)
}
