//! Group 5: fragmentation, with control frames in between.

use crate::peer::*;

const REFUSED: Seen = Seen::Refused(1002);

#[test]
fn control_frames_may_not_be_fragmented() {
    for opcode in [PING, PONG, CLOSE] {
        let stream = [frame(opcode & !FIN, b"first"), frame(FIN | CONT, b"second")].concat();
        expect(&stream, &[REFUSED]);
        assert_eq!(failed_after(&stream), Some(1));
    }
}

#[test]
fn fragments_make_one_message() {
    expect(
        &fragments(TEXT, &[b"fragment1", b"fragment2"]),
        &[text("fragment1fragment2")],
    );
    expect(
        &fragments(BINARY, &[b"\xff", b"", b"\xfe"]),
        &[binary(b"\xff\xfe")],
    );
    expect(&fragments(TEXT, &[b"", b"", b""]), &[text("")]);
    let bytewise: Vec<_> = b"fragments of a byte each".chunks(1).collect();
    expect(
        &fragments(TEXT, &bytewise),
        &[text("fragments of a byte each")],
    );
}

#[test]
fn control_frames_between_fragments_come_first() {
    let stream = [
        frame(TEXT, b"fragment1"),
        frame(PING, b"ping"),
        frame(PONG, b""),
        frame(FIN | CONT, b"fragment2"),
    ];
    let expected = [ping(b"ping"), pong(b""), text("fragment1fragment2")];
    let endpoint = expect(&stream.concat(), &expected);
    assert_eq!(endpoint.sent, b"\x8a\x04ping\x81\x12fragment1fragment2");

    let stream = [
        frame(TEXT, b"1"),
        frame(CONT, b"2"),
        frame(PING, b"A"),
        frame(CONT, b"3"),
        frame(CONT, b"4"),
        frame(PING, &[b'B'; 125]),
        frame(FIN | CONT, b"5"),
        frame(FIN | TEXT, b"6"),
    ];
    let expected = [ping(b"A"), ping(&[b'B'; 125]), text("12345"), text("6")];
    expect(&stream.concat(), &expected);
}

#[test]
fn a_continuation_needs_a_message_to_continue() {
    for fin in [0, FIN] {
        let stray = frame(fin | CONT, b"nothing to continue");
        expect(
            &[stray.clone(), frame(FIN | TEXT, b"Hello")].concat(),
            &[REFUSED],
        );
        assert_eq!(failed_after(&stray), Some(1));

        let after_message = [fragments(TEXT, &[b"a", b"b"]), stray].concat();
        expect(&after_message, &[text("ab"), REFUSED]);
    }
}

#[test]
fn a_message_may_not_begin_inside_another() {
    for opcode in [TEXT, BINARY] {
        for fin in [0, FIN] {
            let stream = [frame(TEXT, b"fragment1"), frame(fin | opcode, b"fragment2")].concat();
            expect(&stream, &[REFUSED]);
            assert_eq!(failed_after(&stream), Some(6 + 9 + 1));
        }
    }
}

#[test]
fn messages_that_follow_each_other_do_not_mix() {
    let stream = [
        fragments(BINARY, &[b"\xff", b"\xc0"]),
        fragments(TEXT, &["€".as_bytes(), b"1"]),
        frame(FIN | BINARY, b"\x80"),
        fragments(TEXT, &[&"€".as_bytes()[..1], &"€".as_bytes()[1..]]),
    ];
    let expected = [binary(b"\xff\xc0"), text("€1"), binary(b"\x80"), text("€")];
    expect(&stream.concat(), &expected);
}
