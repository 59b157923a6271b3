//! Groups 1 (framing), 2 (pings and pongs), 3 (reserved bits), 4 (opcodes), 9 (limits) and 10 (automatic fragmentation).

use crate::peer::*;
use sschat_protocol::websocket::{Opcode, push_frame};

const REFUSED: Seen = Seen::Refused(1002);

#[test]
fn group_1_messages_of_every_length_form_are_echoed() {
    for len in [0, 1, 125, 126, 127, 128, 65535, 65536] {
        let payload = vec![b'*'; len];
        let message = String::from_utf8(payload.clone()).unwrap();
        let endpoint = expect(&frame(FIN | TEXT, &payload), &[Seen::Text(message)]);
        let mut echo = Vec::new();
        push_frame(&mut echo, Opcode::Text, &payload);
        assert_eq!(endpoint.sent, echo);

        let payload = vec![0xfe; len];
        let endpoint = expect(&frame(FIN | BINARY, &payload), &[binary(&payload)]);
        let mut echo = Vec::new();
        push_frame(&mut echo, Opcode::Binary, &payload);
        assert_eq!(endpoint.sent, echo);
    }
}

#[test]
fn group_1_lengths_that_are_not_canonical_are_refused() {
    let extended = |len: &[u8]| [&[0x82][..], len, &[0, 0, 0, 0], &[7; 200]].concat();
    // 125 in two bytes, 65535 in eight, and the bit that must be 0.
    expect(&extended(&[0x80 | 126, 0, 125]), &[REFUSED]);
    expect(
        &extended(&[0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        &[REFUSED],
    );
    expect(
        &extended(&[0x80 | 127, 0x80, 0, 0, 0, 0, 1, 0, 0]),
        &[REFUSED],
    );
    expect(
        &extended(&[0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        &[REFUSED],
    );
}

#[test]
fn group_1_an_unmasked_frame_is_refused_at_its_second_byte() {
    let mut stream = Vec::new();
    push_frame(&mut stream, Opcode::Text, b"Hello");
    expect(&stream, &[REFUSED]);
    assert_eq!(failed_after(&stream), Some(2));
}

#[test]
fn group_2_pings_are_answered_with_their_payload() {
    for payload in [
        &b""[..],
        b"Hello, world!",
        b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
        &[0xfe; 125],
    ] {
        let endpoint = expect(&frame(PING, payload), &[ping(payload)]);
        let mut answer = Vec::new();
        push_frame(&mut answer, Opcode::Pong, payload);
        assert_eq!(endpoint.sent, answer);
    }
}

#[test]
fn group_2_a_ping_over_125_bytes_is_refused_at_its_length() {
    let stream = frame(PING, &[0xfe; 126]);
    expect(&stream, &[REFUSED]);
    assert_eq!(failed_after(&stream), Some(2));
}

#[test]
fn group_2_unasked_pongs_are_ignored() {
    let endpoint = expect(&frame(PONG, b""), &[pong(b"")]);
    assert_eq!(endpoint.sent, b"");
    let stream = [frame(PONG, b"unasked"), frame(PING, b"ping")].concat();
    let endpoint = expect(&stream, &[pong(b"unasked"), ping(b"ping")]);
    assert_eq!(endpoint.sent, b"\x8a\x04ping");
}

#[test]
fn group_2_ten_pings_get_ten_pongs_in_order() {
    let payloads: Vec<_> = (0..10).map(|i| format!("payload-{i}")).collect();
    let stream: Vec<_> = payloads
        .iter()
        .flat_map(|p| frame(PING, p.as_bytes()))
        .collect();
    let expected: Vec<_> = payloads.iter().map(|p| ping(p.as_bytes())).collect();
    expect(&stream, &expected);
}

#[test]
fn group_3_any_reserved_bit_is_refused_on_any_frame() {
    for bits in 1..=7 {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            let stream = [
                frame(FIN | TEXT, b"before"),
                frame(FIN | bits << 4 | opcode, b"Hello"),
                frame(PING, b""),
            ];
            expect(&stream.concat(), &[text("before"), REFUSED]);
            assert_eq!(failed_after(&stream.concat()), Some(stream[0].len() + 1));
        }
    }
}

#[test]
fn group_4_reserved_opcodes_are_refused() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        for payload in [&b""[..], b"reserved"] {
            let bad = frame(FIN | opcode, payload);
            expect(&[bad.clone(), frame(PING, b"")].concat(), &[REFUSED]);
            let stream = [frame(FIN | TEXT, b"before"), bad].concat();
            expect(&stream, &[text("before"), REFUSED]);
        }
    }
}

#[test]
fn group_9_large_messages_are_echoed() {
    let megabytes = [1 << 20, 4 << 20];
    for len in [1 << 16, 1 << 18].into_iter().chain(megabytes) {
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let stream = frame(FIN | BINARY, &payload);
        for sizes in [&[stream.len()][..], &[64], &[1024], &[65536], &[4096, 1]] {
            let endpoint = feed(&stream, sizes, LIMIT);
            assert!(endpoint.seen == [binary(&payload)]);
        }
    }
}

#[test]
fn group_9_messages_in_small_frames_are_echoed() {
    let payload = "ü".repeat(1 << 17);
    for size in [64, 257, 4096, 65535] {
        let pieces: Vec<_> = payload.as_bytes().chunks(size).collect();
        let stream = fragments(TEXT, &pieces);
        for sizes in [&[stream.len()][..], &[1], &[1000]] {
            assert!(feed(&stream, sizes, LIMIT).seen == [text(&payload)]);
        }
    }
}

#[test]
fn group_9_a_message_over_the_limit_is_refused_as_soon_as_a_header_tells() {
    let limit = 1000;
    let refused = |stream: &[u8]| {
        let mut positions = [&[1][..], &[7], &[stream.len()]].map(|sizes| {
            let endpoint = feed(stream, sizes, limit);
            assert_eq!(endpoint.seen.last(), Some(&Seen::Refused(1009)));
            endpoint.failed_after
        });
        positions.sort_unstable();
        positions[0]
    };

    let exact = feed(&frame(FIN | BINARY, &[1; 1000]), &[1], limit);
    assert_eq!(exact.seen, [binary(&[1; 1000])]);
    assert_eq!(refused(&frame(FIN | BINARY, &[1; 1001])), Some(4));

    // The third fragment brings the sum over the limit.
    let fragment = frame(CONT, &[b'a'; 400]);
    let stream = [
        frame(TEXT, &[b'a'; 400]),
        fragment.clone(),
        fragment.clone(),
    ]
    .concat();
    assert_eq!(refused(&stream), Some(2 * fragment.len() + 4));

    // A length near 2^63 must not overflow a sum.
    let huge = [0x80, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let stream = [frame(BINARY, &[1; 10]), huge.to_vec()].concat();
    assert_eq!(refused(&stream), Some(16 + huge.len()));
}

#[test]
fn group_10_a_message_fragmented_by_a_library_is_echoed() {
    let payload = vec![b'*'; 65536];
    let pieces: Vec<_> = payload.chunks(1300).collect();
    let message = String::from_utf8(payload.clone()).unwrap();
    expect(&fragments(TEXT, &pieces), &[Seen::Text(message)]);
}
