//! Messages in the body of an HTTP response that does not end: how clients are reached whom no WebSocket reaches.
//!
//! A *frame* here is a message as the body carries it, and, in HTTP/1.1, the chunk around it (RFC 9112 §7.1). Frames
//! follow each other with nothing between them, so that a body may be cut after any of them and closed in order.
//!
//! Absent on purpose: the other way. What a client says comes in requests of its own ([`crate::centrifuge::Emulation`]).

use std::io::Write as _;

use crate::centrifuge::{Disconnect, Format, Push};
use crate::close;

/// How messages stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// JSON: a line for each reply.
    Lines,
    /// Protobuf: the replies say how long they are.
    Delimited,
    /// JSON, in server-sent events: an event for each message, a line of data for each reply.
    Events,
}

/// How messages are put into the body of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Streaming {
    /// How they stand there.
    pub shape: Shape,
    /// Whether each is a chunk. In HTTP/1.0 there are none, and the body lasts until the connection ends.
    pub chunked: bool,
}

/// What precedes each line of an event's data.
const DATA: &[u8] = b"data: ";

/// The chunk that ends a body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const CRLF: &[u8] = b"\r\n";

impl Streaming {
    /// The format of the messages.
    #[must_use]
    pub const fn format(self) -> Format {
        match self.shape {
            Shape::Lines | Shape::Events => Format::Json,
            Shape::Delimited => Format::Protobuf,
        }
    }

