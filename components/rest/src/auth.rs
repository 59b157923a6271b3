//! Where the API key of a request is taken from, and whose it is.

use crate::refusal::Refusal;
use crate::request::Request;
use sschat_domain::tenant::{Tenant, authenticate};
use sschat_domain::{ApiKey, Read};

/// The key that the request presents: `?apikey=`, `Authorization: Bearer` or
/// `X-API-Key`. More than one is fine as long as they agree.
///
/// # Errors
///
/// No key, an empty one, one of another form, or keys that differ.
pub fn presented_key(request: &Request) -> Result<ApiKey, Refusal> {
    let bearer = match &request.authorization {
        None => None,
        Some(value) => Some(bearer(value)?),
    };
    let given = [
        request.query.apikey.as_deref(),
        bearer,
        request.api_key.as_deref(),
    ];
    let mut given = given.into_iter().flatten();
    let Some(first) = given.next() else {
        return Err(Refusal::Unauthorized(
            "an API key is needed: ?apikey=, Authorization: Bearer or X-API-Key",
        ));
    };
    if given.any(|other| other != first) {
        return Err(Refusal::BadRequest {
            code: "conflicting_keys",
            msg: "the request presents API keys that differ",
        });
    }
    if first.is_empty() {
        return Err(Refusal::Unauthorized("the API key is empty"));
    }
    if request.query.apikey_doubled {
        return Err(Refusal::BadRequest {
            code: "doubled_key",
            msg: "apikey is given more than once",
        });
    }
    first.parse().map_err(|_| unknown_key())
}

/// The tenant whose key the request presents: two gets.
///
/// # Errors
///
/// As [`presented_key`], a key that is not known, or a failing store.
pub async fn tenant<S: Read>(store: &S, request: &Request) -> Result<Tenant, Refusal> {
    let key = presented_key(request)?;
    authenticate(store, &key).await?.ok_or_else(unknown_key)
}

/// The refusal of a key that is not known.
#[must_use]
pub fn unknown_key() -> Refusal {
    Refusal::Unauthorized("no such API key")
}

/// The token of `Bearer`, whose name is of either case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Result<&str, Refusal> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(token.trim());
    }
    Err(Refusal::Unauthorized(
        "the Authorization header takes the scheme Bearer",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Query};

    const KEY: &str = "apikey_00112233445566778899aabbccddeeff";
    const OTHER: &str = "apikey_ff112233445566778899aabbccddeeff";

    fn outcome(query: &str, authorization: Option<&str>, header: Option<&str>) -> (u16, String) {
        let request = Request {
            method: Method::Get,
            path: String::new(),
            query: Query::parse(query).unwrap(),
            authorization: authorization.map(str::to_owned),
            api_key: header.map(str::to_owned),
            admin_token: None,
            length: None,
            body: Vec::new(),
        };
        match presented_key(&request) {
            Ok(key) => (200, key.to_string()),
            Err(refusal) => {
                let body = String::from_utf8(refusal.answer().body).unwrap();
                assert!(!body.contains("00112233"), "a key must not be echoed");
                (refusal.answer().status, body)
            }
        }
    }

    #[test]
    fn a_key_comes_from_three_places_that_must_agree() {
        let query = format!("apikey={KEY}");
        let bearer = format!("bEARER {KEY}");
        for (query, authorization, header) in [
            (query.as_str(), None, None),
            ("", Some(bearer.as_str()), None),
            ("", None, Some(KEY)),
            (query.as_str(), Some(bearer.as_str()), Some(KEY)),
        ] {
            assert_eq!(outcome(query, authorization, header), (200, KEY.to_owned()));
        }
        assert_eq!(outcome(&query, None, Some(OTHER)).0, 400);
        assert_eq!(outcome("", None, None).0, 401);
        assert_eq!(outcome("apikey=", None, None).0, 401);
        assert_eq!(outcome("apikey=&apikey=", None, None).0, 401);
        assert_eq!(outcome(&format!("{query}&{query}"), None, None).0, 400);
        assert_eq!(outcome("apikey=none", None, None).0, 401);
        assert_eq!(outcome("", Some("Basic eDp5"), None).0, 401);
        assert_eq!(outcome("", Some("Bearer"), None).0, 401);
    }
}
