//! A request's way to a component and the response's way back.
//!
//! The component sees the request as Spin would show it: the URI made absolute, the
//! `spin-*` headers added. Whatever the component does wrong becomes one of the host's
//! own error answers, for this request alone.

use super::body::Body;
use super::inbound::Inbound;
use super::metrics::Calls;
use super::router::Match;
use super::sweep::{SweepSignal, Sweeper};
use super::{Mount, Remote, reply};
use crate::wasm::rest::{CallFailure, RestComponent};
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use std::time::Instant;

/// A component with what is needed to reach it.
pub(super) struct Forward {
    name: String,
    component: RestComponent,
    sweep: Option<(String, SweepSignal)>,
    keeps_policies: bool,
    calls: Calls,
}

impl Forward {
    pub(super) fn new(mount: Mount) -> Self {
        Self {
            name: mount.name,
            component: mount.component,
            sweep: mount.sweep.map(|path| (path, SweepSignal::default())),
            keeps_policies: mount.keeps_policies,
            calls: Calls::default(),
        }
    }

    /// Whether it keeps tenants' policies.
    pub(super) fn keeps_policies(&self) -> bool {
        self.keeps_policies
    }

    /// How its calls went.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn sweeper(&self) -> Option<Sweeper> {
        let (path, signal) = self.sweep.as_ref()?;
        Some(Sweeper {
            name: self.name.clone(),
            component: self.component.clone(),
            path: path.clone(),
            signal: signal.clone(),
        })
    }

    /// Lets the component answer.
    pub(super) async fn call(
        &self,
        mut request: Request<Incoming>,
        facts: Facts,
        inbound: &Inbound,
    ) -> Response<Body> {
        if facts.apply(&mut request).is_err() {
            return reply::error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "the Host header is not understood",
            );
        }
        let deletes = request.method() == Method::DELETE;
        let (parts, body) = request.into_parts();
        let body = match inbound.collect(body).await {
            Ok(body) => body,
            Err(unread) => return unread.answer(),
        };
        let begun = Instant::now();
        let outcome = self.component.call(Request::from_parts(parts, body)).await;
        self.calls.record(&outcome, begun.elapsed());
        match outcome {
            Ok(response) => {
                if let Some((_, signal)) = &self.sweep
                    && deletes
                    && response.status().is_success()
                {
                    signal.notify();
                }
                response.map(Body::Component)
            }
            Err(failure) => failed(&failure),
        }
    }
}

impl Forward {
    /// Lets the component answer a request whose body is here as a whole.
    pub(super) async fn call_whole(
        &self,
        mut request: Request<http_body_util::Full<bytes::Bytes>>,
        facts: Facts,
    ) -> Response<Body> {
        if facts.apply(&mut request).is_err() {
            return reply::error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "the Host header is not understood",
            );
        }
        let begun = Instant::now();
        let outcome = self.component.call(request).await;
        self.calls.record(&outcome, begun.elapsed());
        match outcome {
            Ok(response) => response.map(Body::Component),
            Err(failure) => failed(&failure),
        }
    }
}

/// The one place where a component's failure becomes an answer.
fn failed(failure: &CallFailure) -> Response<Body> {
    let (code, message) = match failure {
        CallFailure::Overloaded => return reply::overloaded(),
        CallFailure::Failed => ("component_failed", "the component failed"),
        CallFailure::TimedOut => ("component_timeout", "the component took too long"),
    };
    reply::error(StatusCode::INTERNAL_SERVER_ERROR, code, message)
}

/// What Spin tells a component about a request beside the request itself.
pub(super) struct Facts {
    headers: Vec<(HeaderName, HeaderValue)>,
    secure: bool,
}

const FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");
const PATH_INFO: HeaderName = HeaderName::from_static("spin-path-info");
const MATCHED_ROUTE: HeaderName = HeaderName::from_static("spin-matched-route");
const BASE_PATH: HeaderName = HeaderName::from_static("spin-base-path");
const RAW_COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-raw-component-route");
const COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-component-route");
const CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");

/// Collects the facts while the match still borrows the path.
pub(super) fn facts<T, B>(
    found: &Match<'_, '_, T>,
    request: &Request<B>,
    remote: &Remote,
) -> Facts {
    let host = host(request).unwrap_or("localhost");
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let mut headers = Vec::with_capacity(7 + found.params.len());
    let mut add = |name: HeaderName, value: &str| {
        // What cannot be a header's value is left out, as Spin does.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.push((name, value));
        }
    };
    add(PATH_INFO, &found.trailing);
    let scheme = if remote.secure { "https" } else { "http" };
    add(FULL_URL, &format!("{scheme}://{host}{path}"));
    add(MATCHED_ROUTE, found.based);
    add(RAW_COMPONENT_ROUTE, found.raw);
    add(COMPONENT_ROUTE, found.prefix);
    for (name, value) in &found.params {
        let name = format!(
            "spin-path-match-{}",
            name.replace('_', "-").to_ascii_lowercase()
        );
        if let Ok(name) = HeaderName::try_from(name) {
            add(name, value);
        }
    }
    headers.push((BASE_PATH, HeaderValue::from_static("/")));
    headers.push((CLIENT_ADDR, remote.header.clone()));
    Facts {
        headers,
        secure: remote.secure,
    }
}

impl Facts {
    /// Makes the URI absolute, drops what concerned the connection only, and adds the facts.
    fn apply<B>(self, request: &mut Request<B>) -> Result<(), http::Error> {
        let authority = match host(request) {
            Some(host) => Authority::try_from(host)?,
            None => Authority::from_static("localhost"),
        };
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(match self.secure {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        });
        uri.authority = Some(authority);
        *request.uri_mut() = Uri::from_parts(uri)?;
        let headers = request.headers_mut();
        headers.remove(header::CONNECTION);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        Ok(())
    }
}

/// Where the request was meant to go: the authority of an absolute URI, else `Host`.
fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}
