//! HTTP: the listener, routing to components, upgrades to WebSocket, built-in pages.
//!
//! This module owns a connection from accept until it is closed or handed over to
//! [`upgrade::Adopt`]. Routes of the manifest win over the built-in ones, except over
//! health. It decides nothing about users and rooms, and it logs routes, never paths or
//! queries, for those carry API keys.

mod body;
mod builtin;
mod cross_origin;
pub mod events;
mod forward;
mod inbound;
mod listener;
pub mod metrics;
mod origin;
mod pace;
pub mod policies;
mod reply;
pub mod rooms;
pub mod router;
mod serve;
mod server_api;
pub mod streams;
mod sweep;
mod takeover;
pub mod tls;
pub mod upgrade;
mod wire;

pub use listener::{Bound, ListenError};
pub use origin::Proxies;
pub use pace::Rates;

use crate::wasm::rest::RestComponent;
use body::Body;
use forward::{Facts, Forward};
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use inbound::Inbound;
use pace::Paces;
use rooms::{Asked, Deletion};
use router::{RouteError, Router};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use streams::{Relay, Route, Streams};
use takeover::Wanted;
use tls::Tls;
use tokio::sync::Notify;
use upgrade::{Adopt, Endpoint, Origins, Upgrades};

/// Bounds of the HTTP side.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once that are not WebSockets; further ones wait in the backlog.
    pub connections: usize,
    /// The most bytes of what a client of the Centrifuge protocol says at once.
    pub message: usize,
    /// The most bytes of a request's body.
    pub body: u64,
    /// How often one client may ask.
    pub rates: Rates,
    /// Proxies that are believed.
    pub proxies: Proxies,
    /// How long a request's head may take, then the first 64 KiB of its body and each
    /// further, and how long a connection may rest between two requests.
    pub head: Duration,
}

/// Says whether the host can do its work, or why not.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A component and where the manifest mounts it.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The component's name.
    pub name: String,
    /// The component.
    pub component: RestComponent,
    /// The path to POST to until it answers `{"more":false}`.
    pub sweep: Option<String>,
    /// It keeps tenants' policies: what is uploaded is checked first.
    pub keeps_policies: bool,
}

/// What the server is made of.
pub struct Parts {
    /// The components.
    pub mounts: Vec<Mount>,
    /// Routes in the order of the manifest, each to an index of `mounts`.
    pub routes: Vec<(String, usize)>,
    /// Routes that other hosts serve.
    pub elsewhere: Vec<String>,
    /// Whether sessions may connect.
    pub sockets: bool,
    /// Bounds.
    pub limits: Limits,
    /// Who may connect from a browser.
    pub origins: Origins,
    /// Whether a WebSocket may agree on compression.
    pub compression: bool,
    /// Takes upgraded connections.
    pub adopt: Arc<dyn Adopt>,
    /// Takes what clients say by requests to their sessions.
    pub relay: Arc<dyn Relay>,
    /// Whether `/websocket/echo` exists.
    pub debug_endpoints: bool,
    /// Asked by `/readyz`.
    pub readiness: Readiness,
    /// Asked about policies.
    pub desk: Arc<dyn policies::Desk>,
    /// Writes what the rest of the host counts.
    pub figures: metrics::Figures,
    /// Whether the common listener shows figures to programs on this machine.
    pub local_metrics: bool,
    /// Does what tenants' backends ask for.
    pub backend: Arc<dyn rooms::Backend>,
    /// Gives tenants' backends their events.
    pub feed: Arc<dyn events::Feed>,
}

/// Why nobody connects.
const NO_SESSIONS: &str = "this host has no sessions (--role api)";

/// The HTTP side of the host, shared by all connections.
pub struct Server {
    router: Router<usize>,
    elsewhere: Router<()>,
    sockets: bool,
    forwards: Vec<Forward>,
    limits: Limits,
    paces: Paces,
    inbound: Inbound,
    upgrades: Upgrades,
    streams: Streams,
    debug_endpoints: bool,
    readiness: Readiness,
    policies: policies::Counter,
    figures: metrics::Figures,
    local_metrics: bool,
    /// What the common listener speaks TLS with.
    certificate: OnceLock<Tls>,
    statuses: metrics::Statuses,
    backend: Arc<dyn rooms::Backend>,
    feed: Arc<dyn events::Feed>,
}

impl Server {
    /// Builds the router. Duplicate routes are reported; the last one wins, as in Spin.
    pub fn new(parts: Parts) -> Result<Self, RouteError> {
        let (router, duplicates) = Router::new(parts.routes)?;
        for route in duplicates {
            tracing::warn!(route, "the route is given twice; the last one wins");
        }
        let forwards = parts.mounts.into_iter().map(Forward::new).collect();
        let elsewhere = parts.elsewhere.into_iter().map(|route| (route, ()));
        Ok(Self {
            router,
            elsewhere: Router::new(elsewhere)?.0,
            sockets: parts.sockets,
            forwards,
            inbound: Inbound::new(parts.limits.body, parts.limits.head),
            streams: Streams::new(
                parts.origins.clone(),
                (parts.limits.message, parts.limits.head),
                Arc::clone(&parts.adopt),
                parts.relay,
            ),
            paces: Paces::new(parts.limits.rates),
            limits: parts.limits,
            upgrades: Upgrades {
                origins: parts.origins,
                compression: parts.compression,
                adopt: parts.adopt,
            },
            debug_endpoints: parts.debug_endpoints,
            readiness: parts.readiness,
            policies: policies::Counter::new(parts.desk),
            figures: parts.figures,
            local_metrics: parts.local_metrics,
            certificate: OnceLock::new(),
            statuses: metrics::Statuses::default(),
            backend: parts.backend,
            feed: parts.feed,
        })
    }

