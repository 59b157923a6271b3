//! From an HTTP connection to a WebSocket: the handshake, the Origin policy, what is agreed on, the handover.
//!
//! After the answer 101 the plain socket, with whatever was already read from it, goes
//! to [`Adopt`]; HTTP keeps nothing of it.

use super::body::Body;
use super::reply;
use super::wire::Unplug;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sschat_protocol::streaming::Streaming;
use sschat_protocol::websocket::deflate::{self, Agreement};
use sschat_protocol::websocket::handshake::{self, HandshakeError};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The longest app id that is handed on, in bytes; an id has 36.
const APP_LIMIT: usize = 64;

/// What an upgraded connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/websocket/polling`: the original protocol.
    Polling {
        /// What the server sends.
        format: Format,
    },
    /// `/connection/websocket`: the Centrifuge protocol.
    Centrifuge {
        /// What both sides send.
        format: centrifuge::Format,
    },
    /// The Centrifuge protocol in the body of a response; [`Upgraded::read`] is what the client said with its request.
    Streaming(Streaming),
    /// `/websocket/echo`: every message comes back. For outside test suites.
    Echo,
}

pub use super::wire::Plug;
pub use sschat_protocol::centrifuge;
pub use sschat_protocol::seed::Format;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket, in non-blocking mode, with TCP_NODELAY; and its TLS session, where it has one.
    pub plug: Plug,
    /// What the client sent behind its handshake.
    pub read: Bytes,
    /// What it speaks.
    pub endpoint: Endpoint,
    /// What was agreed on about compression.
    pub deflate: Option<Agreement>,
    /// The other end.
    pub remote: SocketAddr,
    /// `?app=`: the public id of the tenant that it names, unverified.
    pub app: Option<String>,
    /// Those headers of the handshake that policies can ask for, names in lower case.
    pub headers: Box<[(Box<str>, Box<str>)]>,
}

/// Takes upgraded connections.
pub trait Adopt: Send + Sync + 'static {
    /// Takes one. Called on a worker of tokio: must not block.
    fn adopt(&self, upgraded: Upgraded);
}

/// Which pages browsers may connect from. Requests without `Origin` come from programs
/// and are always allowed.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    any: bool,
    loopback: bool,
    listed: Vec<String>,
}

impl Origins {
    /// `*` allows every origin; an empty list only the host that the request is sent to.
    pub fn new(listed: &[String]) -> Self {
        let normal = |origin: &String| origin.trim_end_matches('/').to_ascii_lowercase();
        Self {
            any: listed.iter().any(|origin| origin == "*"),
            loopback: false,
            listed: listed.iter().map(normal).collect(),
        }
    }

    /// Pages that this machine serves, on any port, may connect too.
    #[must_use]
    pub fn with_loopback(self, loopback: bool) -> Self {
        Self { loopback, ..self }
    }

    /// Whether a request may come from where it says.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return true;
        };
        if self.any {
            return true;
        }
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        if self.listed.contains(&origin) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        if self.loopback && is_loopback(authority) {
            return true;
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        host.is_some_and(|host| with_port(scheme, authority) == with_port(scheme, host))
    }
}

/// Whether `host:port` is of the machine itself.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

/// `host:port`, with the scheme's port where none is given. `Host` has no scheme of its
/// own; behind a proxy that ends TLS it is the origin's that counts.
fn with_port(scheme: &str, authority: &str) -> String {
    let authority = authority.to_ascii_lowercase();
    let has_port = match authority.rsplit_once(':') {
        Some((_, port)) => port.chars().all(|c| c.is_ascii_digit()),
        None => false,
    };
    match (has_port, scheme) {
        (true, _) => authority,
        (false, "https" | "wss") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    }
}

impl Endpoint {
    /// The endpoint at a path.
    pub(super) fn at(path: &str, query: Option<&str>) -> Option<Self> {
        match path {
            "/websocket/polling" => Some(Self::Polling {
                format: match parameter(query, "format") {
                    Some("text") => Format::Text,
                    _ => Format::Json,
                },
            }),
            "/connection/websocket" => Some(Self::Centrifuge {
                format: parameter(query, "format")
                    .or_else(|| parameter(query, "cf_protocol"))
                    .and_then(centrifuge::Format::from_name)
                    .unwrap_or_default(),
            }),
            "/websocket/echo" => Some(Self::Echo),
            _ => None,
        }
    }
}

/// The subprotocols that `/connection/websocket` knows.
const SUBPROTOCOLS: [&str; 2] = [
    centrifuge::Format::PROTOBUF_SUBPROTOCOL,
    centrifuge::Format::JSON_SUBPROTOCOL,
];

