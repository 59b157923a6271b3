//! The host's own answers: one JSON shape for every error.

use super::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

/// The shape of every error, here and in the components.
#[derive(serde::Serialize)]
struct ErrorBody<'a> {
    status: &'static str,
    code: &'a str,
    msg: &'a str,
}

pub(super) fn error(status: StatusCode, code: &str, msg: &str) -> Response<Body> {
    let body = ErrorBody {
        status: "error",
        code,
        msg,
    };
    // Three strings always have a JSON form.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = json(body.into());
    *response.status_mut() = status;
    response
}

/// The refusal of what a host of another role does (RFC 9110, section 15.5.20).
pub(super) fn wrong_role(msg: &str) -> Response<Body> {
    error(StatusCode::MISDIRECTED_REQUEST, "wrong_role", msg)
}

pub(super) fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// What always has a JSON form, or it is a mistake here.
pub(super) fn serialized(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => json(body.into()),
        Err(failure) => {
            tracing::error!(%failure, "an answer has no JSON form");
            error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "try again")
        }
    }
}

/// The refusal of all other methods.
pub(super) fn only(method: &Method) -> Response<Body> {
    let message = format!("only {method} is possible here");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = error(status, "method_not_allowed", &message);
    if let Ok(allow) = HeaderValue::from_str(method.as_str()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

pub(super) fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

pub(super) fn too_large(limit: u64) -> Response<Body> {
    let message = format!("the body is larger than {limit} bytes");
    last(error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message))
}

pub(super) fn too_slow() -> Response<Body> {
    last(error(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        "the body did not come in time",
    ))
}

/// The same answer as the last one of its connection: what is left of the request's body
/// is not read, so it cannot be used again.
pub(super) fn last(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

pub(super) fn overloaded() -> Response<Body> {
    let mut response = error(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests are waiting; try again",
    );
    let second = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, second);
    response
}
