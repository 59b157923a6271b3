//! The wire formats of rooms, and how a message becomes a frame.
//!
//! A room's log exists once per format, so what is compressed is compressed once for all members of a shard that agreed
//! to it. Absent on purpose: what a message says ([`sschat_protocol::seed`]), and who hears it ([`crate::hub`]).

use sschat_protocol::centrifuge;
use sschat_protocol::seed::Format;
use sschat_protocol::streaming::{Shape, Streaming};
use sschat_protocol::websocket::deflate::{Agreement, Deflater, deflate_message};
use sschat_protocol::websocket::{Opcode, push_frame};

/// Envelopes, one JSON object a frame.
pub(super) const JSON: u32 = 0;
/// Bare messages.
pub(super) const TEXT: u32 = 1;
/// Added to any: messages may be compressed.
const DEFLATED: u32 = 2;
/// Pushes of the Centrifuge protocol, in JSON.
const CLIENT_JSON: u32 = 4;
/// Pushes of the Centrifuge protocol, in Protobuf.
const CLIENT_PROTOBUF: u32 = 5;
/// The same in the body of an HTTP response: JSON by lines, Protobuf, JSON in events.
const STREAM_JSON: u32 = 8;
const STREAM_PROTOBUF: u32 = 9;
const STREAM_EVENTS: u32 = 12;
/// Added to those: the body has no chunks. Such bodies are not compressed here.
const UNCHUNKED: u32 = DEFLATED;

/// Added to a format of the Centrifuge protocol, for members who agreed to hear differences: the next publication is
/// whole, because they have none before it.
const FIRST: u32 = 16;
/// Added to it once they have one: publications are differences to the one before.
const DELTAS: u32 = 32;

/// The bits of a format proper. Above them stands the number of the filter of those who hear it, 0 for none.
const PROPER: u32 = 0xFF;

/// The formats that hold envelopes.
pub(super) const ENVELOPES: [u32; 2] = [JSON, JSON | DEFLATED];

/// The shortest message that is compressed, in bytes. `sschat-protocol`'s example `deflate_cost` shows that a publication
/// of prose costs 6 to 9 µs, which is what its delivery to some seven members does, and is made a fifth shorter at
/// 250 bytes, a third at 500. Below lie the short messages of a chat, which are mostly identifiers.
const WORTH: usize = 256;

/// The format of a connection's rooms.
///
/// A client with a window smaller than DEFLATE's own hears rooms uncompressed: a log has one form for all, and only
/// messages that fit its window could be compressed for it.
pub(super) fn number(format: Format, agreement: Option<Agreement>) -> u32 {
    let plain = match format {
        Format::Json => JSON,
        Format::Text => TEXT,
    };
    compressed(plain, agreement)
}

/// As [`number`], for a connection that speaks the Centrifuge protocol.
pub(super) fn client_number(format: centrifuge::Format, agreement: Option<Agreement>) -> u32 {
    let plain = match format {
        centrifuge::Format::Json => CLIENT_JSON,
        centrifuge::Format::Protobuf => CLIENT_PROTOBUF,
    };
    compressed(plain, agreement)
}

/// As [`number`], for a connection whose messages go into the body of an HTTP response.
pub(super) fn stream_number(streaming: Streaming) -> u32 {
    let chunked = match streaming.shape {
        Shape::Lines => STREAM_JSON,
        Shape::Delimited => STREAM_PROTOBUF,
        Shape::Events => STREAM_EVENTS,
    };
    match streaming.chunked {
        true => chunked,
        false => chunked | UNCHUNKED,
    }
}

/// The body that a format's messages go into, where it is no WebSocket's.
fn streaming(format: u32) -> Option<Streaming> {
    let shape = match plain(format) {
        STREAM_JSON => Shape::Lines,
        STREAM_PROTOBUF => Shape::Delimited,
        STREAM_EVENTS => Shape::Events,
        _ => return None,
    };
    let chunked = format & UNCHUNKED == 0;
    Some(Streaming { shape, chunked })
}

/// The Centrifuge protocol's format behind the number of one as [`plain`] gives it.
pub(super) fn client_format(plain: u32) -> Option<centrifuge::Format> {
    match plain {
        CLIENT_JSON => Some(centrifuge::Format::Json),
        CLIENT_PROTOBUF => Some(centrifuge::Format::Protobuf),
        other => streaming(other).map(Streaming::format),
    }
}

