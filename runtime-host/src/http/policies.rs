//! In front of the component that keeps tenants' policies: what is uploaded is checked
//! before it is stored, what is shown is completed by this host's figures; and the
//! explanation of a decision.
//!
//! What a policy is, nobody here knows: [`Desk`] does.

use super::body::Body;
use super::forward::{Facts, Forward};
use super::reply;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Uploads that are held in memory at once.
const UPLOADS: usize = 4;

/// How long an upload may take to arrive.
const UPLOAD_TIME: Duration = Duration::from_secs(60);

/// The largest answer of the component that figures are added to.
const ANSWER_LIMIT: usize = 1 << 20;

/// Where explanations are asked for.
pub(super) const EXPLAIN: &str = "/api/explain";

/// Why the desk does not do what it is asked to: status, code and a sentence.
#[derive(Debug, Clone)]
pub struct Declined {
    /// The status to answer with.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub msg: String,
}

/// Knows about policies.
pub trait Desk: Send + Sync + 'static {
    /// The tenant whose management key this is.
    fn tenant<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, Declined>>;
    /// Whether these bytes are a policy.
    fn check(&self, component: Bytes) -> BoxFuture<'_, Result<(), Declined>>;
    /// What the tenant's policies did on this host.
    fn figures(&self, tenant: &str) -> Value;
    /// Explains a decision about a tenant's user; the parameters are those of the request.
    fn explain<'a>(
        &'a self,
        tenant: &'a str,
        parameters: &'a HashMap<String, String>,
    ) -> BoxFuture<'a, Result<Value, Declined>>;
    /// The largest component, in bytes.
    fn component_limit(&self) -> usize;
}

/// The desk, and how much of it is in use.
pub(super) struct Counter {
    desk: Arc<dyn Desk>,
    uploads: Semaphore,
}

impl Counter {
    pub(super) fn new(desk: Arc<dyn Desk>) -> Self {
        Self {
            desk,
            uploads: Semaphore::new(UPLOADS),
        }
    }

    /// Answers a request to the component that keeps policies.
    pub(super) async fn pass(
        &self,
        request: Request<Incoming>,
        facts: Facts,
        forward: &Forward,
    ) -> Response<Body> {
        let tenant = match self.tenant(&request).await {
            Ok(tenant) => tenant,
            Err(declined) => return declined.into_response(),
        };
        let Ok(_room) = self.uploads.try_acquire() else {
            return reply::overloaded();
        };
        let limit = self.desk.component_limit();
        let (parts, body) = request.into_parts();
        let whole = tokio::time::timeout(UPLOAD_TIME, Limited::new(body, limit).collect()).await;
        let body = match whole {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return reply::too_large(limit as u64),
            Err(_) => return reply::too_slow(),
        };
        if is_component(&body)
            && let Err(declined) = self.desk.check(body.clone()).await
        {
            return declined.into_response();
        }
        let request = Request::from_parts(parts, Full::new(body));
        let response = forward.call_whole(request, facts).await;
        self.complete(&tenant, response).await
    }

    /// Adds this host's figures to what the component shows of a policy.
    async fn complete(&self, tenant: &str, response: Response<Body>) -> Response<Body> {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let Ok(body) = Limited::new(body, ANSWER_LIMIT).collect().await else {
            return reply::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "component_failed",
                "the component failed",
            );
        };
        let body = body.to_bytes();
        let completed = match serde_json::from_slice(&body) {
            Ok(Value::Object(mut shown)) if shown.contains_key("rule") => {
                shown.insert("figures".to_owned(), self.desk.figures(tenant));
                serde_json::to_vec(&shown).map_or(body, Bytes::from)
            }
            _ => body,
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::full(completed))
    }

    /// Answers a request for an explanation.
    pub(super) async fn explain<B>(&self, request: &Request<B>) -> Response<Body> {
        if let Some(refusal) = super::refuse_method(request.method()) {
            return refusal;
        }
        let tenant = match self.tenant(request).await {
            Ok(tenant) => tenant,
            Err(declined) => return declined.into_response(),
        };
        let parameters = parameters(request.uri().query());
        match self.desk.explain(&tenant, &parameters).await {
            Ok(explanation) => match serde_json::to_vec(&explanation) {
                Ok(body) => reply::json(body.into()),
                Err(error) => {
                    tracing::error!(%error, "an explanation has no JSON form");
                    reply::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "try again")
                }
            },
            Err(declined) => declined.into_response(),
        }
    }

    pub(super) fn desk(&self) -> &dyn Desk {
        &*self.desk
    }

    pub(super) async fn tenant<B>(&self, request: &Request<B>) -> Result<String, Declined> {
        let key = presented_key(request.headers(), request.uri().query())?;
        self.desk.tenant(&key).await
    }
}

