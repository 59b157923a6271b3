//! Groups 6 and 7: text is UTF-8, and how a connection ends.

use super::{ECHO, close, dialogue, echo_host, failure, failure_of, more, text};
use sschat_tests::raw::opcode::{BINARY, CLOSE, PING, TEXT};
use sschat_tests::{Frame, RawSocket};

/// Group 6: text is UTF-8, over the borders of fragments too, and what can't become UTF-8
/// any more is refused without waiting for the rest.
#[tokio::test]
async fn utf_8() {
    let host = echo_host().await;
    let good = [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\u{0}",
        "\u{7f}\u{80}\u{7ff}\u{800}",
        "\u{d7ff}\u{e000}\u{fffd}\u{ffff}",
        "\u{10000}\u{10ffff}",
        "\u{feff}",
    ];
    for message in good {
        dialogue(&host, &[text(message)], &[text(message)]).await;
        // Cut after every byte.
        let bytes = message.as_bytes();
        let mut parts: Vec<Frame> = bytes
            .iter()
            .map(|byte| more([*byte]).unfinished())
            .collect();
        parts[0].opcode = TEXT;
        parts.push(more(""));
        dialogue(&host, &parts, &[text(message)]).await;
    }
    let bad: [&[u8]; 16] = [
        b"\xce\xba\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xfe",
        b"\xff",
        b"\xf8\x88\x80\x80\x80",
        b"cut \xe2\x82",
    ];
    for payload in bad {
        failure(&host, &[text(payload)], &[], 1007).await;
        failure(
            &host,
            &[text(&b"fine "[..]).unfinished(), more(payload)],
            &[],
            1007,
        )
        .await;
    }
    // The message is not finished, but it is lost already.
    failure(
        &host,
        &[text(&b"\xce\xba\xf4\x90\x80"[..]).unfinished()],
        &[],
        1007,
    )
    .await;
    let frame = text(&b"good \xf4\x90 and a long rest that never comes"[..]).masked();
    failure_of(&host, &frame[..13], &[], 1007).await;
    // Bytes are bytes.
    dialogue(
        &host,
        &[Frame::new(BINARY, &b"\xff\xfe\x80"[..])],
        &[Frame::new(BINARY, &b"\xff\xfe\x80"[..])],
    )
    .await;
}

/// Group 7: closing.
#[tokio::test]
async fn closing() {
    let host = echo_host().await;
    // Nothing that comes after a close is read.
    let mut raw = RawSocket::open(&host, ECHO).await;
    raw.send(Frame::close(1000, "done")).await;
    let _ = raw
        .try_write(&[text("late").masked(), Frame::new(PING, "").masked()].concat())
        .await;
    assert_eq!(raw.expect().await.close_code(), 1000);
    assert_eq!(raw.next().await, None);

    let allowed = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    for code in allowed {
        let mut raw = RawSocket::open(&host, ECHO).await;
        raw.send(Frame::close(code, "a reason: κόσμε")).await;
        assert_eq!(raw.expect().await.close_code(), code);
        assert_eq!(raw.next().await, None);
    }
    let mut raw = RawSocket::open(&host, ECHO).await;
    raw.send(Frame::new(CLOSE, "")).await;
    let answer = raw.expect().await;
    assert!(matches!(answer.close_code(), 1000 | 1005), "{answer:?}");

    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        failure(&host, &[Frame::close(code, "")], &[], 1002).await;
    }
    failure(&host, &[Frame::new(CLOSE, "x")], &[], 1002).await;
    failure(&host, &[Frame::close(1000, &"x".repeat(124))], &[], 1002).await;
    dialogue(&host, &[], &[]).await;
    let longest = "x".repeat(123);
    let mut raw = RawSocket::open(&host, ECHO).await;
    raw.send(Frame::close(1000, &longest)).await;
    assert_eq!(raw.expect().await.close_code(), 1000);
    // A reason is text as well.
    let not_text = Frame::new(
        CLOSE,
        [&1000_u16.to_be_bytes()[..], b"\xce\xba\xed\xa0\x80"].concat(),
    );
    let mut raw = RawSocket::open(&host, ECHO).await;
    raw.send(not_text).await;
    assert_eq!(raw.expect().await.close_code(), 1007);
    // Amid a message.
    let mut raw = RawSocket::open(&host, ECHO).await;
    raw.send(text("unfin").unfinished()).await;
    close(&mut raw).await;
}

#[tokio::test]
async fn masks_and_lengths() {
    let host = echo_host().await;
    for frame in [text("x"), Frame::new(PING, ""), Frame::close(1000, "")] {
        failure_of(&host, &frame.unmasked(), &[], 1002).await;
    }
    // A length of 64 bits with its highest set, refused at the head.
    failure_of(&host, &[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], &[], 1002).await;
}
