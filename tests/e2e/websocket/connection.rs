//! Before the first frame, and between frames: handshakes, origins, silence.

use super::{ECHO, echo_host, text};
use sschat_tests::raw::opcode::{PING, PONG};
use sschat_tests::{Frame, Host, Options, RawSocket};

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
