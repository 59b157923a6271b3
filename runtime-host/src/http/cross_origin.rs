//! What browsers ask before a page may read from another origin (CORS, the Fetch standard §3.2).
//!
//! For the endpoints that pages of other origins use. They take no cookies, so that credentials are never allowed.

use super::body::Body;
use super::reply;
use super::upgrade::Origins;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

/// How long a browser may remember the answer: as long as the SDKs' own servers say.
const REMEMBERED: HeaderValue = HeaderValue::from_static("300");

/// The only header of the SDKs that needs to be allowed.
const HEADERS: HeaderValue = HeaderValue::from_static("content-type");

/// What a request's origin comes to.
pub(super) struct Allowed {
    origin: Option<HeaderValue>,
}

impl Allowed {
    /// Judges a request by its origin; `None` where it is to be [`refused`].
    pub(super) fn of(headers: &HeaderMap, origins: &Origins) -> Option<Self> {
        let origin = headers.get(header::ORIGIN).cloned();
        origins.allow(headers).then_some(Self { origin })
    }

    /// The headers by which the page may read the answer.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let origin = self.origin.clone();
        let allow = origin.map(|origin| (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin));
        // Also without one: a cache must not give that answer to a page.
        let vary = (header::VARY, HeaderValue::from_static("Origin"));
        allow.into_iter().chain([vary])
    }

    /// Lets the page read an answer.
    pub(super) fn show(&self, mut response: Response<Body>) -> Response<Body> {
        response.headers_mut().extend(self.headers());
        response
    }

    /// The answer to a request that asks what it may, and the refusal of methods other than these.
    pub(super) fn method<B>(
        &self,
        request: &Request<B>,
        methods: &[Method],
    ) -> Option<Response<Body>> {
        if methods.contains(request.method()) {
            return None;
        }
        let names = methods.iter().chain([&Method::OPTIONS]);
        let names: Vec<_> = names.map(Method::as_str).collect();
        let names = HeaderValue::from_str(&names.join(", ")).ok();
        let mut response = match *request.method() {
            Method::OPTIONS => no_content(),
            _ => reply::error(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this method is not possible here",
            ),
        };
        let headers = response.headers_mut();
        if let Some(names) = names {
            headers.insert(header::ALLOW, names.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, names);
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
        Some(self.show(response))
    }
}

/// The answer to pages of other origins.
pub(super) fn refused() -> Response<Body> {
    reply::error(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        "connections from this origin are not allowed",
    )
}

/// An answer that says nothing more than that all is well.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
