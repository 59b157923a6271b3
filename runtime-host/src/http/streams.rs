//! The Centrifuge protocol for networks that break WebSockets: what the client is told comes in the body of one
//! response that does not end, what it says in requests of its own.
//!
//! `POST /connection/http_stream` and `GET` or `POST /connection/sse` begin a session with the commands they bring;
//! `POST /emulation` brings more, for the session that it names. Absent on purpose: what the commands mean.

use super::body::Body;
use super::cross_origin::{Allowed, no_content, refused};
use super::inbound::Inbound;
use super::takeover::{Takeover, Wanted};
use super::upgrade::{Adopt, Origins, app, shown_headers};
use super::{policies, reply};
use crate::peers::Fate;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use sschat_protocol::centrifuge::{Emulation, Format};
use sschat_protocol::streaming::{Shape, Streaming};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How much longer than a message the body may be that brings it: JSON within a JSON string is at most twice as long
/// unless it is full of control characters, and names stand beside it.
const WRAPPED: (u64, u64) = (2, 1 << 10);

/// The query parameter with the commands of a `GET`, for `EventSource` can send no body.
const CONNECT: &str = "cf_connect";

/// Takes what clients say to their sessions.
pub trait Relay: Send + Sync + 'static {
    /// Takes commands to the session that a client calls its own, on the host of this name; `None` where there is no
    /// such host.
    fn say<'a>(
        &'a self,
        host: &'a str,
        session: &'a str,
        frame: Bytes,
    ) -> BoxFuture<'a, Option<Fate>>;
}

/// The endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `/connection/http_stream`.
    Stream,
    /// `/connection/sse`.
    Events,
    /// `/emulation`.
    Emulation,
}

impl Route {
    /// The endpoint at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/connection/http_stream" => Some(Self::Stream),
            "/connection/sse" => Some(Self::Events),
            "/emulation" => Some(Self::Emulation),
            _ => None,
        }
    }

    const fn methods(self) -> &'static [Method] {
        match self {
            Self::Stream | Self::Emulation => &[Method::POST],
            Self::Events => &[Method::GET, Method::POST],
        }
    }
}

/// What sessions over plain HTTP are begun with.
pub(super) struct Streams {
    origins: Origins,
    /// The largest message, in bytes.
    limit: usize,
    inbound: Inbound,
    adopt: Arc<dyn Adopt>,
    relay: Arc<dyn Relay>,
}

impl Streams {
    /// Takes messages of up to `limit` bytes, which come within `patience` as other bodies do.
    pub(super) fn new(
        origins: Origins,
        (limit, patience): (usize, Duration),
        adopt: Arc<dyn Adopt>,
        relay: Arc<dyn Relay>,
    ) -> Self {
        let (times, more) = WRAPPED;
        let body = (limit as u64).saturating_mul(times).saturating_add(more);
        Self {
            origins,
            limit,
            inbound: Inbound::new(body, patience),
            adopt,
            relay,
        }
    }

    /// Answers a request. Where it begins a session there is no answer: its socket is `wanted` elsewhere, if it can be.
    pub(super) async fn answer(
        &self,
        route: Route,
        request: Request<Incoming>,
        remote: SocketAddr,
        wanted: Option<&Wanted>,
    ) -> Response<Body> {
        let Some(allowed) = Allowed::of(request.headers(), &self.origins) else {
            return refused();
        };
        if let Some(answer) = allowed.method(&request, route.methods()) {
            return answer;
        }
        let answer = match route {
            Route::Emulation => self.relay(request).await,
            Route::Stream | Route::Events => {
                match self.begin(route, request, remote, &allowed).await {
                    Err(refusal) => refusal,
                    Ok(takeover) => match wanted {
                        Some(wanted) => {
                            wanted.leave(takeover);
                            std::future::pending().await
                        }
                        None => takeover.pipe().unwrap_or_else(|error| {
                            tracing::warn!(%error, "a stream could not be begun");
                            reply::overloaded()
                        }),
                    },
                }
            }
        };
        allowed.show(answer)
    }

    async fn begin(
        &self,
        route: Route,
        request: Request<Incoming>,
        remote: SocketAddr,
        allowed: &Allowed,
    ) -> Result<Takeover, Response<Body>> {
        let streaming = Streaming {
            shape: match (route, format(request.headers())) {
                (Route::Events, _) => Shape::Events,
                (_, Format::Json) => Shape::Lines,
                (_, Format::Protobuf) => Shape::Delimited,
            },
            chunked: request.version() >= Version::HTTP_11,
        };
        let app = app(request.uri().query());
        let shown = shown_headers(request.headers());
        let said = match *request.method() {
            Method::GET => connect(request.uri().query()),
            _ => self.read(request).await?,
        };
        if said.is_empty() {
            return Err(bad("the request brings no commands"));
        }
        if said.len() > self.limit {
            return Err(reply::too_large(self.limit as u64));
        }
        Ok(Takeover {
            streaming,
            headers: allowed.headers().collect(),
            said,
            app,
            remote,
            shown,
            adopt: Arc::clone(&self.adopt),
        })
    }

    async fn read(&self, request: Request<Incoming>) -> Result<Bytes, Response<Body>> {
        let body = self.inbound.collect(request.into_body()).await;
        Ok(body.map_err(super::inbound::Unread::answer)?.into_bytes())
    }

    async fn relay(&self, request: Request<Incoming>) -> Response<Body> {
        let format = format(request.headers());
        let body = match self.read(request).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let said = match Emulation::read(format, &body) {
            Ok(said) => said,
            Err(malformed) => return bad(&format!("the body is not understood: {malformed}")),
        };
        if said.data.len() > self.limit {
            return reply::too_large(self.limit as u64);
        }
        let frame = match said.data {
            std::borrow::Cow::Borrowed(data) => body.slice_ref(data),
            std::borrow::Cow::Owned(data) => data.into(),
        };
        match self.relay.say(&said.node, &said.session, frame).await {
            None => reply::error(
                StatusCode::NOT_FOUND,
                "unknown_node",
                "the session was on a host that is gone; connect again",
            ),
            Some(Fate::Taken) => no_content(),
            Some(Fate::Unknown) => reply::error(
                StatusCode::NOT_FOUND,
                "unknown_session",
                "there is no such session; connect again",
            ),
            Some(Fate::Crowded) => slow_down(),
        }
    }
}

/// What a request speaks, and wants to hear.
fn format(headers: &HeaderMap) -> Format {
    let kind = headers.get(header::CONTENT_TYPE);
    match kind.map(HeaderValue::as_bytes) {
        Some(b"application/octet-stream") => Format::Protobuf,
        _ => Format::Json,
    }
}

/// The commands in a query.
fn connect(query: Option<&str>) -> Bytes {
    let pairs = query.unwrap_or_default().split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let commands = pairs.find(|(name, _)| *name == CONNECT);
    commands
        .map(|(_, commands)| policies::decode(commands).into())
        .unwrap_or_default()
}

fn bad(text: &str) -> Response<Body> {
    reply::error(StatusCode::BAD_REQUEST, "bad_request", text)
}

fn slow_down() -> Response<Body> {
    let mut response = reply::error(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        "too many commands of this session wait; try again",
    );
    let second = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, second);
    response
}
