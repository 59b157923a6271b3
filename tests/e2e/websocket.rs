//! RFC 6455 on `/websocket/echo`, in the spirit of Autobahn's groups 1 to 10.

use sschat_tests::raw::opcode::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use sschat_tests::{Frame, Host, Options, RawSocket};

const ECHO: &str = "/websocket/echo";

async fn echo_host() -> Host {
    Host::start(Options::new().arg("--debug-endpoints")).await
}

/// Sends frames, then expects exactly these back.
async fn dialogue(host: &Host, sent: &[Frame], expected: &[Frame]) {
    let mut raw = RawSocket::open(host, ECHO).await;
    for frame in sent {
        raw.send(frame.clone()).await;
    }
    for frame in expected {
        assert_eq!(raw.expect().await, *frame, "in answer to {sent:?}");
    }
    close(&mut raw).await;
}

/// Sends frames, then expects `echoed` and a close with `code`.
async fn failure(host: &Host, sent: &[Frame], echoed: &[Frame], code: u16) {
    let bytes: Vec<u8> = sent.iter().flat_map(Frame::masked).collect();
    failure_of(host, &bytes, echoed, code).await;
}

async fn failure_of(host: &Host, bytes: &[u8], echoed: &[Frame], code: u16) {
    let mut raw = RawSocket::open(host, ECHO).await;
    // The host may have hung up before all of it is sent.
    let _ = raw.try_write(bytes).await;
    for frame in echoed {
        assert_eq!(raw.expect().await, *frame);
    }
    let shown = &bytes[..bytes.len().min(32)];
    assert_eq!(raw.closed().await, code, "in answer to {shown:02x?}");
}

/// Closes in good order; nothing else may come first.
async fn close(raw: &mut RawSocket) {
    raw.send(Frame::close(1000, "")).await;
    assert_eq!(raw.expect().await.close_code(), 1000);
    assert_eq!(raw.next().await, None, "the host hangs up first");
}

fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload)
}

fn more(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(CONTINUATION, payload)
}

/// Groups 1 and 9: every length at which the head changes, and big ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size() {
    let host = Host::start(
        Options::new()
            .arg("--debug-endpoints")
            .arg("--message-limit")
            .arg("16MiB"),
    )
    .await;
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

#[tokio::test]
async fn handshakes() {
    let host = echo_host().await;
    let good = RawSocket::handshake(&host, ECHO, "");
    let cases = [
        (
            "no key",
            good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            "400",
        ),
        (
            "a short key",
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            "400",
        ),
        (
            "no version",
            good.replace("Sec-WebSocket-Version: 13\r\n", ""),
            "400",
        ),
        (
            "an old version",
            good.replace("Version: 13", "Version: 8"),
            "426",
        ),
        (
            "no upgrade",
            good.replace("Upgrade: websocket\r\n", ""),
            "426",
        ),
        (
            "no connection",
            good.replace("Connection: Upgrade\r\n", ""),
            "400",
        ),
        ("POST", good.replace("GET ", "POST "), "405"),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0"), "400"),
        (
            "no host",
            good.replace(&format!("Host: {}\r\n", host.address()), ""),
            "400",
        ),
    ];
    for (what, request, status) in cases {
        let mut raw = RawSocket::dial(&host).await;
        raw.write(request.as_bytes()).await;
        let head = raw.head().await;
        assert!(head.contains(&format!(" {status} ")), "{what}: {head}");
        if status == "426" {
            assert!(
                head.to_lowercase().contains("sec-websocket-version: 13"),
                "{what}: {head}"
            );
        }
    }
    // Tokens in any case and amid others, as proxies and old browsers send them.
    let odd = good
        .replace("Upgrade: websocket", "upgrade: WebSocket")
        .replace("Connection: Upgrade", "Connection: keep-alive, upgrade");
    let mut raw = RawSocket::dial(&host).await;
    raw.write(odd.as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    raw.send(text("hi")).await;
    assert_eq!(raw.expect().await, text("hi"));

    let plain = Host::plain().await;
    let mut raw = RawSocket::dial(&plain).await;
    raw.write(RawSocket::handshake(&plain, ECHO, "").as_bytes())
        .await;
    assert!(
        raw.head().await.starts_with("HTTP/1.1 404 "),
        "the echo is for --debug-endpoints alone"
    );
}

#[tokio::test]
async fn origins() {
    async fn status(host: &Host, origin: &str) -> u16 {
        let mut raw = RawSocket::dial(host).await;
        let more = if origin.is_empty() {
            String::new()
        } else {
            format!("Origin: {origin}\r\n")
        };
        raw.write(RawSocket::handshake(host, sschat_tests::chat::POLLING, &more).as_bytes())
            .await;
        raw.head().await.split(' ').nth(1).unwrap().parse().unwrap()
    }
    let host = Host::plain().await;
    let own = format!("http://{}", host.address());
    let port = host.address().port();
    // Programs send none; browsers always do.
    assert_eq!(status(&host, "").await, 101);
    assert_eq!(status(&host, &own).await, 101);
    let others = [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        &format!("http://127.0.0.1:{port}.evil.example"),
        &format!("http://evil.example#{own}"),
    ];
    for other in others {
        assert_eq!(status(&host, other).await, 403, "{other}");
    }
    let listed = Host::start(
        Options::new()
            .arg("--allow-origin")
            .arg("https://app.example"),
    )
    .await;
    assert_eq!(status(&listed, "https://app.example").await, 101);
    for other in [
        "https://app.example.evil.example",
        "http://app.example",
        "https://other.example",
    ] {
        assert_eq!(status(&listed, other).await, 403, "{other}");
    }
    let any = Host::start(Options::new().arg("--allow-origin").arg("*")).await;
    assert_eq!(status(&any, "https://anywhere.example").await, 101);
}

#[tokio::test]
async fn silence() {
    let options = Options::new()
        .arg("--ping-interval")
        .arg("200ms")
        .arg("--idle-timeout")
        .arg("2s");
    let host = Host::start(options.arg("--debug-endpoints")).await;
    // One that answers pings stays, beyond the idle time-out.
    let mut alive = RawSocket::open(&host, ECHO).await;
    let mut silent = RawSocket::open(&host, ECHO).await;
    let started = std::time::Instant::now();
    while started.elapsed().as_millis() < 3_000 {
        let frame = alive.next().await.expect("one that answers is not closed");
        assert_eq!(frame.opcode, PING, "{frame:?}");
        alive.send(Frame::new(PONG, frame.payload)).await;
    }
    alive.send(text("here")).await;
    assert_eq!(alive.expect().await, text("here"));
    // One that does not is closed.
    assert_eq!(silent.expect().await.close_code(), 3012);
}
