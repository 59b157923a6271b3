//! Group 7: the closing handshake.

use crate::peer::*;

fn close(code: u16, reason: &str) -> Seen {
    Seen::Close(Some(code), reason.to_owned())
}

#[test]
fn a_close_ends_the_dialogue_whatever_follows() {
    let closing = close_frame(1000, b"");
    for after in [
        closing.clone(),
        frame(PING, b"ping"),
        frame(FIN | TEXT, b"Hello"),
        frame(FIN | TEXT, b"\xff"),
        vec![0xff; 40],
    ] {
        let stream = [frame(FIN | TEXT, b"before"), closing.clone(), after].concat();
        let endpoint = expect(&stream, &[text("before"), close(1000, "")]);
        assert_eq!(endpoint.sent, b"\x81\x06before\x88\x02\x03\xe8");
    }
}

#[test]
fn a_close_inside_a_message_discards_it() {
    let stream = [
        frame(TEXT, b"fragment1"),
        close_frame(1000, b""),
        frame(FIN | CONT, b"fragment2"),
    ];
    expect(&stream.concat(), &[close(1000, "")]);
}

#[test]
fn group_7_1_6_a_close_behind_a_big_message() {
    let payload = "BAsd7&jh23".repeat(26214);
    let stream = [
        frame(FIN | TEXT, payload.as_bytes()),
        close_frame(1000, b""),
        frame(PING, b""),
    ];
    expect(&stream.concat(), &[text(&payload), close(1000, "")]);
}

#[test]
fn group_7_3_payloads_of_every_length() {
    let endpoint = expect(&frame(CLOSE, b""), &[Seen::Close(None, String::new())]);
    assert_eq!(endpoint.sent, b"\x88\x02\x03\xe8");
    expect(&frame(CLOSE, b"a"), &[Seen::Refused(1002)]);
    expect(&close_frame(1000, b""), &[close(1000, "")]);
    expect(
        &close_frame(1000, b"Hello W\xc3\xb6rld"),
        &[close(1000, "Hello Wörld")],
    );
    let longest = "*".repeat(123);
    expect(
        &close_frame(1000, longest.as_bytes()),
        &[close(1000, &longest)],
    );
    expect(&close_frame(1000, &[b'*'; 124]), &[Seen::Refused(1002)]);
}

#[test]
fn group_7_5_a_reason_must_be_text() {
    expect(
        &close_frame(1000, "κόσμε\u{ffff}".as_bytes()),
        &[close(1000, "κόσμε\u{ffff}")],
    );
    expect(
        &close_frame(1000, b"\xce\xba\xed\xa0\x80edited"),
        &[Seen::Refused(1007)],
    );
    expect(&close_frame(1000, b"\xce"), &[Seen::Refused(1007)]);
}

#[test]
fn group_7_7_valid_codes_are_echoed() {
    let mut valid = vec![1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011];
    valid.extend([1012, 1013, 1014, 3000, 3999, 4000, 4999]);
    for code in valid {
        let endpoint = expect(&close_frame(code, b""), &[close(code, "")]);
        let [high, low] = code.to_be_bytes();
        assert_eq!(endpoint.sent, [0x88, 2, high, low]);
    }
}

#[test]
fn group_7_9_and_7_13_invalid_codes_are_refused() {
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        let endpoint = expect(&close_frame(code, b"why"), &[Seen::Refused(1002)]);
        assert_eq!(endpoint.sent[2..4], 1002_u16.to_be_bytes());
    }
}
