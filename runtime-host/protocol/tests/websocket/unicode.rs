//! Group 6: UTF-8, valid and not, with failure at the first byte that shows it.

use crate::peer::*;

const REFUSED: Seen = Seen::Refused(1007);
const KOSME: &str = "κόσμε";

/// The suite's sequences that are text: boundaries of each length, the neighbors of the surrogates, noncharacters.
const VALID: [&[u8]; 22] = [
    b"",
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf0\xaf\xbf\xbe",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\xc2\xa2\xe2\x82\xac\xf0\x9f\x98\x80",
    b"\xe2\x80\xa8",
];

/// The suite's sequences that are not text, each with the number of bytes after which that is certain, if it is so
/// before the text ends.
const INVALID: [(&[u8], Option<usize>); 47] = [
    // Five and six byte forms, and beyond U+10FFFF.
    (b"\xf8\x88\x80\x80\x80", Some(1)),
    (b"\xfc\x84\x80\x80\x80\x80", Some(1)),
    (b"\xf7\xbf\xbf\xbf", Some(1)),
    (b"\xfb\xbf\xbf\xbf\xbf", Some(1)),
    (b"\xfd\xbf\xbf\xbf\xbf\xbf", Some(1)),
    (b"\xf4\x90\x80\x80", Some(2)),
    // Unexpected continuation bytes.
    (b"\x80", Some(1)),
    (b"\xbf", Some(1)),
    (b"\x80\xbf\x80\xbf\x80\xbf", Some(1)),
    // Lonely start bytes.
    (b"\xc0 \xc1 ", Some(1)),
    (b"\xc2 \xc3 ", Some(2)),
    (b"\xe0 \xe1 ", Some(2)),
    (b"\xf0 \xf1 ", Some(2)),
    (b"\xf8 \xf9 ", Some(1)),
    (b"\xfc ", Some(1)),
    // The last continuation byte missing.
    (b"\xc0", Some(1)),
    (b"\xc2", None),
    (b"\xe0\x80", Some(2)),
    (b"\xe0\xa0", None),
    (b"\xf0\x80\x80", Some(2)),
    (b"\xf0\x90\x80", None),
    (b"\xdf", None),
    (b"\xef\xbf", None),
    (b"\xf7\xbf\xbf", Some(1)),
    (b"\xf4\x8f\xbf", None),
    // Bytes that never occur.
    (b"\xfe", Some(1)),
    (b"\xff", Some(1)),
    (b"\xfe\xfe\xff\xff", Some(1)),
    // Overlong forms, shortest and longest, and of NUL.
    (b"\xc0\xaf", Some(1)),
    (b"\xe0\x80\xaf", Some(2)),
    (b"\xf0\x80\x80\xaf", Some(2)),
    (b"\xf8\x80\x80\x80\xaf", Some(1)),
    (b"\xfc\x80\x80\x80\x80\xaf", Some(1)),
    (b"\xc1\xbf", Some(1)),
    (b"\xe0\x9f\xbf", Some(2)),
    (b"\xf0\x8f\xbf\xbf", Some(2)),
    (b"\xc0\x80", Some(1)),
    (b"\xe0\x80\x80", Some(2)),
    // Surrogates, single and in pairs.
    (b"\xed\xa0\x80", Some(2)),
    (b"\xed\xad\xbf", Some(2)),
    (b"\xed\xae\x80", Some(2)),
    (b"\xed\xaf\xbf", Some(2)),
    (b"\xed\xb0\x80", Some(2)),
    (b"\xed\xbe\x80", Some(2)),
    (b"\xed\xbf\xbf", Some(2)),
    (b"\xed\xa0\x80\xed\xb0\x80", Some(2)),
    (b"\xed\xaf\xbf\xed\xbf\xbf", Some(2)),
];

/// The text as one frame, and as a frame for every byte.
fn as_frame_and_bytewise(bytes: &[u8]) -> [Vec<u8>; 2] {
    let mut pieces: Vec<_> = bytes.chunks(1).collect();
    pieces.push(b"");
    [frame(FIN | TEXT, bytes), fragments(TEXT, &pieces)]
}

#[test]
fn empty_messages_are_text() {
    expect(&frame(FIN | TEXT, b""), &[text("")]);
    expect(&fragments(TEXT, &[b"", b"middle", b""]), &[text("middle")]);
}

#[test]
fn valid_sequences_are_echoed_in_any_fragments() {
    for bytes in VALID {
        let message = Seen::Text(str::from_utf8(bytes).unwrap().to_owned());
        for stream in as_frame_and_bytewise(bytes) {
            expect(&stream, std::slice::from_ref(&message));
        }
    }
}

#[test]
fn invalid_sequences_are_refused_at_the_first_hopeless_byte() {
    for (bytes, certain_after) in INVALID {
        for before in ["", KOSME] {
            let message = [before.as_bytes(), bytes].concat();
            for stream in as_frame_and_bytewise(&message) {
                expect(&stream, &[REFUSED]);
            }
            // With more to come, only the bytes themselves can tell.
            let promised = [&message[..], b"edited", &[b'.'; 90]].concat();
            if let Some(count) = certain_after {
                let failed = failed_after(&frame(FIN | TEXT, &promised));
                assert_eq!(failed, Some(6 + before.len() + count), "{bytes:x?}");
            }
        }
    }
}

#[test]
fn every_beginning_of_a_text_is_refused_only_where_it_cuts_a_character() {
    for end in 0..=KOSME.len() {
        let bytes = &KOSME.as_bytes()[..end];
        let expected = match str::from_utf8(bytes) {
            Ok(beginning) => text(beginning),
            Err(_) => REFUSED,
        };
        for stream in as_frame_and_bytewise(bytes) {
            expect(&stream, std::slice::from_ref(&expected));
        }
    }
}

#[test]
fn group_6_4_failure_does_not_wait_for_the_rest() {
    let parts = [KOSME.as_bytes(), b"\xf4\x90\x80\x80", b"edited"];
    let header = 6;

    // In fragments: the second byte of the second frame is the first that is wrong.
    let stream = fragments(TEXT, &parts);
    expect(&stream, &[REFUSED]);
    assert_eq!(
        failed_after(&stream),
        Some(header + parts[0].len() + header + 2)
    );

    // Inside one frame that is only partly there.
    let stream = frame(FIN | TEXT, &parts.concat());
    assert_eq!(failed_after(&stream), Some(header + parts[0].len() + 2));
    let mut endpoint = Endpoint::new(LIMIT);
    endpoint.read(&stream[..header + parts[0].len() + 1]);
    assert_eq!(endpoint.seen, []);
    endpoint.read(&stream[header + parts[0].len() + 1..][..1]);
    assert_eq!(endpoint.seen, [REFUSED]);
}

#[test]
fn binary_messages_may_be_anything() {
    for (bytes, _) in INVALID {
        let mut pieces: Vec<_> = bytes.chunks(1).collect();
        pieces.push(b"");
        expect(&frame(FIN | BINARY, bytes), &[binary(bytes)]);
        expect(&fragments(BINARY, &pieces), &[binary(bytes)]);
    }
}