fn compressed(plain: u32, agreement: Option<Agreement>) -> u32 {
    match agreement {
        Some(agreement) if agreement.allows(usize::MAX) => plain | DEFLATED,
        _ => plain,
    }
}

/// A format without its compression, or its chunks, its differences and its filter.
pub(super) fn plain(format: u32) -> u32 {
    format & PROPER & !(DEFLATED | FIRST | DELTAS)
}

/// A format for those who hear what the filter of this number lets through.
pub(super) fn filtered(format: u32, filter: u32) -> u32 {
    format | filter << PROPER.count_ones()
}

/// The number of the filter of those who hear this format; 0 for none.
pub(super) fn filter(format: u32) -> u32 {
    format >> PROPER.count_ones()
}

/// A format of the Centrifuge protocol for those who come in and agreed to hear differences.
pub(super) fn with_deltas(format: u32) -> u32 {
    format | FIRST
}

/// The format in which they hear on once they have a publication; nothing for any other format.
pub(super) fn after_the_first(format: u32) -> Option<u32> {
    (format & FIRST != 0).then_some(format & !FIRST | DELTAS)
}

/// Whether the members of this format agreed to hear differences.
pub(super) fn has_deltas(format: u32) -> bool {
    format & (FIRST | DELTAS) != 0
}

/// A message as this format has it, whose difference to the one before is `delta`.
pub(super) fn payload<'a>(
    format: u32,
    message: &'a str,
    delta: Option<&'a [u8]>,
) -> centrifuge::Payload<'a> {
    match delta {
        Some(delta) if format & DELTAS != 0 => centrifuge::Payload::Delta(delta),
        _ if has_deltas(format) => centrifuge::Payload::Base(message.as_bytes()),
        _ => centrifuge::Payload::Whole(message.as_bytes()),
    }
}

/// Appends a message to a room's log of this format.
pub(super) fn push(deflater: &mut Deflater, format: u32, message: &[u8], log: &mut Vec<u8>) {
    if let Some(streaming) = streaming(format) {
        return streaming.push(log, message);
    }
    let opcode = match plain(format) {
        CLIENT_PROTOBUF => Opcode::Binary,
        _ => Opcode::Text,
    };
    if format & DEFLATED != 0 && message.len() >= WORTH {
        deflate_message(deflater, opcode, message, log);
    } else {
        push_frame(log, opcode, message);
    }
}

/// Appends a message for one connection.
pub(super) fn push_to(
    deflater: &mut Deflater,
    agreement: Option<Agreement>,
    (opcode, message): (Opcode, &[u8]),
    out: &mut Vec<u8>,
) {
    match agreement {
        Some(agreement) if message.len() >= WORTH && agreement.allows(message.len()) => {
            deflate_message(deflater, opcode, message, out);
        }
        _ => push_frame(out, opcode, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_into_a_body_has_a_number_of_its_own() {
        let mut seen = vec![JSON, TEXT, CLIENT_JSON, CLIENT_PROTOBUF];
        seen.extend(seen.clone().iter().map(|plain| plain | DEFLATED));
        for shape in [Shape::Lines, Shape::Delimited, Shape::Events] {
            for chunked in [true, false] {
                let body = Streaming { shape, chunked };
                let number = stream_number(body);
                assert!(!seen.contains(&number) && !has_deltas(number));
                assert_eq!(streaming(number), Some(body));
                assert_eq!(client_format(plain(number)), Some(body.format()));
                let first = with_deltas(number);
                let second = after_the_first(first).unwrap();
                for number in [first, second] {
                    assert_eq!(streaming(number), Some(body));
                    assert_eq!(plain(number), plain(stream_number(body)));
                }
                assert_eq!(after_the_first(second), None);
                let filtered = filtered(number, 9);
                assert_eq!((filter(number), filter(filtered)), (0, 9));
                assert_eq!(streaming(filtered), Some(body));
                assert_eq!(plain(filtered), plain(number));
                seen.push(number);
            }
        }
        for format in [JSON, TEXT, CLIENT_JSON, CLIENT_PROTOBUF] {
            assert_eq!(streaming(format), None);
            assert_eq!(streaming(format | DEFLATED), None);
        }
    }
}
