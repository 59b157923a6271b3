//! A token taken apart.

use crate::keys::Key;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Sha256, Sha384, Sha512};
use sschat_domain::signing::Algorithm;

/// The longest token, in bytes. A few claims take a few hundred.
pub const TOKEN_LIMIT: usize = 8 << 10;

/// The text is no token, or wants what is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A token whose signature has not been looked at.
#[derive(Debug)]
pub struct Unverified<'a> {
    header: Header,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Vec<u8>,
}

/// An `alg` that is unknown, `none` among them, is an error, whatever else is there.
#[derive(Debug, Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    // An extension that must be understood (RFC 7515, section 4.1.11): none is.
    crit: Option<IgnoredAny>,
    // A payload that is not encoded (RFC 7797) is none that is read here.
    b64: Option<IgnoredAny>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// Where it has another form, or wants what is not supported.
    pub fn parse(token: &'a str) -> Result<Self, Malformed> {
        if token.len() > TOKEN_LIMIT {
            return Err(Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Malformed)?;
        let header: Header = json(&decode(header)?)?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Malformed);
        }
        Ok(Self {
            header,
            signed,
            signature: decode(signature)?,
            claims: decode(claims)?,
        })
    }

    /// What it says, as far as `C` asks.
    ///
    /// # Errors
    ///
    /// Where it says it in another form.
    pub fn claims<C: DeserializeOwned>(&self) -> Result<C, Malformed> {
        json(&self.claims)
    }

    /// How it says that it is signed.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// The key that it names.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Whether this secret signed it, compared in constant time.
    #[must_use]
    pub fn signed_with(&self, secret: &[u8]) -> bool {
        match self.header.alg {
            Algorithm::Hs256 => self.matches(Hmac::<Sha256>::new_from_slice(secret)),
            Algorithm::Hs384 => self.matches(Hmac::<Sha384>::new_from_slice(secret)),
            Algorithm::Hs512 => self.matches(Hmac::<Sha512>::new_from_slice(secret)),
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => false,
        }
    }

    /// Whether this key signed it, by the algorithm that the key is for.
    #[must_use]
    pub fn signed_by(&self, key: &Key) -> bool {
        key.algorithm() == self.header.alg && key.verifies(self.signed.as_bytes(), &self.signature)
    }

    fn matches<M: Mac, E>(&self, mac: Result<M, E>) -> bool {
        mac.is_ok_and(|mac| {
            let mac = mac.chain_update(self.signed);
            mac.verify_slice(&self.signature).is_ok()
        })
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    // The parser would take an array as an object without names.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Malformed);
    }
    serde_json::from_slice(bytes).map_err(|_| Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed)
}