/// The subprotocol that is agreed on, if any, and what the connection speaks by it: it goes before the query.
fn subprotocol(headers: &HeaderMap, endpoint: Endpoint) -> (Endpoint, Option<HeaderValue>) {
    if !matches!(endpoint, Endpoint::Centrifuge { .. }) {
        return (endpoint, None);
    }
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let offers = offers.filter_map(|value| value.to_str().ok());
    let Some(chosen) = handshake::select_protocol(offers, &SUBPROTOCOLS) else {
        return (endpoint, None);
    };
    let format = match chosen {
        centrifuge::Format::PROTOBUF_SUBPROTOCOL => centrifuge::Format::Protobuf,
        _ => centrifuge::Format::Json,
    };
    let endpoint = Endpoint::Centrifuge { format };
    (endpoint, HeaderValue::from_str(chosen).ok())
}

/// The value of a query parameter. Not decoded: no value that counts here has a percent sign.
fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })
}

/// The tenant that a query names.
pub(super) fn app(query: Option<&str>) -> Option<String> {
    parameter(query, "app")
        .filter(|app| !app.is_empty() && app.len() <= APP_LIMIT)
        .map(str::to_owned)
}

/// What upgrades are made with.
pub(super) struct Upgrades {
    /// Who may connect from a browser.
    pub(super) origins: Origins,
    /// Whether a connection may agree on compression.
    pub(super) compression: bool,
    /// Takes upgraded connections.
    pub(super) adopt: Arc<dyn Adopt>,
}

impl Upgrades {
    /// Answers a request to a WebSocket endpoint, and hands the connection over once the
    /// answer is written.
    pub(super) fn answer(
        &self,
        mut request: Request<Incoming>,
        endpoint: Endpoint,
        remote: SocketAddr,
    ) -> Response<Body> {
        let headers = request.headers();
        let (key, deflate) = match self.agree(&request) {
            Ok(agreed) => agreed,
            Err(error) => return refused(error),
        };
        if !self.origins.allow(headers) {
            return super::cross_origin::refused();
        }
        let Some(mut response) = switching(&key, deflate) else {
            return reply::not_found();
        };
        let (endpoint, subprotocol) = subprotocol(headers, endpoint);
        if let Some(name) = subprotocol {
            let headers = response.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        let app = app(request.uri().query());
        let headers = shown_headers(headers);
        let upgrade = hyper::upgrade::on(&mut request);
        let adopt = self.adopt.clone();
        tokio::spawn(async move {
            if let Some((plug, read)) = take_socket(upgrade).await {
                adopt.adopt(Upgraded {
                    plug,
                    read,
                    endpoint,
                    deflate,
                    remote,
                    app,
                    headers,
                });
            }
        });
        response
    }

    /// The answer to the request's key, and what is agreed on about compression.
    fn agree(
        &self,
        request: &Request<Incoming>,
    ) -> Result<(String, Option<Agreement>), HandshakeError> {
        let values = |name: &str| {
            let all = request.headers().get_all(name).into_iter();
            all.filter_map(|value| value.to_str().ok())
        };
        let version = match request.version() {
            Version::HTTP_11 => (1, 1),
            Version::HTTP_10 => (1, 0),
            _ => (2, 0),
        };
        let accept = handshake::check(values, request.method().as_str(), version)?;
        let deflate = match self.compression {
            true => deflate::negotiate(values(header::SEC_WEBSOCKET_EXTENSIONS.as_str()))?,
            false => None,
        };
        Ok((accept.key, deflate))
    }
}

fn switching(key: &str, deflate: Option<Agreement>) -> Option<Response<Body>> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let key = HeaderValue::from_str(key).ok()?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    if let Some(agreement) = deflate {
        let agreement = HeaderValue::from_str(&agreement.to_string()).ok()?;
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, agreement);
    }
    Some(response)
}

fn refused(error: HandshakeError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = reply::error(status, "bad_handshake", &error.to_string());
    for (name, value) in error.headers() {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Waits for the answer to be written, then takes the socket out of hyper and tokio, and
/// what was read behind the handshake.
async fn take_socket(upgrade: OnUpgrade) -> Option<(Plug, Bytes)> {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a connection ended in its handshake");
            return None;
        }
    };
    let (plug, read) = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (parts.io.into_inner().unplug(), parts.read_buf),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
            (parts.io.into_inner().unplug(), parts.read_buf)
        }
    };
    match plug {
        Ok(plug) => Some((plug, read)),
        Err(error) => {
            tracing::warn!(%error, "a socket could not be handed over");
            None
        }
    }
}

/// Headers that a policy can ask for beside those that begin with `x-`.
const SHOWN: [HeaderName; 4] = [
    header::ORIGIN,
    header::USER_AGENT,
    header::ACCEPT_LANGUAGE,
    header::FORWARDED,
];

/// A header that begins with `x-` and is no policy's business.
const SECRET: &str = "x-api-key";

/// Bytes of headers that are kept of one connection, for as long as it lives.
const SHOWN_BYTES: usize = 1 << 10;

/// What is kept of a handshake's headers.
pub(super) fn shown_headers(headers: &HeaderMap) -> Box<[(Box<str>, Box<str>)]> {
    let mut left = SHOWN_BYTES;
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            (name.starts_with("x-") && name != SECRET) || SHOWN.iter().any(|shown| shown == name)
        })
        .filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            left = left.checked_sub(name.as_str().len() + value.len())?;
            Some((name.as_str().into(), value.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
