//! The events of a stream do not depend on how the network cut it, and no stream makes the decoder panic.

use proptest::prelude::*;

use crate::peer::*;

/// Frames that are mostly legal, so that streams get somewhere before they fail.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![FIN | TEXT, FIN | BINARY, FIN | CONT, CONT, TEXT, BINARY]),
        4 => prop::sample::select(vec![PING, PONG]),
        1 => Just(CLOSE),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => "[a-z€ß𝄞]{0,40}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (1000u16..1016, "[a-zé]{0,20}")
            .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
        1 => Just(vec![b'a'; 70_000]),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

/// A valid dialogue: texts cut into fragments anywhere, with pings in between, and what they should give.
fn dialogue() -> impl Strategy<Value = (Vec<u8>, Vec<Seen>)> {
    let message = ("[a-z€ß𝄞\"]{0,60}", prop::collection::vec(0usize..40, 0..5));
    prop::collection::vec(message, 1..6).prop_map(|messages| {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (message, cuts) in messages {
            let mut rest = message.as_bytes();
            let mut first = TEXT;
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                stream.extend(frame(first, piece));
                stream.extend(frame(PING, piece));
                expected.push(ping(piece));
                (first, rest) = (CONT, after);
            }
            stream.extend(frame(FIN | first, rest));
            expected.push(Seen::Text(message));
        }
        (stream, expected)
    })
}

proptest! {
    #[test]
    fn any_frames_give_the_same_events_for_every_cut(
        frames in prop::collection::vec(any_frame(), 1..8),
        sizes in prop::collection::vec(1usize..100, 1..20),
    ) {
        let stream = frames.concat();
        let whole = feed(&stream, &[stream.len()], 100_000);
        let bytewise = feed(&stream, &[1], 100_000);
        let cut = feed(&stream, &sizes, 100_000);
        prop_assert_eq!(&whole.seen, &bytewise.seen);
        prop_assert_eq!(&whole.seen, &cut.seen);
        prop_assert_eq!(&whole.sent, &cut.sent);
        if let (Some(earliest), Some(found)) = (bytewise.failed_after, cut.failed_after) {
            prop_assert!(earliest <= found && found < earliest + 100);
        }
    }

    #[test]
    fn legal_dialogues_are_understood_for_every_cut(
        (stream, expected) in dialogue(),
        sizes in prop::collection::vec(1usize..50, 1..20),
    ) {
        for sizes in [&[stream.len()][..], &[1], &sizes] {
            prop_assert_eq!(&feed(&stream, sizes, LIMIT).seen, &expected);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_depend_on_cuts(
        stream in prop::collection::vec(any::<u8>(), 1..400),
        sizes in prop::collection::vec(1usize..50, 1..10),
        limit in 0usize..300,
    ) {
        let whole = feed(&stream, &[stream.len()], limit);
        prop_assert_eq!(&whole.seen, &feed(&stream, &[1], limit).seen);
        prop_assert_eq!(&whole.seen, &feed(&stream, &sizes, limit).seen);
        prop_assert!(whole.heap_size() <= limit + 125 + 200);
    }
}
