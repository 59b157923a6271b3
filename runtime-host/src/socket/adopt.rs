//! How a connection comes to a shard.

use super::body::Body;
use super::connection::Connection;
use super::shard::Shard;
use super::stream::Stream;
use super::timer::ticks;
use super::{Application, Flow, Plug};
use crate::hub::ConnectionKey;
use bytes::Bytes;
use mio::{Interest, Token};
use sschat_protocol::websocket::Decoder;
use std::io;

impl<A: Application> Shard<A> {
    /// Takes a connection in.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn adopt(
        &mut self,
        (stream, tls): Plug,
        read: Bytes,
        opening: A::Opening,
    ) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let encrypted = tls.is_some();
        let mut stream = Stream::new(mio::net::TcpStream::from_std(stream), tls);
        let entry = self.connections.slab.vacant_entry();
        let key = entry.key() as ConnectionKey;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(key as usize), interest)?;
        let wide = A::is_wide(&opening);
        let decoder = match A::deflates(&opening) {
            true => Decoder::new().with_deflate(),
            false => Decoder::new(),
        };
        let now = self.connections.now;
        let mut connection = Connection::new(stream, decoder, now, wide);
        let streaming = A::streaming(&opening);
        connection.body = streaming.map(|streaming| Box::new(Body::new(streaming)));
        entry.insert(connection);
        if streaming.is_none() {
            let ping = ticks(self.connections.limits.ping);
            self.connections.set_timer(key, now + ping);
        }
        let flow = self.turn(|application, turn| application.opened(key, opening, turn));
        if let Some(connection) = self.connections.get(key) {
            connection.paused = flow == Flow::Pause;
        }
        if streaming.is_some() {
            self.turn(|_, turn| turn.feed(key, read));
        } else if !read.is_empty() {
            self.consume(key, &mut read.to_vec());
        }
        if encrypted {
            // What came behind the handshake may be in its session, and no event tells of it.
            self.read(key, true);
        }
        if let Some(over) = self.drain {
            self.drain_one(key, over);
        }
        Ok(())
    }
}
