//! What a connection costs: nothing beyond the decoder itself unless a message is partly there.

use crate::peer::*;
use sschat_protocol::websocket::{Decoder, Event, Opcode, push_frame, push_masked_frame};

#[test]
fn a_decoder_is_at_most_24_bytes() {
    assert!(size_of::<Decoder>() <= 24, "{}", size_of::<Decoder>());
}

#[test]
fn whole_frames_are_delivered_from_the_read_buffer() {
    let mut read = frame(FIN | TEXT, &[b'a'; 5000]);
    let range = read.as_ptr_range();
    let mut decoder = Decoder::new();
    let Ok((_, Some(Event::Text(text)))) = decoder.decode(&mut read, LIMIT) else {
        panic!("no text");
    };
    assert!(range.contains(&text.as_ptr()));
    assert_eq!(decoder.heap_size(), 0);
}

#[test]
fn a_header_that_came_before_does_not_cost_the_copy() {
    let mut read = frame(FIN | TEXT, &[b'a'; 5000]);
    let (header, payload) = read.split_at_mut(8);
    let range = payload.as_ptr_range();
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(header, LIMIT), Ok((8, None)));
    assert_eq!(decoder.heap_size(), 0);
    let Ok((5000, Some(Event::Text(text)))) = decoder.decode(payload, LIMIT) else {
        panic!("no text");
    };
    assert!(range.contains(&text.as_ptr()));
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_promised() {
    let stream = frame(FIN | BINARY, &vec![7; 10 << 20]);
    let mut endpoint = Endpoint::new(LIMIT);
    endpoint.read(&stream[..14]);
    assert_eq!(endpoint.heap_size(), 0);
    endpoint.read(&stream[14..100]);
    assert!(endpoint.heap_size() < 400, "{}", endpoint.heap_size());
    endpoint.read(&stream[100..10_000]);
    assert!(endpoint.heap_size() < 20_400, "{}", endpoint.heap_size());
}

#[test]
fn memory_never_exceeds_the_limit() {
    let limit = 1100;
    let mut endpoint = Endpoint::new(limit);
    endpoint.read(&frame(BINARY, b"")[..]);
    for _ in 0..1099 {
        endpoint.read(&frame(CONT, b"x"));
        assert!(endpoint.heap_size() <= limit + 200);
    }
    endpoint.read(&frame(FIN | CONT, b"x"));
    assert_eq!(endpoint.seen, [binary(&[b'x'; 1100])]);
    assert_eq!(endpoint.heap_size(), 0);
}

#[test]
fn nothing_is_held_after_a_message_a_control_frame_a_close_or_an_error() {
    for stream in [
        frame(FIN | TEXT, b"Hello"),
        frame(PING, b"Hello"),
        fragments(TEXT, &[b"a", b"b"]),
        [frame(TEXT, b"a"), close_frame(1000, b"bye")].concat(),
        [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(),
        frame(TEXT, b"\xffabcdef"),
    ] {
        for sizes in [&[1][..], &[stream.len()]] {
            assert_eq!(feed(&stream, sizes, LIMIT).heap_size(), 0, "{stream:x?}");
        }
    }
}

#[test]
fn a_control_frame_in_pieces_leaves_the_message_around_it() {
    let mut endpoint = Endpoint::new(LIMIT);
    endpoint.read(&frame(TEXT, &[b'a'; 100]));
    let held = endpoint.heap_size();
    for byte in frame(PING, &[1; 125]) {
        endpoint.read(&[byte]);
    }
    assert_eq!(endpoint.heap_size(), held);
    endpoint.read(&frame(FIN | CONT, b"b"));
    assert_eq!(
        endpoint.seen.last(),
        Some(&text(&format!("{}b", "a".repeat(100))))
    );
}

#[test]
fn a_client_reads_unmasked_frames_and_refuses_masked_ones() {
    let mut read = Vec::new();
    push_frame(&mut read, Opcode::Text, "grüße".as_bytes());
    let size = read.len();
    let mut client = Decoder::for_client();
    assert_eq!(
        client.decode(&mut read, LIMIT),
        Ok((size, Some(Event::Text("grüße"))))
    );

    let (first, second) = read.split_at_mut(5);
    assert_eq!(client.decode(first, LIMIT), Ok((5, None)));
    assert_eq!(
        client.decode(second, LIMIT),
        Ok((size - 5, Some(Event::Text("grüße"))))
    );

    read.clear();
    push_masked_frame(&mut read, Opcode::Text, [1, 2, 3, 4], b"Hello");
    assert_eq!(
        client.decode(&mut read, LIMIT).map_err(|error| error.code),
        Err(1002)
    );
}
