//! What revocations of tokens have in common: of a user's and of all.

use crate::refusal::Refusal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sschat_domain::revocation::Revoked;

/// How far the clock of whoever revokes may be ahead, in seconds: as far as that of
/// whoever makes tokens.
const LEEWAY: u64 = 60;

/// What the body of a revocation by time may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    issued_before: Option<u64>,
}

/// The revocation that a body asks for. Where it names no time: of all tokens made up to
/// now, this second included, so that none escapes that was made just before.
///
/// # Errors
///
/// A body of another form, or a time that is yet to come.
pub fn issued_before(body: &[u8], now: u64) -> Result<Revoked, Refusal> {
    let Wishes { issued_before } = object(body).ok_or(Refusal::BadRequest {
        code: "bad_body",
        msg: r#"the body is an object {"issued_before"?: seconds since 1970}"#,
    })?;
    if issued_before.is_some_and(|before| before > now + LEEWAY) {
        return Err(Refusal::BadRequest {
            code: "bad_time",
            msg: "issued_before is not yet",
        });
    }
    Ok(Revoked::before(issued_before.unwrap_or(now + 1)))
}

/// The object that a body is; an empty body says nothing. `None` where it is another thing.
#[must_use]
pub fn object<T: DeserializeOwned + Default>(body: &[u8]) -> Option<T> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Some(T::default());
    }
    // The parser would take an array as an object without names.
    if !body.starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// The refusal where all places for revocations are taken.
#[must_use]
pub fn too_many_revocations() -> Refusal {
    Refusal::Conflict {
        code: "too_many_revocations",
        msg: "10,000 revocations hold: give them an expires_at, take some back, or rotate the secret",
    }
}
