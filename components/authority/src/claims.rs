//! What tokens say (RFC 7519), and when that counts.

use crate::decisions::{Clock, Refusal, refusal};
use crate::name::Name;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use sschat_domain::access::{About, Bearing};
use sschat_jws::Malformed;
use std::collections::BTreeMap;

/// How far the clock of whoever made the token may be ahead, in seconds.
const LEEWAY: f64 = 60.0;

/// The most rooms that a token may name.
const CHANNELS_LIMIT: usize = 128;

/// A token that is not what it should be. One code for all, so that a forger
/// learns nothing.
pub(crate) const INVALID: Refusal = refusal("invalid_token", "The token is not valid.");

const REVOKED: Refusal = refusal("token_revoked", "The token was revoked.");

const EXPIRED: Refusal = refusal("token_expired", "The token has expired.");

/// What every token may say.
#[derive(Debug, Deserialize)]
pub struct Common {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    jti: Option<String>,
    /// What is shown to others, of whoever presents it.
    pub info: Option<Box<RawValue>>,
}

/// What a token says that logs in, beside [`Common`].
#[derive(Debug, Deserialize)]
pub struct Claims {
    /// The public id of the app.
    pub app: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
    /// As `channels`; what is said of each has no meaning here.
    #[serde(default)]
    subs: BTreeMap<String, IgnoredAny>,
}

/// What a token says that lets its user hear one room, beside [`Common`].
#[derive(Debug, Deserialize)]
pub struct PassClaims {
    /// The room.
    pub channel: String,
    /// The one connection that it is for.
    pub client: Option<String>,
}

/// For whom a token is meant.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// The rooms that the session is to hear besides those of its user.
    ///
    /// # Errors
    ///
    /// Too many.
    pub fn channels(self) -> Result<Vec<String>, Refusal> {
        let mut channels = self.channels;
        channels.extend(self.subs.into_keys());
        channels.sort_unstable();
        channels.dedup();
        if channels.len() > CHANNELS_LIMIT {
            return Err(INVALID);
        }
        Ok(channels)
    }
}

impl Common {
    /// The user that the token is about.
    #[must_use]
    pub fn subject(&self) -> Option<Name> {
        Name::parse(self.sub.as_deref()?)
    }

    /// Whether it is about this user; it names none for somebody without a name.
    #[must_use]
    pub fn is_about(&self, user: &Name) -> bool {
        match self.sub.as_deref() {
            None | Some("") => *user == Name::ANONYMOUS,
            Some(sub) => Name::parse(sub).as_ref() == Some(user),
        }
    }

    /// Which token it is, about somebody of this name.
    #[must_use]
    pub fn about<'a>(&'a self, user: &'a Name) -> About<'a> {
        About {
            user: user.id(),
            // A registered user is looked up by id alone.
            name: user.bare().unwrap_or_default(),
            jti: self.jti.as_deref(),
        }
    }

    /// Holds `iss` and `aud` against what the tenant wants, `jti` and `iat` against what it
    /// revoked, and `exp`, `nbf` and `iat` against the clock, which is read only if one of
    /// them is there. Returns when the token ends.
    ///
    /// # Errors
    ///
    /// Where it was made by or for somebody else, was revoked, has expired or is not valid
    /// yet. Of a token that does not say when it was made the worst is assumed.
    pub fn check(&self, bearing: &Bearing, clock: &impl Clock) -> Result<Option<u64>, Refusal> {
        let tokens = &bearing.tokens;
        let issued = tokens.issuer.is_none() || self.iss == tokens.issuer;
        let meant = tokens
            .audience
            .as_ref()
            .is_none_or(|wanted| match &self.aud {
                None => false,
                Some(Audience::One(one)) => one == wanted,
                Some(Audience::Many(many)) => many.contains(wanted),
            });
        if !issued || !meant {
            return Err(INVALID);
        }
        let old = bearing.issued_before.is_some_and(|before| {
            // Exact up to 2⁵³, far beyond any date.
            self.iat.is_none_or(|made| made < before as f64)
        });
        if bearing.revoked || old {
            return Err(REVOKED);
        }
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

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        INVALID
    }
}
