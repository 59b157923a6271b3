//! What user tokens are held against: the secrets of a key, and what else its owner
//! wants of them.

use crate::named;
use serde::{Deserialize, Serialize};
use sschat_domain::record::Secret;
use sschat_domain::signing::{self, Algorithm, Jwk, KEYS_LIMIT, Tokens};
use sschat_jws::{Key, parse_pem};
use sschat_rest::{Answer, Host, Outcome, Refusal, is_address};

/// The longest issuer, audience, name of a key and address, in bytes.
const TEXT_LIMIT: usize = 512;

/// The shortest secret that may be brought, in bytes: as long as what HS256 makes of it (RFC
/// 7518, section 3.2). Hosts for development allow shorter ones.
const SECRET_LEAST: usize = 32;

/// What the body of a change says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    algorithms: Vec<Algorithm>,
    keys: Vec<Given>,
    jwks_url: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// What a rotation may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    secret: Option<String>,
}

/// A public key, in either form.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Given {
    Pem(String),
    Named { pem: String, kid: String },
    Jwk(Jwk),
}

#[derive(Serialize)]
struct Rotated<'a> {
    status: &'static str,
    secret: &'a str,
    valid: usize,
}

#[derive(Serialize)]
struct Retired {
    status: &'static str,
    retired: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    status: &'static str,
    #[serde(flatten)]
    tokens: &'a Tokens,
    secrets: usize,
}

/// A secret: the one that is brought, else a random one.
pub(crate) async fn secret<H: Host>(host: &H, brought: Option<String>) -> Result<Secret, Refusal> {
    let Some(text) = brought else {
        return Ok(Secret::from_random(host.random()));
    };
    let long = text.len() >= SECRET_LEAST || short_secrets(host).await;
    let secret = Secret::brought(text).filter(|_| long);
    secret.ok_or(Refusal::BadRequest {
        code: "bad_secret",
        msg: "a secret has 32 to 256 bytes and no control characters",
    })
}

/// Whether the manifest says so; one that says nothing does not.
async fn short_secrets<H: Host>(host: &H) -> bool {
    let said = host.variable("short_secrets").await;
    said.is_ok_and(|value| value == "true")
}

/// Makes a new secret, or takes the one that is brought; the one before stays valid beside it.
pub(crate) async fn rotate<H: Host>(host: &H, key: &str, body: &[u8]) -> Outcome {
    let tenant = named(host, key).await?;
    let body = body.trim_ascii();
    let rotation = match body.first() {
        None => Rotation::default(),
        // The parser would take an array as an object without names.
        Some(b'{') => serde_json::from_slice(body).map_err(|_| BAD_ROTATION)?,
        Some(_) => return Err(BAD_ROTATION),
    };
    let fresh = secret(host, rotation.secret).await?;
    if !signing::rotate(host.store()?, tenant.id, &fresh).await? {
        return Err(Refusal::NoSuchKey);
    }
    Answer::created(&Rotated {
        status: "ok",
        secret: fresh.expose(),
        valid: signing::count(host.store()?, tenant.id, &tenant.app).await?,
    })
}

/// Takes back the older secret, where there are two. Idempotent.
pub(crate) async fn retire<H: Host>(host: &H, key: &str) -> Outcome {
    let tenant = named(host, key).await?;
    let retired = signing::retire(host.store()?, tenant.id, &tenant.app).await?;
    Answer::ok(&Retired {
        status: "ok",
        retired,
    })
}

/// Shows what is wanted of tokens. No secret is shown.
pub(crate) async fn show<H: Host>(host: &H, key: &str) -> Outcome {
    let tenant = named(host, key).await?;
    let store = host.store()?;
    Answer::ok(&Shown {
        status: "ok",
        tokens: &signing::wanted(store, tenant.id).await?,
        secrets: signing::count(store, tenant.id, &tenant.app).await?,
    })
}

/// Says what is wanted of tokens from now on.
pub(crate) async fn want<H: Host>(host: &H, key: &str, body: &[u8]) -> Outcome {
    let tenant = named(host, key).await?;
    let tokens = Wanted::parse(serde_json::from_slice(body).map_err(|_| BAD_TOKENS)?)?;
    if !signing::want(host.store()?, tenant.id, &tokens).await? {
        return Err(Refusal::NoSuchKey);
    }
    Answer::ok(&Shown {
        status: "ok",
        tokens: &tokens,
        secrets: signing::count(host.store()?, tenant.id, &tenant.app).await?,
    })
}

const BAD_ROTATION: Refusal = Refusal::BadRequest {
    code: "bad_body",
    msg: r#"the body is empty or an object {"secret"?: text}"#,
};

const BAD_TOKENS: Refusal = Refusal::BadRequest {
    code: "bad_tokens",
    msg: r#"tokens are an object {"algorithms"?: […], "keys"?: [PEM, {"pem", "kid"} or JWK], "jwks_url"?, "issuer"?, "audience"?}"#,
};

impl Wanted {
    /// The same in the form that is stored.
    ///
    /// # Errors
    ///
    /// As [`Wanted::checked`], or another form.
    pub(crate) fn parse(
        object: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Tokens, Refusal> {
        let wanted: Self = serde_json::from_value(object.into()).map_err(|_| BAD_TOKENS)?;
        wanted.checked()
    }

    /// # Errors
    ///
    /// A key that verifies nothing, or more than there may be.
    fn checked(self) -> Result<Tokens, Refusal> {
        if self.keys.len() > KEYS_LIMIT {
            return Err(Refusal::BadRequest {
                code: "too_many_keys",
                msg: "there may be at most 16 public keys",
            });
        }
        let texts = [&self.issuer, &self.audience, &self.jwks_url];
        if texts.into_iter().flatten().any(|text| !fits(text)) {
            return Err(BAD_TOKENS);
        }
        if self.jwks_url.as_deref().is_some_and(|url| !is_address(url)) {
            return Err(Refusal::BadRequest {
                code: "bad_jwks_url",
                msg: "jwks_url is an address https://host/path without user and fragment",
            });
        }
        let keys = self.keys.into_iter().map(Given::checked);
        Ok(Tokens {
            algorithms: self.algorithms,
            keys: keys.collect::<Result<_, _>>()?,
            jwks_url: self.jwks_url,
            issuer: self.issuer,
            audience: self.audience,
        })
    }
}

impl Given {
    fn checked(self) -> Result<Jwk, Refusal> {
        let (key, kid) = match self {
            Self::Pem(pem) => (parse_pem(&pem), None),
            Self::Named { pem, kid } => (parse_pem(&pem), Some(kid)),
            Self::Jwk(jwk) => (Key::parse(&jwk), jwk.kid),
        };
        let named = kid.as_deref().is_none_or(fits);
        match key {
            Ok(key) if named => Ok(key.to_jwk(kid)),
            _ => Err(Refusal::BadRequest {
                code: "bad_key",
                msg: "a key is a public one of RSA (2048 to 4096 bits), P-256 or Ed25519, in PEM or as a JWK",
            }),
        }
    }
}

fn fits(text: &str) -> bool {
    (1..=TEXT_LIMIT).contains(&text.len()) && !text.contains(char::is_control)
}
