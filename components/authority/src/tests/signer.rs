//! Private keys, by an implementation of its own.

use super::*;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use sschat_domain::signing::Jwk;

/// A key of this test alone, in PKCS #8.
const RSA: &[u8] = include_bytes!("../../../../tests/keys/rsa.p8");

/// Signs as whoever has the private key would.
pub(super) enum Signer {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(RSA).unwrap()))
    }

    pub(super) fn p256() -> Self {
        let (random, kind) = (
            SystemRandom::new(),
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        );
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    pub(super) fn public(&self, kid: Option<&str>) -> Jwk {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self {
            Self::Rsa(key) => {
                let public: ring::rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({"kty": "RSA", "n": text(&public.n), "e": text(&public.e)})
            }
            Self::P256(key) => {
                let point = &key.public_key().as_ref()[1..];
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[..32]), "y": text(&point[32..])})
            }
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref())})
            }
        };
        jwk["kid"] = kid.into();
        serde_json::from_value(jwk).unwrap()
    }

    pub(super) fn sign(&self, claims: &Value, kid: Option<&str>) -> String {
        self.sign_as(self.algorithm(), claims, kid)
    }

    pub(super) fn sign_as(&self, algorithm: &str, claims: &Value, kid: Option<&str>) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": algorithm, "kid": kid});
        let text = format!("{}.{}", part(&header), part(claims));
        let (random, bytes) = (SystemRandom::new(), text.as_bytes());
        let signature = match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let padding = &signature::RSA_PKCS1_SHA256;
                key.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
            Self::P256(key) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(bytes).as_ref().to_vec(),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
