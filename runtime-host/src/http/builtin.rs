//! What the host answers itself: health, the page to try it, the OpenAPI and AsyncAPI documents.

use super::body::Body;
use super::{Readiness, refuse_method, reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use std::time::Duration;

const INDEX: &str = include_str!("assets/index.html");
const ASYNCAPI: &str = include_str!("assets/asyncapi.json");
const OPENAPI: &str = include_str!("assets/openapi.json");

/// What the page may do: its own style and script, known by their digests, and calls to
/// this host.
static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest_of(INDEX, "style"),
        digest_of(INDEX, "script"),
    )
});

/// How long `/readyz` waits for the store.
const READINESS_LIMIT: Duration = Duration::from_secs(1);

/// Answers the two paths that no manifest can take: whether the process lives, and
/// whether it can work.
pub(super) async fn health<B>(
    request: &Request<B>,
    readiness: &Readiness,
) -> Option<Response<Body>> {
    let path = request.uri().path();
    if path != "/healthz" && path != "/readyz" {
        return None;
    }
    if let Some(refusal) = refuse_method(request.method()) {
        return Some(refusal);
    }
    if path == "/healthz" {
        return Some(ok());
    }
    let ready = tokio::time::timeout(READINESS_LIMIT, readiness()).await;
    Some(match ready {
        Ok(Ok(())) => ok(),
        Ok(Err(reason)) => not_ready(&reason),
        Err(_) => not_ready("the store does not answer"),
    })
}

fn ok() -> Response<Body> {
    reply::json(Bytes::from_static(br#"{"status":"ok"}"#))
}

fn not_ready(reason: &str) -> Response<Body> {
    reply::error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", reason)
}

/// The built-in page at this path, or nothing.
pub(super) fn page<B>(request: &Request<B>) -> Option<Response<Body>> {
    let (kind, text) = match request.uri().path() {
        "/" => ("text/html; charset=utf-8", INDEX),
        "/asyncapi.json" => ("application/json", ASYNCAPI),
        "/openapi.json" => ("application/json", OPENAPI),
        _ => return None,
    };
    if let Some(refusal) = refuse_method(request.method()) {
        return Some(refusal);
    }
    let mut response = Response::new(Body::full(Bytes::from_static(text.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    if kind.starts_with("text/html")
        && let Ok(policy) = HeaderValue::from_str(&PAGE_POLICY)
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Some(response)
}

/// The source expression of a content security policy for the one element of this name.
fn digest_of(page: &str, element: &str) -> String {
    let content = page
        .split_once(&format!("<{element}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
    match content {
        Some((content, _)) => format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content))),
        None => "'none'".to_owned(),
    }
}
