//! Compressed messages (RFC 7692 §7.2), as the suite's groups 12 and 13 send them.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use sschat_protocol::websocket::{
    Decoder, Event, Opcode,
    deflate::{Deflater, Inflater, deflate_message},
    push_frame,
};

use crate::peer::*;

/// A message as a client compresses it, flushed every so many bytes.
pub(crate) fn compress(message: &[u8], level: u32, flush_every: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(2 * message.len() + 100);
    let mut compress = Compress::new(Compression::new(level), false);
    let mut pieces = message.chunks(flush_every.max(1)).collect::<Vec<_>>();
    if pieces.is_empty() {
        pieces.push(&[]);
    }
    for piece in pieces {
        payload.reserve(2 * piece.len() + 100);
        compress
            .compress_vec(piece, &mut payload, FlushCompress::Sync)
            .unwrap();
    }
    assert_eq!(payload.split_off(payload.len() - 4), [0, 0, 0xff, 0xff]);
    payload
}

/// The frames of a compressed message, cut after these offsets, each followed by a ping.
fn compressed_fragments(opcode: u8, payload: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<Seen>) {
    let (mut stream, mut pings) = (Vec::new(), Vec::new());
    let (mut first, mut rest) = (RSV1 | opcode, payload);
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        stream.extend(frame(first, piece));
        stream.extend(frame(PING, b"between"));
        pings.push(ping(b"between"));
        (first, rest) = (CONT, after);
    }
    stream.extend(frame(FIN | first, rest));
    (stream, pings)
}

/// Asserts what an endpoint that agreed on compression understands, however the stream is cut.
fn expect_deflate(stream: &[u8], expected: &[Seen]) {
    for sizes in [
        &[stream.len()][..],
        &[1],
        &[2],
        &[3, 1],
        &[5, 7, 11],
        &[997],
    ] {
        let endpoint = feed_deflate(stream, sizes, LIMIT);
        assert!(
            endpoint.seen == expected,
            "in pieces of {sizes:?}: {:.300?}",
            endpoint.seen
        );
        assert_eq!(endpoint.heap_size(), 0);
    }
}

#[test]
fn the_examples_of_the_rfc() {
    for payload in [
        // §7.2.3.1: fixed codes; §7.2.3.3: a stored block; §7.2.3.4: a final block; §7.2.3.5: two blocks.
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        b"\x00\x05\x00\xfa\xffHello\x00",
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
    ] {
        let whole = frame(FIN | RSV1 | TEXT, payload);
        expect_deflate(&whole, &[text("Hello")]);
        for cut in 0..=payload.len() {
            let (stream, mut expected) = compressed_fragments(TEXT, payload, &[cut]);
            expected.push(text("Hello"));
            expect_deflate(&stream, &expected);
        }
    }
}

#[test]
fn a_final_block_without_the_zero_byte_is_taken() {
    let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    expect_deflate(&frame(FIN | RSV1 | TEXT, &payload), &[text("Hello")]);
}

#[test]
fn the_empty_message_has_several_forms() {
    for payload in [&[0x00][..], &[], &[0x02, 0x00], &[0x03, 0x00]] {
        expect_deflate(&frame(FIN | RSV1 | TEXT, payload), &[text("")]);
        expect_deflate(&frame(FIN | RSV1 | BINARY, payload), &[binary(b"")]);
    }
}

#[test]
fn messages_need_not_be_compressed() {
    let stream = [
        frame(FIN | TEXT, b"plain"),
        frame(FIN | RSV1 | TEXT, &compress(b"compressed", 6, 100)),
        fragments(TEXT, &[b"plain ", b"again"]),
    ];
    let expected = [text("plain"), text("compressed"), text("plain again")];
    expect_deflate(&stream.concat(), &expected);
}

#[test]
fn connections_share_an_inflater_while_their_messages_are_half_there() {
    let mut inflater = Inflater::default();
    let streams = ["first ".repeat(50), "second ".repeat(50)].map(|message| {
        let stream = frame(FIN | RSV1 | TEXT, &compress(message.as_bytes(), 9, 1000));
        (message, stream, Decoder::new().with_deflate())
    });
    let mut streams = streams;
    for from in 0.. {
        let mut over = true;
        for (message, stream, decoder) in &mut streams {
            let is_last = from + 1 == stream.len();
            let Some(byte) = stream.get_mut(from..=from) else {
                continue;
            };
            over = false;
            let (_, event) = decoder.decode_with(byte, LIMIT, &mut inflater).unwrap();
            assert_eq!(event, is_last.then_some(Event::Text(message)));
        }
        if over {
            break;
        }
    }
}

#[test]
fn a_client_reads_the_frames_that_a_server_shares() {
    let message =
        r#"{"type":"message","data":"to everybody in the room","from":"user_1","to":"room_1"}"#;
    let mut stream = Vec::new();
    let mut deflater = Deflater::default();
    let long = message.repeat(40);
    push_frame(&mut stream, Opcode::Text, message.as_bytes());
    assert!(deflate_message(
        &mut deflater,
        Opcode::Text,
        long.as_bytes(),
        &mut stream
    ));
    let mut client = Decoder::for_client().with_deflate();
    let mut inflater = Inflater::default();
    let mut seen = Vec::<Seen>::new();
    let mut rest = &mut stream[..];
    while !rest.is_empty() {
        let (consumed, event) = client.decode_with(rest, LIMIT, &mut inflater).unwrap();
        seen.extend(event.map(Seen::from));
        rest = &mut rest[consumed..];
    }
    assert_eq!(seen, [text(message), text(&long)]);
}

proptest! {
    #[test]
    fn compressed_dialogues_are_understood_for_every_cut(
        messages in prop::collection::vec(
            (
                "[a-z€ß𝄞\"]{0,300}",
                1usize..30,
                0u32..=9,
                1usize..2000,
                prop::collection::vec(0usize..200, 0..4),
            ),
            1..5,
        ),
        sizes in prop::collection::vec(1usize..300, 1..20),
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (piece, times, level, flush_every, cuts) in messages {
            let message = piece.repeat(times);
            let payload = compress(message.as_bytes(), level, flush_every);
            let (frames, pings) = compressed_fragments(TEXT, &payload, &cuts);
            stream.extend(frames);
            expected.extend(pings);
            expected.push(Seen::Text(message));
        }
        for sizes in [&[stream.len()][..], &[1], &sizes] {
            let endpoint = feed_deflate(&stream, sizes, LIMIT);
            prop_assert_eq!(&endpoint.seen, &expected);
            prop_assert_eq!(endpoint.heap_size(), 0);
        }
    }
}
