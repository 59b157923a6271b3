//! Public keys: read from JSON (RFC 7517) and from PEM (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey as Ed25519;
use p256::ecdsa::VerifyingKey as P256;
use p256::pkcs8::DecodePublicKey;
use rsa::pkcs1v15::{Signature as RsaSignature, VerifyingKey as RsaVerifyingKey};
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use sha2::Sha256;
use sschat_domain::signing::{Algorithm, Jwk};
use std::fmt;

/// The longest PEM text, in bytes. An RSA key of 4,096 bits takes 800.
const PEM_LIMIT: usize = 4 << 10;

/// Bits of an RSA key: no fewer are safe (RFC 7518 section 3.3), and more cost too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// What an Ed25519 key in PEM begins with (RFC 8410).
const ED25519_DER: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Not a public key that tokens are verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a public key of RSA (2048 to 4096 bits), P-256 or Ed25519")
    }
}

impl std::error::Error for BadKey {}

/// A public key that verifies.
#[derive(Debug, Clone)]
pub enum Key {
    /// RS256.
    Rsa(Box<RsaPublicKey>),
    /// ES256.
    P256(Box<P256>),
    /// `EdDSA`, with Ed25519.
    Ed25519(Box<Ed25519>),
}

impl Key {
    /// The key of these numbers.
    ///
    /// # Errors
    ///
    /// Another kind of key, or one that is for something else.
    pub fn parse(jwk: &Jwk) -> Result<Self, BadKey> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err(BadKey);
        }
        let key = match (&*jwk.kty, jwk.crv.as_deref()) {
            ("RSA", _) => rsa(&number(&jwk.n)?, &number(&jwk.e)?)?,
            ("EC", Some("P-256")) => {
                let (x, y) = (fixed(&jwk.x)?, fixed(&jwk.y)?);
                let point =
                    p256::EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
                let key = P256::from_encoded_point(&point).map_err(|_| BadKey)?;
                Self::P256(Box::new(key))
            }
            ("OKP", Some("Ed25519")) => ed25519(&fixed(&jwk.x)?)?,
            _ => return Err(BadKey),
        };
        let named = jwk.alg.as_deref();
        if named.is_some_and(|named| named != key.name()) {
            return Err(BadKey);
        }
        Ok(key)
    }

    /// The algorithm that it verifies by.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// Whether it signed this text.
    #[must_use]
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => RsaSignature::try_from(signature).is_ok_and(|signature| {
                let key = RsaVerifyingKey::<Sha256>::new((**key).clone());
                key.verify(text, &signature).is_ok()
            }),
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()),
        }
    }

    /// The numbers of the key, in one form.
    #[must_use]
    pub fn to_jwk(&self, kid: Option<String>) -> Jwk {
        let text = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let plain = |kty: &str, crv: Option<&str>| Jwk {
            kty: kty.to_owned(),
            crv: crv.map(str::to_owned),
            kid: kid.clone(),
            usage: None,
            alg: None,
            n: None,
            e: None,
            x: None,
            y: None,
        };
        match self {
            Self::Rsa(key) => Jwk {
                n: text(&key.n().to_bytes_be()),
                e: text(&key.e().to_bytes_be()),
                ..plain("RSA", None)
            },
            Self::P256(key) => {
                let point = key.to_encoded_point(false);
                Jwk {
                    x: point.x().and_then(|x| text(x)),
                    y: point.y().and_then(|y| text(y)),
                    ..plain("EC", Some("P-256"))
                }
            }
            Self::Ed25519(key) => Jwk {
                x: text(key.as_bytes()),
                ..plain("OKP", Some("Ed25519"))
            },
        }
    }
}

/// The key in a PEM text of the kind `PUBLIC KEY`.
///
/// # Errors
///
/// Another text, another kind of key, or more than one.
pub fn parse_pem(text: &str) -> Result<Key, BadKey> {
    let body = text
        .trim()
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
        .filter(|_| text.len() <= PEM_LIMIT);
    let body: String = body.ok_or(BadKey)?.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| BadKey)?;
    if let Some(raw) = der.strip_prefix(ED25519_DER) {
        return ed25519(raw.try_into().map_err(|_| BadKey)?);
    }
    if let Ok(key) = p256::PublicKey::from_public_key_der(&der) {
        return Ok(Key::P256(Box::new(key.into())));
    }
    let key = RsaPublicKey::from_public_key_der(&der).map_err(|_| BadKey)?;
    sized(key)
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Key, BadKey> {
    let number = BigUint::from_bytes_be;
    sized(RsaPublicKey::new(number(modulus), number(exponent)).map_err(|_| BadKey)?)
}

fn sized(key: RsaPublicKey) -> Result<Key, BadKey> {
    let fits = RSA_BITS.contains(&key.n().bits());
    fits.then(|| Key::Rsa(Box::new(key))).ok_or(BadKey)
}

/// Keys of a small order would verify what nobody signed.
fn ed25519(raw: &[u8; 32]) -> Result<Key, BadKey> {
    let key = Ed25519::from_bytes(raw).map_err(|_| BadKey)?;
    let strong = !key.is_weak();
    strong.then(|| Key::Ed25519(Box::new(key))).ok_or(BadKey)
}

fn number(text: &Option<String>) -> Result<Vec<u8>, BadKey> {
    let text = text.as_deref().filter(|text| text.len() <= PEM_LIMIT);
    URL_SAFE_NO_PAD
        .decode(text.ok_or(BadKey)?)
        .map_err(|_| BadKey)
}

fn fixed(text: &Option<String>) -> Result<[u8; 32], BadKey> {
    number(text)?.try_into().map_err(|_| BadKey)
}
