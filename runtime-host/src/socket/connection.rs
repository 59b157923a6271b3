//! One connection: its stream, what it sent in part, what it is owed still.

use super::Limits;
use super::body::{Body, Fed, push_end};
use super::outbox::{GATHER, Outbox};
use super::stream::Stream;
use super::timer::{Tick, Wheel, ticks};
use crate::hub::{ConnectionKey, Hub, Logs, Piece, RoomKey};
use crate::metrics::tally::{self, Figure};
use bytes::Bytes;
use slab::Slab;
use sschat_protocol::streaming::Streaming;
use sschat_protocol::websocket::Decoder;
use std::io::{self, IoSlice, Write};
use std::time::Duration;

/// How long a peer may take to answer a close frame and take what was sent before it.
pub(super) const CLOSING: Duration = Duration::from_secs(5);

/// How long a peer that fell behind may take to read up to its close frame. It costs the
/// host the rest of one frame meanwhile.
pub(super) const CATCHING_UP: Duration = Duration::from_secs(30);

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages flow.
    Open,
    /// A close frame is on its way out; the peer's is awaited.
    Closing,
    /// Both close frames are seen: flush, then end.
    Ending,
    /// It broke the protocol, or is a body that ended: flush, then ignore what it sends until it ends the connection.
    Refused,
    /// To be removed at the end of the turn.
    Gone,
}

pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) decoder: Decoder,
    /// Where it is the body of an HTTP response, and no WebSocket.
    pub(super) body: Option<Box<Body>>,
    pub(super) outbox: Option<Box<Outbox>>,
    /// What was read but may not be handed over yet.
    #[expect(
        clippy::box_collection,
        reason = "a null pointer while idle, as most are"
    )]
    pub(super) unread: Option<Box<Vec<u8>>>,
    pub(super) heard: Tick,
    /// The tick for which the timer is set.
    pub(super) timer: Tick,
    /// When it must be gone, or be closed for the drain.
    pub(super) deadline: Tick,
    pub(super) phase: Phase,
    pub(super) paused: bool,
    pub(super) held: bool,
    /// There may be more to read than was read.
    pub(super) readable: bool,
    /// Held to [`Limits::wide`].
    pub(super) wide: bool,
    /// What may wait for it at most, where that is less than [`Limits::queue`]; in bytes.
    pub(super) queue: u32,
}

impl Connection {
    pub(super) fn new(stream: Stream, decoder: Decoder, now: Tick, wide: bool) -> Self {
        Self {
            stream,
            decoder,
            body: None,
            outbox: None,
            unread: None,
            heard: now,
            timer: 0,
            deadline: Tick::MAX,
            phase: Phase::Open,
            paused: false,
            held: false,
            readable: false,
            wide,
            queue: u32::MAX,
        }
    }

    /// How messages stand in its body, where it is one.
    pub(super) fn streaming(&self) -> Option<Streaming> {
        self.body.as_deref().map(|body| body.streaming)
    }

    fn queue(&mut self) -> &mut Outbox {
        self.outbox.get_or_insert_with(Box::default)
    }

    /// Writes what the connection is owed, or queues what the socket does not take.
    /// Says whether the queue is within `limit`.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn deliver(
        &mut self,
        logs: &Logs,
        pieces: &[Piece],
        limit: usize,
    ) -> io::Result<bool> {
        let mut pieces = pieces;
        let mut sent = 0;
        if !self.held && self.outbox.is_none() {
            (pieces, sent) = self.write(logs, pieces)?;
        }
        if pieces.is_empty() {
            return Ok(true);
        }
        let (held, limit) = (self.held, limit.min(self.queue as usize));
        let outbox = self.queue();
        for piece in pieces {
            outbox.push(logs, piece, std::mem::take(&mut sent), held);
        }
        Ok(outbox.bytes() <= limit)
    }

    /// Writes as much as the socket takes; gives back what is left, and how much of its first piece is sent.
    fn write<'p>(&mut self, logs: &Logs, pieces: &'p [Piece]) -> io::Result<(&'p [Piece], usize)> {
        let mut rest = pieces;
        let mut sent = 0;
        while let Some(first) = rest.first() {
            let result = if rest.len() == 1 {
                self.stream.write(&logs.bytes(first)[sent..])
            } else {
                let mut slices = [IoSlice::new(&[]); GATHER];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(rest) {
                    let from = if count == 0 { sent } else { 0 };
                    *slice = IoSlice::new(&logs.bytes(piece)[from..]);
                    count += 1;
                }
                self.stream.write_vectored(&slices[..count])
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(mut written) => {
                    tally::add(Figure::SentBytes, written as u64);
                    while let Some(first) = rest.first() {
                        let left = logs.bytes(first).len() - sent;
                        if written < left {
                            sent += written;
                            break;
                        }
                        written -= left;
                        sent = 0;
                        rest = &rest[1..];
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((rest, sent))
    }

    /// Sends what waits, unless a hold stops it.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.held {
            return Ok(());
        }
        self.stream.flush()?;
        if let Some(outbox) = &mut self.outbox {
            outbox.write(&mut self.stream)?;
            if outbox.bytes() == 0 {
                self.outbox = None;
            }
        }
        Ok(())
    }

    /// Whether the socket has everything.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbox.is_none() && self.stream.is_flushed()
    }

    /// Gives up everything unsent and queues its end instead.
    pub(super) fn abandon(&mut self, code: u16, reason: &str) {
        self.held = false;
        self.unread = None;
        let streaming = self.streaming();
        let outbox = self.queue();
        outbox.abandon(streaming);
        let mut frame = Vec::new();
        push_end(streaming, &mut frame, code, reason);
        outbox.push_bytes(frame);
    }

    /// What it becomes once it was told that it ends. Nothing answers the end of a body.
    pub(super) fn after_goodbye(&self) -> Phase {
        match self.body {
            Some(_) => Phase::Refused,
            None => Phase::Closing,
        }
    }
}

