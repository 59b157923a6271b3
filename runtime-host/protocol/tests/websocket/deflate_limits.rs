//! Compressed messages that are broken or hostile, and reserved bits that mean nothing.

use proptest::prelude::*;

use crate::{deflate::compress, peer::*};

/// Reserved bits that no extension of ours uses.
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

/// The only event of a stream at an endpoint that agreed on compression.
fn verdict(stream: &[u8], limit: usize) -> Seen {
    let whole = feed_deflate(stream, &[stream.len()], limit);
    let cut = feed_deflate(stream, &[3, 1, 7], limit);
    assert_eq!(whole.seen, cut.seen);
    assert_eq!((whole.heap_size(), cut.heap_size()), (0, 0));
    assert_eq!(whole.seen.len(), 1, "{:.300?}", whole.seen);
    whole.seen.into_iter().next().unwrap()
}

#[test]
fn the_bit_means_nothing_where_nothing_was_agreed() {
    let stream = frame(FIN | RSV1 | TEXT, &compress(b"Hello", 6, 100));
    expect(&stream, &[Seen::Refused(1002)]);
    assert_eq!(failed_after(&stream), Some(1));
}

#[test]
fn only_the_first_frame_of_a_message_may_have_the_bit() {
    let hello = compress(b"Hello", 6, 100);
    for stream in [
        [
            frame(RSV1 | TEXT, &hello[..3]),
            frame(FIN | RSV1 | CONT, &hello[3..]),
        ]
        .concat(),
        [frame(TEXT, b"Hel"), frame(FIN | RSV1 | CONT, b"lo")].concat(),
        frame(FIN | RSV1 | CONT, &hello),
        frame(RSV1 | PING, &hello),
        frame(RSV1 | PONG, &hello),
        frame(RSV1 | CLOSE, &hello),
    ] {
        assert_eq!(verdict(&stream, LIMIT), Seen::Refused(1002), "{stream:x?}");
    }
}

#[test]
fn other_reserved_bits_are_refused() {
    for bits in [RSV2, RSV3, RSV2 | RSV3, RSV1 | RSV2, RSV1 | RSV3] {
        let stream = frame(FIN | bits | TEXT, &compress(b"Hello", 6, 100));
        assert_eq!(verdict(&stream, LIMIT), Seen::Refused(1002));
        expect(&stream, &[Seen::Refused(1002)]);
    }
}

#[test]
fn the_inflated_text_must_be_utf_8() {
    for wrong in [&b"abc\xff"[..], b"\xe2\x82", b"\xed\xa0\x80"] {
        let payload = compress(wrong, 6, 100);
        let as_text = frame(FIN | RSV1 | TEXT, &payload);
        assert_eq!(verdict(&as_text, LIMIT), Seen::Refused(1007));
        let as_bytes = frame(FIN | RSV1 | BINARY, &payload);
        assert_eq!(verdict(&as_bytes, LIMIT), binary(wrong));
    }
}

#[test]
fn what_is_not_deflate_is_refused() {
    for payload in [
        // A block of the reserved type; a stored block with a wrong check; a distance beyond the beginning; an open block.
        &[0x06][..],
        b"\x00\x05\x00\xff\xffHello\x00",
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        &[0xf2, 0x48, 0xcd],
        b"\x00\x05\x00\xfa\xffHell",
        // A second message behind a final block that is cut short.
        &[0x03, 0x00, 0xf2, 0x48, 0xcd],
    ] {
        let stream = frame(FIN | RSV1 | BINARY, payload);
        assert_eq!(verdict(&stream, LIMIT), Seen::Refused(1007), "{payload:x?}");
    }
}

