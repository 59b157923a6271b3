//! What a connection has that is the body of an HTTP response, and no WebSocket.
//!
//! It only tells. What its peer says comes from elsewhere and is kept here while it may not be handed over; the socket
//! itself is read for its end alone.

use super::connection::Phase;
use super::shard::Shard;
use super::{Application, Flow};
use crate::hub::ConnectionKey;
use bytes::Bytes;
use sschat_protocol::close;
use sschat_protocol::streaming::Streaming;
use sschat_protocol::websocket::push_close;
use std::collections::VecDeque;

/// What a peer may send on the socket after its request before it is shown out: it has nothing to say there.
const IGNORED: usize = 16 << 10;

/// How many of the largest messages may wait: about what the system keeps of a socket that is not read.
const WAITING: usize = 4;

/// What a message that waits costs beside its bytes.
const COST: usize = 64;

/// What became of a message that a peer sent by another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// It is handed over after this call, or once the connection may go on.
    Taken,
    /// Too much waits already.
    Crowded,
    /// The connection takes nothing any more, or is no such one.
    Closed,
}

/// The body of a response, as its connection knows it.
pub(super) struct Body {
    pub(super) streaming: Streaming,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    ignored: usize,
}

impl Body {
    pub(super) fn new(streaming: Streaming) -> Self {
        Self {
            streaming,
            waiting: VecDeque::new(),
            bytes: 0,
            ignored: 0,
        }
    }

    /// Adds a message behind those that wait, which are at most as large as so many of `limit` bytes.
    pub(super) fn push(&mut self, message: Bytes, limit: usize) -> Fed {
        let cost = message.len() + COST;
        if self.bytes + cost > WAITING * (limit + COST) {
            return Fed::Crowded;
        }
        self.bytes += cost;
        self.waiting.push_back(message);
        Fed::Taken
    }

    fn pop(&mut self) -> Option<Bytes> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.len() + COST;
        Some(message)
    }
}

/// Appends what tells a peer that and why a connection ends: into its body, or as a close frame.
pub(super) fn push_end(body: Option<Streaming>, out: &mut Vec<u8>, code: u16, reason: &str) {
    match body {
        Some(streaming) => streaming.push_close(out, code, reason),
        None => push_close(out, code, reason),
    }
}

impl<A: Application> Shard<A> {
    /// Hands over what waits, as far as the connection may go on.
    pub(super) fn hand_over(&mut self, key: ConnectionKey) {
        while let Some(connection) = self.connections.get(key)
            && connection.phase == Phase::Open
            && !connection.paused
            && !connection.held
            && let Some(message) = connection.body.as_mut().and_then(|body| body.pop())
        {
            let flow = self.turn(|application, turn| application.binary(key, &message, turn));
            if flow == Flow::Pause
                && let Some(connection) = self.connections.get(key)
                && connection.phase == Phase::Open
            {
                connection.paused = true;
            }
        }
    }

    /// Takes note of bytes that nobody asked for.
    pub(super) fn ignore(&mut self, key: ConnectionKey, count: usize) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let open = connection.phase == Phase::Open;
        let Some(body) = &mut connection.body else {
            return;
        };
        body.ignored = body.ignored.saturating_add(count);
        if open && body.ignored > IGNORED {
            self.close(key, close::BAD_REQUEST, "nothing is read after the request");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sschat_protocol::streaming::Shape;

    #[test]
    fn what_waits_is_bounded_and_keeps_its_order() {
        let mut body = Body::new(Streaming {
            shape: Shape::Lines,
            chunked: true,
        });
        for number in 0..WAITING as u8 {
            let message = Bytes::from(vec![number; 1_000]);
            assert_eq!(body.push(message, 1_000), Fed::Taken);
        }
        assert_eq!(body.push(Bytes::from_static(b"x"), 1_000), Fed::Crowded);
        for number in 0..WAITING as u8 {
            assert_eq!(body.pop().unwrap()[0], number);
        }
        assert_eq!((body.pop(), body.bytes), (None, 0));
        let mut small = 0;
        while body.push(Bytes::new(), 1_000) == Fed::Taken {
            small += 1;
        }
        assert!(small <= 70, "small ones cost something too: {small}");
    }
}