impl Declined {
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = reply::error(self.status, self.code, &self.msg);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Whether the request may change what a tenant's policy is: such a one is checked.
pub(super) fn concerns<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::PUT | Method::GET)
}

/// The first bytes of every component.
fn is_component(body: &[u8]) -> bool {
    body.starts_with(b"\0asm")
}

/// The API key of a request: the same places, and the same refusals, as in the components.
pub(super) fn presented_key(headers: &HeaderMap, query: Option<&str>) -> Result<String, Declined> {
    let mut given: Vec<String> = Vec::new();
    for pair in query.unwrap_or_default().split('&') {
        if let Some(value) = pair.strip_prefix("apikey=") {
            given.push(decode(value));
        }
    }
    for (name, scheme) in [(header::AUTHORIZATION, Some("bearer ")), (API_KEY, None)] {
        for value in headers.get_all(&name) {
            let value = value.to_str().unwrap_or_default();
            let value = match scheme {
                None => value,
                Some(scheme) => match value.get(..scheme.len()) {
                    Some(given) if given.eq_ignore_ascii_case(scheme) => {
                        value[scheme.len()..].trim()
                    }
                    _ => return Err(unauthorized("the Authorization header takes Bearer")),
                },
            };
            given.push(value.to_owned());
        }
    }
    let Some(key) = given.pop().filter(|key| !key.is_empty()) else {
        return Err(unauthorized(
            "an API key is needed: ?apikey=, Authorization: Bearer or X-API-Key",
        ));
    };
    if given.iter().any(|other| *other != key) {
        return Err(Declined {
            status: StatusCode::BAD_REQUEST,
            code: "conflicting_keys",
            msg: "the request presents API keys that differ".to_owned(),
        });
    }
    Ok(key)
}

const API_KEY: http::HeaderName = http::HeaderName::from_static("x-api-key");

fn unauthorized(msg: &str) -> Declined {
    Declined {
        status: StatusCode::UNAUTHORIZED,
        code: "unauthorized",
        msg: msg.to_owned(),
    }
}

/// The parameters of a query; of one given twice, the last.
pub(super) fn parameters(query: Option<&str>) -> HashMap<String, String> {
    query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Undoes percent-encoding and `+`; what is not well formed stays as it is.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (first, escaped) {
            (_, Some((high, low))) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(decode("a%20b+c%2"), "a b c%2");
        assert_eq!(decode("%zz%41"), "%zzA");
    }

    #[test]
    fn keys_must_agree() {
        let mut headers = HeaderMap::new();
        assert_eq!(presented_key(&headers, None).unwrap_err().status, 401);
        assert_eq!(presented_key(&headers, Some("apikey=a")).unwrap(), "a");
        headers.insert("authorization", "BeArEr a".parse().unwrap());
        assert_eq!(presented_key(&headers, Some("x=1&apikey=a")).unwrap(), "a");
        headers.insert("x-api-key", "b".parse().unwrap());
        assert_eq!(presented_key(&headers, None).unwrap_err().status, 400);
        headers.insert("authorization", "Basic a".parse().unwrap());
        assert_eq!(presented_key(&headers, None).unwrap_err().status, 401);
    }
}
