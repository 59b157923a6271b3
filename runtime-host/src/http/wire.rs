//! What HTTP is spoken over, and how it is given away.

use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

/// A socket in non-blocking mode, and its TLS session where it has one. The session may hold bytes that were read.
pub type Plug = (std::net::TcpStream, Option<Box<ServerConnection>>);

/// A stream that can be taken out of tokio.
pub(super) trait Unplug: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// What is left of it.
    ///
    /// # Errors
    /// The system's.
    fn unplug(self) -> io::Result<Plug>;
}

impl Unplug for TcpStream {
    fn unplug(self) -> io::Result<Plug> {
        Ok((self.into_std()?, None))
    }
}

impl Unplug for TlsStream<TcpStream> {
    fn unplug(self) -> io::Result<Plug> {
        let (stream, session) = self.into_inner();
        Ok((stream.into_std()?, Some(Box::new(session))))
    }
}
