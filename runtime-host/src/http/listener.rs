//! Accepting connections, serving HTTP/1.1 on them, and ending in order.

use super::body::Body;
use super::takeover::{Takeover, Wanted};
use super::{Remote, Server};
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4_096;

/// Bytes of a request's head.
const HEAD_LIMIT: usize = 32 << 10;

/// Header fields of a request.
const HEADERS_LIMIT: usize = 100;

/// Connections at once on a listener for metrics: some scrapers, and somebody who looks.
const METRICS_CONNECTIONS: usize = 16;

/// The pause after accept failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the host cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("{0} is in use by another program; choose another address with --listen")]
    InUse(SocketAddr),
    /// The port needs privileges.
    #[error(
        "{0} may only be used by privileged programs; choose a port from 1024 on with --listen"
    )]
    Denied(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A socket that listens; connections queue up until [`Bound::serve`].
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
}

/// What is behind a listener.
#[derive(Debug, Clone, Copy)]
enum Door {
    Everything,
    MetricsAlone,
}

impl Bound {
    /// Begins to listen. Port 0 takes a free one.
    pub fn new(address: SocketAddr) -> Result<Self, ListenError> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address),
            io::ErrorKind::PermissionDenied => ListenError::Denied(address),
            _ => ListenError::Other { address, source },
        })?;
        Ok(Self {
            listener,
            address,
            door: Door::Everything,
        })
    }

    /// Begins to listen for those who ask for metrics; nothing else is served there.
    pub fn for_metrics(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = Self::new(address)?;
        Ok(Self {
            door: Door::MetricsAlone,
            ..bound
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; then no connection is accepted any more, idle ones are
    /// closed, and requests under way have `drain` to end. Returns how many did not.
    pub async fn serve(
        self,
        server: Arc<Server>,
        stop: impl Future<Output = ()>,
        drain: Duration,
    ) -> usize {
        let limit = match self.door {
            Door::Everything => server.limits.connections,
            Door::MetricsAlone => METRICS_CONNECTIONS,
        };
        let places = Arc::new(Semaphore::new(limit));
        let (draining, drained) = watch::channel(false);
        let accept = self.accept(&server, &places, &drained);
        let mut stop = pin!(stop);
        tokio::select! {
            () = accept => {}
            () = &mut stop => {}
        }
        drop(self.listener);
        draining.send_replace(true);
        let all = u32::try_from(limit).unwrap_or(u32::MAX);
        let finished = tokio::time::timeout(drain, places.acquire_many(all)).await;
        match finished {
            Ok(_) => 0,
            Err(_) => limit - places.available_permits(),
        }
    }

    /// Never ends.
    async fn accept(
        &self,
        server: &Arc<Server>,
        places: &Arc<Semaphore>,
        drained: &watch::Receiver<bool>,
    ) {
        loop {
            // Taken before the accept: beyond the limit, clients wait in the backlog.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    let server = (server.clone(), self.door);
                    let connection = serve(server, stream, remote, place, drained.clone());
                    tokio::spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Serves one connection until it ends or is handed over.
async fn serve(
    (server, door): (Arc<Server>, Door),
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    drained: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone already");
        return;
    }
    let Ok(header) = HeaderValue::try_from(address.to_string()) else {
        return;
    };
    let remote = Arc::new(Remote {
        address,
        header,
        wanted: Wanted::default(),
        cut: Arc::default(),
    });
    let head = server.limits.head;
    let (counting, asked) = (server.clone(), remote.clone());
    let service = service_fn(move |request| {
        let (server, remote) = (server.clone(), asked.clone());
        async move {
            let response = match door {
                Door::Everything => server.answer(request, &remote).await,
                Door::MetricsAlone => server.only_metrics(&request),
            };
            server.count(response.status());
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(HEADERS_LIMIT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let (end, connection) = until_end(connection, &remote, drained).await;
    match end {
        End::Wanted(takeover) => {
            counting.count(StatusCode::OK);
            if let Some(parts) = connection.into_parts() {
                takeover.begin(parts.io.into_inner()).await;
            }
        }
        End::Over(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        End::Over(Ok(())) => {}
    }
    drop(place);
}

/// A connection, served by `S`.
type Connection<S> = http1::UpgradeableConnection<TokioIo<TcpStream>, S>;

/// How a connection ends for HTTP.
enum End {
    Over(hyper::Result<()>),
    Wanted(Takeover),
}

/// Drives a connection until it ends or a request wants its socket.
async fn until_end<S>(
    mut connection: Connection<S>,
    remote: &Remote,
    mut drained: watch::Receiver<bool>,
) -> (End, Connection<S>)
where
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
