//! Both ends of the dialogue: a client that can send anything, and the echo endpoint under test.

use sschat_protocol::{
    close,
    websocket::{Decoder, Event, Opcode, ProtocolError, deflate::Inflater, push_close, push_frame},
};

/// Larger than anything that these tests send, as the suite wants it of an echo endpoint.
pub(crate) const LIMIT: usize = 20 << 20;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONT: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// What the endpoint understood, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Refused(u16),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(code, reason) => Self::Close(code, reason.to_owned()),
        }
    }
}

/// A masked frame with any first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x9d, 0x00, 0x5a, 0xff];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    out
}

/// A close frame with a code and a reason that need not be valid.
pub(crate) fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A message in fragments, as the suite's option "fragment after so many octets" sends it.
pub(crate) fn fragments(opcode: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let last = pieces.len() - 1;
    let frames = pieces.iter().enumerate().map(|(index, piece)| {
        let fin = if index == last { FIN } else { 0 };
        frame(fin | if index == 0 { opcode } else { CONT }, piece)
    });
    frames.collect::<Vec<_>>().concat()
}

/// The state of one connection under test: what it saw and what it sent.
pub(crate) struct Endpoint {
    decoder: Decoder,
    /// Where permessage-deflate was agreed upon.
    inflater: Option<Inflater>,
    limit: usize,
    pub(crate) seen: Vec<Seen>,
    pub(crate) sent: Vec<u8>,
    /// How many bytes had arrived when the connection failed.
    pub(crate) failed_after: Option<usize>,
    arrived: usize,
}

impl Endpoint {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            decoder: Decoder::new(),
            inflater: None,
            limit,
            seen: Vec::new(),
            sent: Vec::new(),
            failed_after: None,
            arrived: 0,
        }
    }

    /// An endpoint that takes compressed messages.
    pub(crate) fn with_deflate(limit: usize) -> Self {
        Self {
            decoder: Decoder::new().with_deflate(),
            inflater: Some(Inflater::default()),
            ..Self::new(limit)
        }
    }

    /// One read of the socket: everything is consumed before the next, for the read buffer belongs to all connections.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let mut buffer = bytes.to_vec();
        self.arrived += bytes.len();
        let mut at = 0;
        while at < buffer.len() {
            let input = &mut buffer[at..];
            let decoded = match &mut self.inflater {
                Some(inflater) => self.decoder.decode_with(input, self.limit, inflater),
                None => self.decoder.decode(input, self.limit),
            };
            match decoded {
                Ok((consumed, event)) => {
                    assert!(consumed > 0, "no progress at {at} of {}", bytes.len());
                    at += consumed;
                    if let Some(event) = event {
                        reply(&mut self.sent, &event);
                        self.seen.push(event.into());
                    }
                }
                Err(ProtocolError { code, reason }) => {
                    self.failed_after = Some(self.arrived);
                    push_close(&mut self.sent, code, reason);
                    self.seen.push(Seen::Refused(code));
                    return;
                }
            }
        }
        self.decoder.release();
    }

    pub(crate) fn heap_size(&self) -> usize {
        self.decoder.heap_size()
    }
}

fn reply(out: &mut Vec<u8>, event: &Event<'_>) {
    match event {
        Event::Text(text) => push_frame(out, Opcode::Text, text.as_bytes()),
        Event::Binary(bytes) => push_frame(out, Opcode::Binary, bytes),
        Event::Ping(bytes) => push_frame(out, Opcode::Pong, bytes),
        Event::Pong(_) => {}
        Event::Close(code, _) => push_close(out, code.unwrap_or(close::NORMAL), ""),
    }
}

/// Feeds the stream in pieces of these sizes, over and over.
pub(crate) fn feed(stream: &[u8], sizes: &[usize], limit: usize) -> Endpoint {
    feed_to(Endpoint::new(limit), stream, sizes)
}

/// [`feed`] to an endpoint that takes compressed messages.
pub(crate) fn feed_deflate(stream: &[u8], sizes: &[usize], limit: usize) -> Endpoint {
    feed_to(Endpoint::with_deflate(limit), stream, sizes)
}

fn feed_to(mut endpoint: Endpoint, stream: &[u8], sizes: &[usize]) -> Endpoint {
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        endpoint.read(piece);
        if after.is_empty() {
            return endpoint;
        }
        rest = after;
    }
    unreachable!("sizes are not empty");
}

/// Asserts that the stream is understood as `expected`, however it is cut, and that the answers are the same too.
pub(crate) fn expect(stream: &[u8], expected: &[Seen]) -> Endpoint {
    let whole = feed(stream, &[stream.len()], LIMIT);
    assert!(whole.seen == expected, "got {:.300?}", whole.seen);
    for sizes in [
        &[1][..],
        &[2],
        &[3, 1],
        &[5, 7, 11],
        &[13],
        &[16, 33],
        &[997],
        &[1500, 64],
    ] {
        let cut = feed(stream, sizes, LIMIT);
        assert!(
            cut.seen == expected,
            "in pieces of {sizes:?}: {:.300?}",
            cut.seen
        );
        assert_eq!(cut.sent, whole.sent, "in pieces of {sizes:?}");
    }
    if stream.len() <= 300 {
        for first in 1..stream.len() {
            let cut = feed(stream, &[first, stream.len()], LIMIT);
            assert!(
                cut.seen == expected,
                "cut after {first}: {:.300?}",
                cut.seen
            );
        }
    }
    whole
}

/// How many bytes of the stream it takes until the connection is failed.
pub(crate) fn failed_after(stream: &[u8]) -> Option<usize> {
    feed(stream, &[1], LIMIT).failed_after
}

pub(crate) fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

pub(crate) fn binary(bytes: &[u8]) -> Seen {
    Seen::Binary(bytes.to_vec())
}

pub(crate) fn ping(bytes: &[u8]) -> Seen {
    Seen::Ping(bytes.to_vec())
}

pub(crate) fn pong(bytes: &[u8]) -> Seen {
    Seen::Pong(bytes.to_vec())
}
