//! What a connection could not send yet.
//!
//! A log that somebody must wait for is copied once, and all who wait share that; only
//! who is owed a small part of a large log gets a copy of its own, so that it does not
//! keep the whole log alive.

use crate::hub::{Logs, Piece, RoomKey};
use crate::metrics::tally::{self, Figure};
use sschat_protocol::streaming::Streaming;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::rc::Rc;

/// The most pieces of one vectored write; Linux takes up to 1,024, and past a few dozen a bigger batch gains nothing.
pub(super) const GATHER: usize = 64;

/// A piece smaller than one in this many parts of its log is copied out of it.
const SHARE_PART: usize = 4;

struct Chunk {
    log: Rc<[u8]>,
    /// Where its first frame begins.
    start: usize,
    sent: usize,
    end: usize,
    room: Option<RoomKey>,
    /// Queued while the session's grant was in doubt.
    held: bool,
}

/// Unsent bytes, in order.
#[derive(Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl Outbox {
    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a piece of which `sent` bytes are sent already.
    pub(super) fn push(&mut self, logs: &Logs, piece: &Piece, sent: usize, held: bool) {
        let bytes = logs.bytes(piece);
        let share = bytes.len() * SHARE_PART >= logs.length(piece);
        let (log, start) = if share {
            (logs.share(piece), piece.start as usize)
        } else {
            (Rc::from(bytes), 0)
        };
        self.waits(bytes.len() - sent);
        self.chunks.push_back(Chunk {
            log,
            start,
            sent: start + sent,
            end: start + bytes.len(),
            room: piece.room,
            held,
        });
    }

    /// Adds frames that are in no log.
    pub(super) fn push_bytes(&mut self, bytes: Vec<u8>) {
        self.waits(bytes.len());
        self.chunks.push_back(Chunk {
            end: bytes.len(),
            log: bytes.into(),
            start: 0,
            sent: 0,
            room: None,
            held: false,
        });
    }

    /// Writes until everything is sent or the socket takes no more.
    ///
    /// # Errors
    /// The socket's, but for `WouldBlock`.
    pub(super) fn write(&mut self, mut stream: impl Write) -> io::Result<()> {
        while !self.chunks.is_empty() {
            let mut slices = [IoSlice::new(&[]); GATHER];
            let mut count = 0;
            for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                *slice = IoSlice::new(&chunk.log[chunk.sent..chunk.end]);
                count += 1;
            }
            match stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        tally::sub(Figure::QueuedBytes, written as u64);
        tally::add(Figure::SentBytes, written as u64);
        while let Some(chunk) = self.chunks.front_mut() {
            let rest = chunk.end - chunk.sent;
            if written < rest {
                chunk.sent += written;
                return;
            }
            written -= rest;
            self.chunks.pop_front();
        }
    }

    /// Drops what was queued in a hold for the rooms in `left`. A held chunk was never sent
    /// in part, so whole frames go and whole frames stay.
    pub(super) fn drop_held(&mut self, left: &[RoomKey]) {
        self.chunks
            .retain(|chunk| !(chunk.held && chunk.room.is_some_and(|room| left.contains(&room))));
        self.recount();
    }

    /// Ends a hold: what was queued in it may go.
    pub(super) fn release(&mut self) {
        for chunk in &mut self.chunks {
            chunk.held = false;
        }
    }

    /// Drops what was queued in a hold, replies included.
    pub(super) fn discard_held(&mut self) {
        self.chunks.retain(|chunk| !chunk.held);
        self.recount();
    }

    /// Drops everything but the rest of a frame of which a part is sent, so that a close
    /// frame may follow, or the end of the body that the frames stand in.
    pub(super) fn abandon(&mut self, body: Option<Streaming>) {
        self.chunks.truncate(1);
        if let Some(chunk) = self.chunks.front_mut() {
            let mut boundary = chunk.start;
            while boundary < chunk.sent {
                let bytes = &chunk.log[boundary..chunk.end];
                boundary += match body {
                    Some(streaming) => streaming.frame_length(bytes).max(1),
                    None => frame_length(bytes),
                };
            }
            chunk.end = boundary.min(chunk.end);
            if chunk.sent == chunk.end {
                self.chunks.clear();
            }
        }
        self.recount();
    }

    fn waits(&mut self, bytes: usize) {
        self.bytes += bytes;
        tally::add(Figure::QueuedBytes, bytes as u64);
    }

    fn recount(&mut self) {
        tally::sub(Figure::QueuedBytes, self.bytes as u64);
        self.bytes = 0;
        self.waits(self.chunks.iter().map(|chunk| chunk.end - chunk.sent).sum());
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        tally::sub(Figure::QueuedBytes, self.bytes as u64);
    }
}

/// The length of the unmasked frame at the start of `bytes` (RFC 6455, section 5.2).
fn frame_length(bytes: &[u8]) -> usize {
    match bytes {
        [_, 126, a, b, ..] => 4 + usize::from(u16::from_be_bytes([*a, *b])),
        [_, 127, a, b, c, d, e, f, g, h, ..] => {
            10 + u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize
        }
        [_, length, ..] => 2 + usize::from(*length),
        _ => bytes.len().max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sschat_protocol::websocket::{Opcode, push_frame};

    /// Takes `room` bytes, then no more.
    struct Narrow {
        room: usize,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= taken;
            self.got.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frames(sizes: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        for size in sizes {
            push_frame(&mut out, Opcode::Text, &vec![b'x'; *size]);
        }
        out
    }

    #[test]
    fn what_is_abandoned_ends_at_a_frame_boundary_wherever_the_socket_stopped() {
        let sizes = [3, 200, 70_000, 1];
        let whole = frames(&sizes);
        for room in 0..whole.len() {
            let mut outbox = Outbox::default();
            outbox.push_bytes(whole.clone());
            outbox.push_bytes(frames(&[5]));
            let mut socket = Narrow {
                room,
                got: Vec::new(),
            };
            outbox.write(&mut socket).unwrap();
            outbox.abandon(None);
            socket.room = usize::MAX;
            outbox.write(&mut socket).unwrap();
            assert_eq!(outbox.bytes(), 0);
            let mut boundary = 0;
            while boundary < socket.got.len() {
                boundary += frame_length(&whole[boundary..]);
            }
            assert_eq!(boundary, socket.got.len(), "cut inside a frame at {room}");
            assert!(whole.starts_with(&socket.got));
        }
    }
}
