//! Groups 1 to 5 and 9: sizes, pings, reserved bits and opcodes, fragments, however they arrive.

use super::{ECHO, close, dialogue, echo_host, failure, more, text};
use sschat_tests::raw::opcode::{BINARY, CONTINUATION, PING, PONG, TEXT};
use sschat_tests::{Frame, RawSocket};

/// Groups 1 and 9: every length at which the head changes, and big ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size() {
    // The echo takes more than the limit for messages of users.
    let host = echo_host().await;
    let sizes = [
        0,
        1,
        124,
        125,
        126,
        127,
        128,
        129,
        65_534,
        65_535,
        65_536,
        65_537,
        1 << 20,
        16 << 20,
    ];
    let mut raw = RawSocket::open(&host, ECHO).await;
    for kind in [TEXT, BINARY] {
        for size in sizes {
            let payload = if kind == TEXT {
                vec![b'*'; size]
            } else {
                (0..size).map(|at| at as u8).collect()
            };
            let frame = Frame::new(kind, payload);
            raw.send(frame.clone()).await;
            assert!(raw.expect().await == frame, "{size} bytes of opcode {kind}");
        }
    }
    // In fragments of many sizes.
    for (total, part) in [
        (1_000, 1),
        (65_536, 64),
        (1 << 20, 4_096),
        (4 << 20, 1 << 20),
    ] {
        for at in 0..total / part {
            let frame = Frame::new(if at == 0 { BINARY } else { CONTINUATION }, vec![7; part]);
            raw.send(if at + 1 < total / part {
                frame.unfinished()
            } else {
                frame
            })
            .await;
        }
        assert!(
            raw.expect().await == Frame::new(BINARY, vec![7; total]),
            "{total} in parts of {part}"
        );
    }
    close(&mut raw).await;
}

/// Group 1 again: a network that delivers bytes one at a time.
#[tokio::test]
async fn chopped_writes() {
    let host = echo_host().await;
    let mut raw = RawSocket::open(&host, ECHO).await;
    for size in [0, 125, 126, 1_000] {
        let frame = text("é".repeat(size / 2));
        raw.write_chopped(&frame.masked()).await;
        assert_eq!(raw.expect().await, frame);
    }
    // A fragmented message with a ping inside, all in one write, then in pieces of 7.
    let parts = [
        text("ab").unfinished(),
        Frame::new(PING, "?"),
        more("cd").unfinished(),
        more("ef"),
        text("next"),
    ];
    let bytes: Vec<u8> = parts.iter().flat_map(Frame::masked).collect();
    for piece in [bytes.len(), 7, 1] {
        for part in bytes.chunks(piece) {
            raw.write(part).await;
        }
        for expected in [Frame::new(PONG, "?"), text("abcdef"), text("next")] {
            assert_eq!(raw.expect().await, expected);
        }
    }
    close(&mut raw).await;
    let mut raw = RawSocket::dial(&host).await;
    raw.write_chopped(RawSocket::handshake(&host, ECHO, "").as_bytes())
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    // Sent with the handshake, without waiting for its answer.
    let mut raw = RawSocket::dial(&host).await;
    let eager = [
        RawSocket::handshake(&host, ECHO, "").into_bytes(),
        text("eager").masked(),
    ]
    .concat();
    raw.write(&eager).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.expect().await, text("eager"));
}

/// Group 2: pings and pongs.
#[tokio::test]
async fn pings_and_pongs() {
    let host = echo_host().await;
    for payload in [&b""[..], b"Hello", b"\x00\xff\xfe\xfd", &[b'*'; 125]] {
        dialogue(
            &host,
            &[Frame::new(PING, payload)],
            &[Frame::new(PONG, payload)],
        )
        .await;
    }
    failure(&host, &[Frame::new(PING, vec![b'*'; 126])], &[], 1002).await;
    // Pongs that nobody asked for are passed over.
    dialogue(
        &host,
        &[
            Frame::new(PONG, "x"),
            Frame::new(PONG, ""),
            Frame::new(PING, "y"),
        ],
        &[Frame::new(PONG, "y")],
    )
    .await;
    let pings: Vec<_> = (0..10).map(|at| Frame::new(PING, vec![at])).collect();
    let pongs: Vec<_> = (0..10).map(|at| Frame::new(PONG, vec![at])).collect();
    dialogue(&host, &pings, &pongs).await;
}

/// Group 3: reserved bits.
#[tokio::test]
async fn reserved_bits() {
    let host = echo_host().await;
    for bits in 1..=7 {
        let bad = text("bad").with_reserved(bits);
        failure(
            &host,
            &[text("good"), bad, Frame::new(PING, "")],
            &[text("good")],
            1002,
        )
        .await;
    }
    failure(&host, &[Frame::new(PING, "").with_reserved(4)], &[], 1002).await;
    failure(&host, &[Frame::close(1000, "").with_reserved(1)], &[], 1002).await;
}

/// Group 4: reserved opcodes.
#[tokio::test]
async fn reserved_opcodes() {
    let host = echo_host().await;
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        failure(&host, &[Frame::new(opcode, "")], &[], 1002).await;
        failure(
            &host,
            &[text("good"), Frame::new(opcode, "x"), Frame::new(PING, "")],
            &[text("good")],
            1002,
        )
        .await;
    }
}

/// Group 5: fragmentation.
#[tokio::test]
async fn fragmentation() {
    let host = echo_host().await;
    failure(
        &host,
        &[Frame::new(PING, "a").unfinished(), more("b")],
        &[],
        1002,
    )
    .await;
    failure(
        &host,
        &[Frame::new(PONG, "a").unfinished(), more("b")],
        &[],
        1002,
    )
    .await;
    dialogue(
        &host,
        &[text("one").unfinished(), more("two")],
        &[text("onetwo")],
    )
    .await;
    dialogue(
        &host,
        &[text("one").unfinished(), Frame::new(PING, "p"), more("two")],
        &[Frame::new(PONG, "p"), text("onetwo")],
    )
    .await;
    dialogue(
        &host,
        &[text("").unfinished(), more("").unfinished(), more("")],
        &[text("")],
    )
    .await;
    // A continuation of nothing, whether or not it says that it is the last.
    failure(&host, &[more("x")], &[], 1002).await;
    failure(&host, &[more("x").unfinished()], &[], 1002).await;
    failure(
        &host,
        &[text("a").unfinished(), more("b"), more("c")],
        &[text("ab")],
        1002,
    )
    .await;
    // A new message within another.
    failure(&host, &[text("a").unfinished(), text("b")], &[], 1002).await;
    failure(
        &host,
        &[text("a").unfinished(), Frame::new(BINARY, "b")],
        &[],
        1002,
    )
    .await;
    let five = [
        text("f1").unfinished(),
        more("f2").unfinished(),
        Frame::new(PING, "1"),
        more("f3").unfinished(),
        more("f4").unfinished(),
        Frame::new(PING, "2"),
        more("f5"),
    ];
    dialogue(
        &host,
        &five,
        &[
            Frame::new(PONG, "1"),
            Frame::new(PONG, "2"),
            text("f1f2f3f4f5"),
        ],
    )
    .await;
}
