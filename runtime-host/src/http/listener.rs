//! Accepting connections, and ending in order.

use super::Server;
use super::serve::Accepted;
use super::tls::Tls;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4_096;

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
    tls: Option<Tls>,
}

/// What is behind a listener.
#[derive(Debug, Clone, Copy)]
pub(super) enum Door {
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
            tls: None,
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

    /// Speaks TLS with everybody.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }

    /// Whether it speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
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
        if let Some(tls) = &self.tls {
            // One listener speaks it, once.
            let _ = server.certificate.set(tls.clone());
        }
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
                    let connection = Accepted {
                        server: server.clone(),
                        door: self.door,
                        tls: self.tls.clone(),
                        address: remote,
                        drained: drained.clone(),
                    };
                    tokio::spawn(async move {
                        if let Err(error) = connection.serve(stream).await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
