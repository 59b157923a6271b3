//! Serving HTTP/1.1 and HTTP/2 on a connection, until it ends or is handed over.

use super::body::Body;
use super::listener::Door;
use super::origin::announced;
use super::takeover::{Takeover, Wanted};
use super::tls::{HTTP_2, Tls};
use super::wire::Unplug;
use super::{Remote, Server};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Bytes of a request's head.
const HEAD_LIMIT: usize = 32 << 10;

/// Header fields of a request.
const HEADERS_LIMIT: usize = 100;

/// Requests of one HTTP/2 connection at once (RFC 9113, section 5.1.2, recommends 100 at least).
const STREAMS: u32 = 128;

/// How often an HTTP/2 connection is asked whether it lives, and how long the answer may take.
const ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) server: Arc<Server>,
    pub(super) door: Door,
    pub(super) tls: Option<Tls>,
    /// The other end.
    pub(super) address: SocketAddr,
    /// Turns true when the host stops.
    pub(super) drained: watch::Receiver<bool>,
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

impl Accepted {
    /// Serves it until it ends or is handed over.
    ///
    /// # Errors
    /// What ended it early.
    pub(super) async fn serve(mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let patience = self.server.limits.head;
        if self.server.limits.proxies.protocol && matches!(self.door, Door::Everything) {
            let announced = tokio::time::timeout(patience, announced(&mut stream)).await;
            match announced.map_err(|_| late())? {
                Ok(client) => self.address = client.unwrap_or(self.address),
                Err(error) => {
                    // It is the operator who mends this.
                    tracing::warn!(peer = %self.address, %error, "a connection was refused");
                    return Ok(());
                }
            }
        }
        let Some(tls) = self.tls.take() else {
            return self.http_1(stream, false).await;
        };
        let accepted = tokio::time::timeout(patience, tls.acceptor().accept(stream)).await;
        let stream = accepted.map_err(|_| late())??;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            return self.http_2(stream).await;
        }
        self.http_1(stream, true).await
    }

    fn remote(&self, secure: bool) -> io::Result<Arc<Remote>> {
        Ok(Arc::new(Remote {
            address: self.address,
            header: header_of(self.address)?,
            wanted: Arc::new(Wanted::default()),
            cut: Arc::default(),
            secure,
        }))
    }

    async fn http_1(self, stream: impl Unplug, secure: bool) -> io::Result<()> {
        let remote = self.remote(secure)?;
        let service = service_fn(|request| self.answer(request, &remote));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.server.limits.head)
            .max_headers(HEADERS_LIMIT)
            .max_buf_size(HEAD_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let (end, connection) = until_end(connection, &remote, self.drained.clone()).await;
        match end {
            End::Wanted(takeover) => {
                self.server.count(StatusCode::OK);
                if let Some(parts) = connection.into_parts() {
                    takeover.begin(parts.io.into_inner()).await;
                }
                Ok(())
            }
            End::Over(over) => over.map_err(io::Error::other),
        }
    }

    async fn http_2(self, stream: impl Unplug) -> io::Result<()> {
        let remote = self.remote(true)?;
        let (mut drained, cut) = (self.drained.clone(), Arc::clone(&remote.cut));
        let this = Arc::new(self);
        let service = service_fn(|mut request: Request<Incoming>| {
            let (this, remote) = (Arc::clone(&this), Arc::clone(&remote));
            async move {
                name_host(&mut request);
                this.answer(request, &remote).await
            }
        });
        let (often, patience) = ALIVE;
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_LIMIT as u32)
            .keep_alive_interval(often)
            .keep_alive_timeout(patience)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            over = &mut connection => return over.map_err(io::Error::other),
            () = cut.notified() => return Ok(()),
            _ = drained.wait_for(|drained| *drained) => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            over = connection => over.map_err(io::Error::other),
            () = cut.notified() => Ok(()),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        remote: &Arc<Remote>,
    ) -> Result<Response<Body>, Infallible> {
        let response = match self.door {
            Door::Everything => {
                let proxies = &self.server.limits.proxies;
                let client = proxies.client(remote.address.ip(), request.headers());
                let named = client.and_then(|client| remote.on_behalf_of(client));
                self.server
                    .answer(request, named.as_ref().unwrap_or(remote))
                    .await
            }
            Door::MetricsAlone => self.server.only_metrics(&request),
        };
        self.server.count(response.status());
        Ok(response)
    }
}

fn header_of(address: SocketAddr) -> io::Result<HeaderValue> {
    HeaderValue::try_from(address.to_string()).map_err(io::Error::other)
}

impl Remote {
    /// The same connection, by which a proxy asks for this client. Its port nobody tells.
    fn on_behalf_of(&self, client: std::net::IpAddr) -> Option<Arc<Self>> {
        let address = SocketAddr::new(client, 0);
        Some(Arc::new(Self {
            address,
            header: header_of(address).ok()?,
            wanted: Arc::clone(&self.wanted),
            cut: Arc::clone(&self.cut),
            secure: self.secure,
        }))
    }
}

/// Gives a request of HTTP/2 the header that others have (RFC 9113, section 8.3.1).
fn name_host(request: &mut Request<Incoming>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let authority = request.uri().authority();
    let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// A connection, served by `S` over `I`.
type Connection<I, S> = http1::UpgradeableConnection<TokioIo<I>, S>;

/// How a connection ends for HTTP.
enum End {
    Over(hyper::Result<()>),
    Wanted(Takeover),
}

/// Drives a connection until it ends, is cut, or a request wants its socket.
async fn until_end<I, S>(
    mut connection: Connection<I, S>,
    remote: &Remote,
    mut drained: watch::Receiver<bool>,
) -> (End, Connection<I, S>)
where
    I: Unplug,
    S: HttpService<Incoming, ResBody = Body, Error = Infallible>,
{
    let mut draining = pin!(async {
        // An error means that the sender is gone, and then the host is ending too.
        let _ = drained.wait_for(|drained| *drained).await;
    });
    let mut told = false;
    let end = poll_fn(|cx| {
        if !told && draining.as_mut().poll(cx).is_ready() {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(End::Over(outcome)),
            Poll::Pending => match remote.wanted.take() {
                Some(takeover) => Poll::Ready(End::Wanted(takeover)),
                None => Poll::Pending,
            },
        }
    });
    let end = tokio::select! {
        end = end => end,
        () = remote.cut.notified() => End::Over(Ok(())),
    };
    (end, connection)
}