#[test]
fn a_bomb_costs_its_own_size_and_the_limit() {
    let bomb = compress(&vec![b'a'; 16 << 20], 9, usize::MAX);
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let stream = frame(FIN | RSV1 | TEXT, &bomb);
    assert_eq!(verdict(&stream, 65_536), Seen::Refused(1009));
    let fragmented = [
        frame(RSV1 | TEXT, &bomb[..100]),
        frame(FIN | CONT, &bomb[100..]),
    ];
    assert_eq!(verdict(&fragmented.concat(), 65_536), Seen::Refused(1009));
}

#[test]
fn a_message_that_grows_by_compression_is_taken_up_to_the_limit() {
    // Bytes that fixed codes encode with nine bits each, in blocks that cannot be smaller.
    let noise: Vec<u8> = (0..1000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x90)
        .collect();
    let stored = compress(&noise, 0, usize::MAX);
    assert!(stored.len() > noise.len());
    let stream = frame(FIN | RSV1 | BINARY, &stored);
    assert_eq!(verdict(&stream, 1000), binary(&noise));
    assert_eq!(verdict(&stream, 999), Seen::Refused(1009));
}

#[test]
fn what_is_too_long_on_the_wire_is_refused_by_its_header() {
    let stream = frame(FIN | RSV1 | BINARY, &[0; 2000]);
    let endpoint = feed_deflate(&stream, &[1], 1000);
    assert_eq!(endpoint.seen, [Seen::Refused(1009)]);
    assert_eq!(endpoint.failed_after, Some(4));
    let endless: Vec<u8> = std::iter::once(frame(RSV1 | BINARY, &[0; 100]))
        .chain(std::iter::repeat_n(frame(CONT, &[0; 100]), 50))
        .flatten()
        .collect();
    let endpoint = feed_deflate(&endless, &[106], 1000);
    assert_eq!(endpoint.seen, [Seen::Refused(1009)]);
}

#[test]
fn a_half_sent_message_holds_what_was_sent() {
    let bomb = compress(&vec![b'a'; 16 << 20], 9, usize::MAX);
    let stream = frame(FIN | RSV1 | TEXT, &bomb);
    let mut endpoint = Endpoint::with_deflate(65_536);
    endpoint.read(&stream[..1000]);
    assert!(endpoint.heap_size() < 1300, "{}", endpoint.heap_size());
    assert_eq!(endpoint.seen, []);
}

/// First bytes of frames, most of them legal.
fn first_byte() -> impl Strategy<Value = u8> {
    let legal = [
        RSV1 | TEXT,
        FIN | RSV1 | TEXT,
        FIN | RSV1 | BINARY,
        FIN | CONT,
        CONT,
        PING,
    ];
    prop_oneof![8 => prop::sample::select(legal.to_vec()), 1 => any::<u8>()]
}

/// Valid data, valid data with a byte changed or cut off, and noise.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let message = ("[a-zé€]{0,60}", 1usize..40, 0u32..=9)
        .prop_map(|(piece, times, level)| compress(piece.repeat(times).as_bytes(), level, 500));
    let damage = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>());
    prop_oneof![
        3 => (message, prop::option::of(damage)).prop_map(|(mut payload, damage)| {
            if let Some((at, bits, cut)) = damage {
                let at = at.index(payload.len());
                payload[at] ^= bits;
                payload.truncate(if cut { at } else { payload.len() });
            }
            payload
        }),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #[test]
    fn damaged_streams_are_judged_alike_for_every_cut_and_within_the_limit(
        frames in prop::collection::vec((first_byte(), payload()), 1..6),
        sizes in prop::collection::vec(1usize..200, 1..20),
        limit in 0usize..3000,
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
        let whole = feed_deflate(&stream, &[stream.len()], limit);
        for sizes in [&[1][..], &sizes] {
            prop_assert_eq!(&whole.seen, &feed_deflate(&stream, sizes, limit).seen);
        }
        for seen in &whole.seen {
            let len = match seen {
                Seen::Text(text) => text.len(),
                Seen::Binary(bytes) => bytes.len(),
                _ => 0,
            };
            prop_assert!(len <= limit);
        }
    }
}
