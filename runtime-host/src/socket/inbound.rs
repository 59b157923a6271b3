//! What a shard does with the bytes that arrive.

use super::connection::{CLOSING, Phase};
use super::shard::Shard;
use super::{Application, Flow};
use crate::hub::ConnectionKey;
use crate::metrics::tally::{self, Figure};
use sschat_protocol::websocket::deflate::Inflater;
use sschat_protocol::websocket::{Decoder, Event, Opcode, ProtocolError, push_close, push_frame};
use std::io::{self, Read};

/// The read buffer that all connections of a shard share.
pub(super) const READ_BUFFER: usize = 64 << 10;

/// How many buffers one connection may fill in a turn, so that it does not keep the others waiting.
const READS_PER_TURN: usize = 4;

/// How many bytes of messages are taken from one read before the rest waits for the next turn: what the peer could have
/// sent uncompressed in a turn. Only compressed messages come to more than was read, up to a thousand times as much.
const MESSAGES_PER_READ: usize = READS_PER_TURN * READ_BUFFER;

impl<A: Application> Shard<A> {
    /// Reads what is there and hands over its messages. `to_end`: the peer has closed,
    /// so that a short read is no sign that all was read.
    pub(super) fn read(&mut self, key: ConnectionKey, to_end: bool) {
        let now = self.connections.now;
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get(key) else {
                return;
            };
            match connection.phase {
                Phase::Gone => return,
                // Nothing that it says matters any more, but its end does.
                Phase::Open | Phase::Closing | Phase::Ending | Phase::Refused => {}
            }
            if connection.paused || connection.held {
                connection.readable = true;
                return;
            }
            if let Some(mut unread) = connection.unread.take() {
                if self.consume(key, &mut unread) {
                    continue;
                }
                return;
            }
            connection.readable = false;
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return self.remove(key),
                Ok(read) => {
                    connection.heard = now;
                    tally::add(Figure::ReceivedBytes, read as u64);
                    if connection.body.is_some() {
                        self.ignore(key, read);
                        continue;
                    }
                    let to_end = to_end || connection.stream.reads_short();
                    let mut buffer = std::mem::take(&mut self.buffer);
                    let took_all = self.consume(key, &mut buffer[..read]);
                    self.buffer = buffer;
                    if !took_all || (read < READ_BUFFER && !to_end) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.remove(key),
            }
        }
        self.backlog.push(key);
    }

    /// Takes the frames from `input`; what may not be handed over yet is kept. Says whether the connection may be read
    /// further in this turn.
    pub(super) fn consume(&mut self, key: ConnectionKey, input: &mut [u8]) -> bool {
        // Taken out, like the decoder, so that the event it lends may be acted on.
        let mut inflater = std::mem::take(&mut self.inflater);
        let took_all = self.decode(key, input, &mut inflater);
        self.inflater = inflater;
        took_all
    }

    fn decode(
        &mut self,
        key: ConnectionKey,
        mut input: &mut [u8],
        inflater: &mut Inflater,
    ) -> bool {
        let mut handed_over = 0;
        let (narrow, wide) = (
            self.connections.limits.message,
            self.connections.limits.wide,
        );
        while !input.is_empty() {
            let Some(connection) = self.connections.get(key) else {
                return true;
            };
            match connection.phase {
                Phase::Open if connection.paused || connection.held => {
                    connection.unread = Some(Box::new(input.to_vec()));
                    return true;
                }
                Phase::Open | Phase::Closing if handed_over > MESSAGES_PER_READ => {
                    connection.unread = Some(Box::new(input.to_vec()));
                    self.backlog.push(key);
                    return false;
                }
                Phase::Open | Phase::Closing => {}
                Phase::Ending | Phase::Refused | Phase::Gone => return true,
            }
            let limit = if connection.wide { wide } else { narrow };
            // The decoder is taken out so that the event it lends may be acted on.
            let mut decoder = std::mem::take(&mut connection.decoder);
            let used = match decoder.decode_with(input, limit, inflater) {
                Ok((used, event)) => {
                    if let Some(event) = event {
                        handed_over += match event {
                            Event::Text(text) => text.len(),
                            Event::Binary(bytes) => bytes.len(),
                            _ => 0,
                        };
                        self.act(key, event);
                    }
                    used
                }
                Err(error) => {
                    self.refuse(key, &error);
                    return true;
                }
            };
            decoder.release();
            self.put_back(key, decoder);
            input = &mut input[used..];
        }
        true
    }

    fn put_back(&mut self, key: ConnectionKey, decoder: Decoder) {
        if let Some(connection) = self.connections.get(key) {
            connection.decoder = decoder;
        }
    }

    fn act(&mut self, key: ConnectionKey, event: Event<'_>) {
        let open = self
            .connections
            .get(key)
            .is_some_and(|connection| connection.phase == Phase::Open);
        let flow = match event {
            Event::Text(text) if open => {
                self.turn(|application, turn| application.text(key, text, turn))
            }
            Event::Binary(bytes) if open => {
                self.turn(|application, turn| application.binary(key, bytes, turn))
            }
            Event::Ping(payload) if open => {
                self.hub
                    .reply(key, |out| push_frame(out, Opcode::Pong, payload));
                Flow::Continue
            }
            Event::Close(code, _) => {
                self.answer_close(key, code);
                Flow::Continue
            }
            _ => Flow::Continue,
        };
        if flow == Flow::Pause
            && let Some(connection) = self.connections.get(key)
            && connection.phase == Phase::Open
        {
            connection.paused = true;
        }
    }

    /// RFC 6455, section 5.5.1: a close frame is answered by one, then the server ends the connection.
    fn answer_close(&mut self, key: ConnectionKey, code: Option<u16>) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.phase == Phase::Open {
            self.turn(|application, turn| application.closed(key, turn));
            self.hub.reply(key, |out| match code {
                Some(code) => push_close(out, code, ""),
                None => push_frame(out, Opcode::Close, &[]),
            });
        }
        self.connections.closing(key, Phase::Ending, CLOSING);
        // Also where nothing is owed any more, so that `settle` would not come by.
        self.connections.resumed.push(key);
    }

    /// The peer broke the protocol.
    fn refuse(&mut self, key: ConnectionKey, error: &ProtocolError) {
        let open = self
            .connections
            .get(key)
            .is_some_and(|connection| connection.phase == Phase::Open);
        if open {
            self.turn(|application, turn| application.closed(key, turn));
            self.hub
                .reply(key, |out| push_close(out, error.code, error.reason));
        }
        self.connections.closing(key, Phase::Refused, CLOSING);
        self.connections.resumed.push(key);
    }
}