    /// Appends a message: one or more replies or pushes, as [`Format::separate`] joins them.
    pub fn push(self, out: &mut Vec<u8>, message: &[u8]) {
        // An empty chunk would be the last one.
        if message.is_empty() {
            return;
        }
        if self.chunked {
            // Writing to a buffer does not fail.
            let _ = write!(out, "{:x}\r\n", self.length(message));
        }
        match self.shape {
            Shape::Delimited => out.extend_from_slice(message),
            Shape::Lines => {
                out.extend_from_slice(message);
                out.push(b'\n');
            }
            Shape::Events => {
                for line in message.split(|byte| *byte == b'\n') {
                    out.extend_from_slice(DATA);
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
                out.push(b'\n');
            }
        }
        if self.chunked {
            out.extend_from_slice(CRLF);
        }
    }

    /// The length of a message as it stands in the body.
    fn length(self, message: &[u8]) -> usize {
        match self.shape {
            Shape::Delimited => message.len(),
            Shape::Lines => message.len() + 1,
            Shape::Events => {
                let breaks = message.iter().filter(|byte| **byte == b'\n').count();
                message.len() + (breaks + 1) * DATA.len() + 2
            }
        }
    }

    /// Appends what ends a session, and the body: why it ends is a push, for a body has no close code.
    ///
    /// The codes that RFC 6455 gives to close frames mean something else to the SDKs and become the protocol's own.
    pub fn push_close(self, out: &mut Vec<u8>, code: u16, reason: &str) {
        let code = match code {
            close::GOING_AWAY => close::SHUTDOWN,
            close::INTERNAL => close::SERVER_ERROR,
            0..3000 => close::CONNECTION_CLOSED,
            code => code,
        };
        let why = Disconnect {
            code,
            reason: reason.to_owned().into(),
        };
        let mut message = Vec::new();
        Push::Disconnect(&why).encode(self.format(), "", &mut message);
        self.push(out, &message);
        if self.chunked {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    /// The length of the frame at the start of `bytes`, which [`Streaming::push`] wrote; all of them where it is cut.
    #[must_use]
    pub fn frame_length(self, bytes: &[u8]) -> usize {
        let after = |end: &[u8]| {
            let at = bytes.windows(end.len()).position(|window| window == end);
            at.map(|at| at + end.len())
        };
        let length = match (self.chunked, self.shape) {
            (true, _) => after(CRLF).and_then(|head| {
                let size = std::str::from_utf8(&bytes[..head - CRLF.len()]).ok()?;
                let size = usize::from_str_radix(size, 16).ok()?;
                Some(head + size + CRLF.len())
            }),
            (false, Shape::Lines) => after(b"\n"),
            (false, Shape::Events) => after(b"\n\n"),
            (false, Shape::Delimited) => crate::centrifuge::delimited_length(bytes),
        };
        length.map_or(bytes.len(), |length| length.min(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [(u16, u32); 5] = [
        (close::GOING_AWAY, 3001),
        (close::INTERNAL, 3004),
        (close::NORMAL, 3000),
        (close::SLOW_CONSUMER, 3008),
        (close::REVOKED, 4501),
    ];

    fn all() -> impl Iterator<Item = Streaming> {
        let shapes = [Shape::Lines, Shape::Delimited, Shape::Events];
        let both = |shape| [true, false].map(|chunked| Streaming { shape, chunked });
        shapes.into_iter().flat_map(both)
    }

    /// Messages of some replies, the first short and the others longer.
    fn messages(format: Format) -> Vec<Vec<u8>> {
        let failure = |text: String| crate::centrifuge::Failure {
            message: text.into(),
            ..crate::centrifuge::Failure::INTERNAL
        };
        let message = |sizes: &[usize]| {
            let mut out = Vec::new();
            for size in sizes {
                format.separate(&mut out);
                let failure = failure("é\n".repeat(*size));
                crate::centrifuge::Reply::Error(&failure).encode(format, 1, &mut out);
            }
            out
        };
        let mut ping = Vec::new();
        crate::centrifuge::push_ping(format, &mut ping);
        vec![ping, message(&[3, 9]), message(&[70]), message(&[30_000])]
    }

    /// Takes the chunks off a body.
    fn unchunked(mut body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        loop {
            let end = body.windows(2).position(|it| it == CRLF).unwrap();
            let size = std::str::from_utf8(&body[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            plain.extend_from_slice(&body[end + 2..end + 2 + size]);
            assert_eq!(&body[end + 2 + size..end + 4 + size], CRLF);
            body = &body[end + 4 + size..];
            if size == 0 {
                assert!(body.is_empty(), "something follows the last chunk");
                return plain;
            }
        }
    }

    #[test]
    fn a_body_holds_what_was_said_and_why_it_ends() {
        for streaming in all() {
            let messages = messages(streaming.format());
            for (code, told) in CODES {
                let mut body = Vec::new();
                for message in &messages {
                    streaming.push(&mut body, message);
                }
                streaming.push_close(&mut body, code, "because");
                if streaming.chunked {
                    body = unchunked(&body);
                }
                let why = Disconnect {
                    code: told.try_into().unwrap(),
                    reason: "because".into(),
                };
                let mut last = Vec::new();
                Push::Disconnect(&why).encode(streaming.format(), "", &mut last);
                let said = messages.iter().chain([&last]);
                let expected = match streaming.shape {
                    Shape::Delimited => said.flatten().copied().collect(),
                    Shape::Lines => lines(said, "", "\n"),
                    Shape::Events => lines(said, "data: ", "\n\n"),
                };
                assert_eq!(body, expected, "{streaming:?}");
            }
        }
    }

    fn lines<'m>(said: impl Iterator<Item = &'m Vec<u8>>, before: &str, after: &str) -> Vec<u8> {
        let mut body = String::new();
        for message in said {
            let text = std::str::from_utf8(message).unwrap();
            body += &format!(
                "{before}{}{after}",
                text.replace('\n', &format!("\n{before}"))
            );
        }
        body.into_bytes()
    }

    #[test]
    fn frames_are_found_again_wherever_they_end() {
        for streaming in all() {
            let mut body = Vec::new();
            let mut ends = vec![0];
            for message in messages(streaming.format()) {
                streaming.push(&mut body, &message);
                ends.push(body.len());
            }
            let mut at = 0;
            while at < body.len() {
                at += streaming.frame_length(&body[at..]);
                // Lines and replies may also be told apart within a message.
                let within = !streaming.chunked && streaming.shape != Shape::Events;
                assert!(within || ends.contains(&at), "{streaming:?}: {at}");
            }
            assert_eq!(at, body.len());
            for cut in 0..body.len().min(200) {
                assert!(streaming.frame_length(&body[..cut]) <= cut, "{streaming:?}");
            }
        }
    }

    #[test]
    fn nothing_is_no_chunk_for_that_would_be_the_last() {
        for streaming in all() {
            let mut body = Vec::new();
            streaming.push(&mut body, b"");
            assert!(body.is_empty());
        }
    }
}