    /// Starts the sweeps of all components that have one. They end with the runtime.
    pub fn start_sweeps(self: &Arc<Self>) {
        for forward in &self.forwards {
            if let Some(sweeper) = forward.sweeper() {
                tokio::spawn(sweeper.run());
            }
        }
    }

    /// Whether sessions may connect.
    pub fn has_sessions(&self) -> bool {
        self.sockets
    }

    /// The routes by component.
    pub fn routes(&self) -> BTreeMap<String, Vec<String>> {
        let mut routes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (route, index) in self.router.routes() {
            if let Some(forward) = self.forwards.get(*index) {
                let name = forward.name().to_owned();
                routes.entry(name).or_default().push(route.to_owned());
            }
        }
        routes
    }

    /// Answers one request.
    async fn answer(&self, request: Request<Incoming>, remote: &Arc<Remote>) -> Response<Body> {
        if !names_host(&request) {
            return reply::error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "a request names its host, once",
            );
        }
        let path = request.uri().path();
        if let Some(response) = builtin::health(&request, &self.readiness).await {
            return response;
        }
        if let Some(response) = self.local_metrics(&request, remote) {
            return response;
        }
        if let Some(refusal) = self.paces.refuses(&request, remote) {
            return refusal;
        }
        if path == policies::EXPLAIN {
            return self.policies.explain(&request).await;
        }
        if path == events::PATH {
            return events::answer(&request, (&self.policies, &*self.feed), remote).await;
        }
        if let Some(asked) = Asked::at(path) {
            let parts = (&self.policies, &*self.backend);
            return asked.answer(request, parts, &self.inbound).await;
        }
        if let Some(found) = self.router.find(path) {
            let Some(forward) = self.forwards.get(*found.target) else {
                return reply::not_found();
            };
            let facts = forward::facts(&found, &request, remote);
            if forward.keeps_policies() && policies::concerns(&request) {
                return self.policies.pass(request, facts, forward).await;
            }
            if request.method() == Method::DELETE {
                return self.delete(request, facts, forward).await;
            }
            return forward.call(request, facts, &self.inbound).await;
        }
        if let Some(method) = server_api::method(path) {
            let parts = (&self.policies, &*self.backend);
            return server_api::answer(method, request, parts, &self.inbound).await;
        }
        if self.elsewhere.find(path).is_some() {
            return reply::wrong_role("this host serves no components (--role realtime)");
        }
        if let Some(endpoint) = self.endpoint(path, request.uri().query()) {
            if !self.sockets {
                return reply::wrong_role(NO_SESSIONS);
            }
            return self.upgrades.answer(request, endpoint, remote.address);
        }
        if let Some(route) = Route::at(path) {
            // What a session is told by requests reaches it at whichever host it is.
            if !self.sockets && route != Route::Emulation {
                return reply::wrong_role(NO_SESSIONS);
            }
            let wanted = (request.version() < Version::HTTP_2).then_some(&*remote.wanted);
            let address = remote.address;
            return self.streams.answer(route, request, address, wanted).await;
        }
        builtin::page(&request).unwrap_or_else(reply::not_found)
    }

    /// Lets the component delete; what was deleted takes its history with it before the
    /// answer leaves.
    async fn delete(
        &self,
        request: Request<Incoming>,
        facts: Facts,
        forward: &Forward,
    ) -> Response<Body> {
        let deletion = Deletion::of(&request, self.policies.desk()).await;
        let response = forward.call(request, facts, &self.inbound).await;
        if response.status().is_success()
            && let Some(deletion) = deletion
        {
            deletion.forget(&*self.backend).await;
        }
        response
    }

    fn endpoint(&self, path: &str, query: Option<&str>) -> Option<Endpoint> {
        let endpoint = Endpoint::at(path, query)?;
        (self.debug_endpoints || endpoint != Endpoint::Echo).then_some(endpoint)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// Whether a request has the one `Host` that HTTP/1.1 asks for (RFC 9112, section 3.2).
fn names_host<B>(request: &Request<B>) -> bool {
    match request.headers().get_all(header::HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Remote {
    address: SocketAddr,
    /// The address as a header's value, made once for all requests of the connection.
    header: http::HeaderValue,
    /// Whether a request wants the socket itself.
    wanted: Arc<Wanted>,
    /// Whether the connection is by TLS.
    secure: bool,
    /// Ends the connection, whatever it is doing.
    cut: Arc<Notify>,
}

/// The refusal of methods other than GET and HEAD.
fn refuse_method(method: &Method) -> Option<Response<Body>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = reply::error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "only GET is possible here",
    );
    let allow = http::HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(header::ALLOW, allow);
    Some(response)
}

#[cfg(test)]
mod tests;
