//! What the host answers itself: health, the page to try it, the OpenAPI document.

use super::body::Body;
use super::{Readiness, refuse_method, reply};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use std::time::Duration;

const INDEX: &str = include_str!("assets/index.html");
const OPENAPI: &str = include_str!("assets/openapi.json");

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
    Some(response)
}