/// All connections of a shard.
pub(super) struct Connections {
    pub(super) slab: Slab<Connection>,
    pub(super) wheel: Wheel,
    pub(super) now: Tick,
    pub(super) limits: Limits,
    /// When the drain is over.
    pub(super) end: Tick,
    /// Connections whose pause or hold ended this turn.
    pub(super) resumed: Vec<ConnectionKey>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            slab: Slab::new(),
            wheel: Wheel::new(),
            now: 0,
            limits,
            end: Tick::MAX,
            resumed: Vec::new(),
        }
    }

    pub(super) fn get(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.slab.get_mut(key as usize)
    }

    /// Sets the connection's one timer.
    pub(super) fn set_timer(&mut self, key: ConnectionKey, at: Tick) {
        if let Some(connection) = self.slab.get_mut(key as usize) {
            connection.timer = self.wheel.set(key, at);
        }
    }

    /// Enters the closing phase: the close frame is queued by the caller. The peer has
    /// `patience` to take it, and no longer than the drain lasts.
    pub(super) fn closing(&mut self, key: ConnectionKey, phase: Phase, patience: Duration) {
        let deadline = (self.now + ticks(patience)).min(self.end);
        if let Some(connection) = self.slab.get_mut(key as usize) {
            connection.phase = phase;
            connection.deadline = deadline;
            connection.paused = false;
            connection.unread = None;
        }
        self.set_timer(key, deadline);
    }
}

/// What an application may do with connections while it is called.
pub struct Turn<'a> {
    /// Rooms, and what connections are owed.
    pub hub: &'a mut Hub,
    pub(super) connections: &'a mut Connections,
}

impl Turn<'_> {
    /// Closes a connection after what it is owed so far. The application has let go of
    /// it: it is not told of its end. It must have left its rooms before.
    pub fn close(&mut self, key: ConnectionKey, code: u16, reason: &str) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.phase != Phase::Open {
            return;
        }
        let (streaming, phase) = (connection.streaming(), connection.after_goodbye());
        if std::mem::take(&mut connection.held) {
            if let Some(outbox) = &mut connection.outbox {
                outbox.discard_held();
            }
            // What this turn put on the connection's account came under the hold, too.
            self.hub.forget(key);
            self.connections.resumed.push(key);
        }
        self.hub
            .reply(key, |out| push_end(streaming, out, code, reason));
        self.connections.closing(key, phase, CLOSING);
    }

    /// Takes what a connection's peer said by another way, behind what waits already.
    pub fn feed(&mut self, key: ConnectionKey, message: Bytes) -> Fed {
        let limit = self.connections.limits.message;
        let Some(connection) = self.connections.get(key) else {
            return Fed::Closed;
        };
        let open = connection.phase == Phase::Open;
        let Some(body) = connection.body.as_mut().filter(|_| open) else {
            return Fed::Closed;
        };
        tally::add(Figure::ReceivedBytes, message.len() as u64);
        let fed = body.push(message, limit);
        self.connections.resumed.push(key);
        fed
    }

    /// Lets a paused connection go on, after this call.
    pub fn resume(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get(key)
            && std::mem::take(&mut connection.paused)
        {
            self.connections.resumed.push(key);
        }
    }

    /// Stops everything that goes to or comes from a connection, until [`Turn::release`].
    pub fn hold(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get(key)
            && connection.phase == Phase::Open
        {
            connection.held = true;
        }
    }

    /// Bounds what may wait for a connection, in bytes; the host's own bound holds all the same.
    pub fn bound(&mut self, key: ConnectionKey, queue: Option<u32>) {
        if let Some(connection) = self.connections.get(key) {
            connection.queue = queue.unwrap_or(u32::MAX);
        }
    }

    /// Drops what a hold has kept for the rooms in `left`; those seats must be free already.
    pub fn forfeit(&mut self, key: ConnectionKey, left: &[RoomKey]) {
        if let Some(connection) = self.connections.get(key)
            && let Some(outbox) = &mut connection.outbox
        {
            outbox.drop_held(left);
        }
    }

    /// Ends a hold.
    pub fn release(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get(key)
            && std::mem::take(&mut connection.held)
        {
            if let Some(outbox) = &mut connection.outbox {
                outbox.release();
            }
            self.connections.resumed.push(key);
        }
    }
}
