//! What a connection's bytes go through: its socket, or TLS over it.
//!
//! TLS is begun elsewhere, so that a handshake keeps no shard busy; what comes here is a session whose handshake is
//! done. Sealing costs a copy. Bytes that are sealed are as good as sent: no hold stops them any more, so they are few.

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use tokio_rustls::rustls::ServerConnection;

/// Bytes that are sealed at once, and so those that wait in vain for a slow peer: two records (RFC 8446, section 5.1).
const SEALED: usize = 32 << 10;

/// Reads without a byte of content after which others have their turn.
const EMPTY_READS: usize = 16;

/// A connection's stream.
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        let mut tls = tls;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(Some(SEALED));
        }
        Self { socket, tls }
    }

    /// Whether less than was asked for may be read while there is more.
    pub(super) fn reads_short(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the socket has everything that was written.
    pub(super) fn is_flushed(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.wants_write())
    }

    /// Ends one direction or both, and says so as TLS asks for, where the socket takes it at once.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = send(tls, &mut self.socket);
        }
        self.socket.shutdown(how)
    }
}

/// Gives the socket what is sealed.
///
/// # Errors
/// The socket's; `WouldBlock` where it did not take everything.
fn send(tls: &mut ServerConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The same, where what is left may wait.
fn send_some(tls: &mut ServerConnection, socket: &mut TcpStream) -> io::Result<()> {
    match send(tls, socket) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(buffer);
        };
        for _ in 0..EMPTY_READS {
            match tls.reader().read(buffer) {
                // Who ends without saying so in TLS ends all the same: messages have lengths of their own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            if let Err(error) = tls.process_new_packets() {
                // It tells the peer why, where that is possible.
                let _ = send(tls, &mut self.socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            send_some(tls, &mut self.socket)?;
        }
        Err(io::ErrorKind::Interrupted.into())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.tls {
            None => self.socket.write(bytes),
            Some(_) => self.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_vectored(pieces);
        };
        send(tls, &mut self.socket)?;
        let taken = tls.writer().write_vectored(pieces)?;
        send_some(tls, &mut self.socket)?;
        Ok(taken)
    }

    /// Gives the socket what is sealed, as far as it takes it.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => send_some(tls, &mut self.socket),
        }
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.socket.register(registry, token, on)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, on)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}
