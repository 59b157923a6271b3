//! Connections that break the rules, stall or never read, and requests that are none.

use super::Bystanders;
use serde_json::json;
use sschat_tests::chat::POLLING;
use sschat_tests::raw::opcode;
use sschat_tests::{Frame, Host, Options, RawSocket, within};

#[tokio::test]
async fn frames_that_break_the_rules() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let cases = [
        (
            "a binary message",
            Frame::new(opcode::BINARY, "{}").masked(),
            1003,
        ),
        (
            "invalid UTF-8",
            Frame::new(opcode::TEXT, b"\xC3\x28".to_vec()).masked(),
            1007,
        ),
        (
            "an unmasked frame",
            Frame::new(opcode::TEXT, "{}").unmasked(),
            1002,
        ),
        (
            "a reserved bit",
            Frame::new(opcode::TEXT, "{}").with_reserved(4).masked(),
            1002,
        ),
        ("a reserved opcode", Frame::new(3, "").masked(), 1002),
        (
            "HTTP after the handshake",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            1002,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut raw = RawSocket::open(&host, POLLING).await;
        raw.write(&bytes).await;
        assert_eq!(raw.expect().await.close_code(), code, "{what}");
        others.still_talk().await;
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends() {
    let host = Host::start(Options::new().arg("--handshake-timeout").arg("500ms")).await;
    let mut others = Bystanders::meet(&host).await;
    let head = RawSocket::handshake(&host, POLLING, "");
    for part in ["", "G", "GET / HT", &head[..head.len() - 2]] {
        let mut raw = RawSocket::dial(&host).await;
        raw.write(part.as_bytes()).await;
        let answer = raw.rest().await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
            "{part:?}: {answer}"
        );
    }
    others.still_talk().await;
    // One that drips a header line at a time ends at the same time.
    let mut raw = RawSocket::dial(&host).await;
    raw.write(&head.as_bytes()[..head.len() - 2]).await;
    let started = std::time::Instant::now();
    while raw.try_write(b"X-More: 1\r\n").await.is_ok() {
        assert!(
            started.elapsed().as_secs() < 10,
            "a handshake goes on for ever"
        );
        tokio::task::yield_now().await;
    }
    others.still_talk().await;
}

#[tokio::test]
async fn heads_that_are_no_http() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(2 << 20)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "A: b\r\n".repeat(10_000)
    );
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        huge.as_bytes(),
        many.as_bytes(),
    ] {
        let mut raw = RawSocket::dial(&host).await;
        // The host may hang up before it has read all.
        let _ = raw.try_write(bytes).await;
        let answer = raw.rest().await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    others.still_talk().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_reads() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let deaf = others.app.user().await;
    others.app.add(&others.room, &deaf).await;
    let mut raw = RawSocket::open(&host, POLLING).await;
    raw.send(Frame::new(
        opcode::TEXT,
        json!({"command": "login", "user": deaf}).to_string(),
    ))
    .await;
    raw.expect().await;
    others.a.presence(&deaf, "online").await;

    let before = host.resident();
    let (room, alice) = (others.room.clone(), others.alice.clone());
    let text = "x".repeat(60_000);
    let (mut said, mut heard) = (0_u64, 0_u64);
    let offline = json!({"type": "presense", "data": "offline", "from": deaf});
    // Until the others are told that it is gone; each of them hears all in order meanwhile.
    within("the deaf connection is closed", async {
        loop {
            others.a.say(&room, format!("{said} {text}")).await;
            said += 1;
            let frame = others.b.next().await;
            if frame == offline {
                return;
            }
            if frame["type"] == "message" {
                let data = frame["data"].as_str().unwrap();
                assert!(
                    data.starts_with(&format!("{heard} ")),
                    "{data:.20} after {heard} others"
                );
                heard += 1;
            }
            assert!(
                said < 20_000,
                "more than a gigabyte is queued for a connection that never reads"
            );
        }
    })
    .await;
    let grown = host.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "the host grew by {grown} bytes");
    others.a.say(&room, "after").await;
    let after = others
        .b
        .until("the message after", |frame| frame["data"] == "after")
        .await;
    assert_eq!(after["from"], alice.as_str());
    // What it does read now ends with the reason.
    let mut last = None;
    while let Some(frame) = raw.next().await {
        let closed = frame.opcode == opcode::CLOSE;
        last = Some(frame);
        if closed {
            break;
        }
    }
    assert_eq!(last.expect("frames were waiting").close_code(), 3008);
}

#[tokio::test]
async fn ids_and_keys_that_are_none() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let app = others.app.clone();
    let (key, room) = (app.key.clone(), others.room.clone());
    for path in [
        "/api/room/%2e%2e%2fregister",
        "/api/room/..%2f..",
        "/api/room/room_%00",
        "/api/user/%ff%fe",
        "/api/room/%2e%2e/x/add",
    ] {
        let answer = app.call("GET", path).await;
        assert!(
            matches!(answer.status, 400 | 404 | 405),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    // Sent as it is: an HTTP client would have tidied it up.
    for path in [
        format!("/api/room/../register/{key}"),
        format!("/api/room/{room}/../../register/{key}"),
        "/api//room".into(),
        "//api/room".into(),
    ] {
        let mut raw = RawSocket::dial(&host).await;
        let request = format!(
            "GET {path}?apikey={key} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            host.address()
        );
        raw.write(request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(
            !answer.contains(&key),
            "{path} reached another resource: {answer}"
        );
    }
    let long = format!("/api/room/room_{}", "0".repeat(5_000));
    assert!(matches!(
        app.call("GET", &long).await.status,
        400 | 404 | 414
    ));

    let path = format!("/api/room/{room}");
    for query in ["", "?apikey", "?apikey=", "?apikey=&apikey="] {
        app.rest
            .get(&format!("{path}{query}"))
            .await
            .expect_error(401, "unauthorized");
    }
    let doubled = app
        .rest
        .get(&format!("{path}?apikey={key}&apikey=apikey_x"))
        .await;
    assert!(matches!(doubled.status, 400 | 401), "{}", doubled.text());
    others.still_talk().await;
}

#[tokio::test]
async fn a_body_of_ten_megabytes() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let before = host.resident();
    let path = format!("/api/room?apikey={}", others.app.key);
    for chunked in [false, true] {
        let mut raw = RawSocket::dial(&host).await;
        let size = if chunked {
            "Transfer-Encoding: chunked"
        } else {
            "Content-Length: 10485760"
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{size}\r\nConnection: close\r\n\r\n",
            host.address()
        );
        raw.write(head.as_bytes()).await;
        let piece = if chunked {
            [b"10000\r\n".as_slice(), &[b'x'; 1 << 16], b"\r\n"].concat()
        } else {
            vec![b'x'; 1 << 16]
        };
        for _ in 0..160 {
            if raw.try_write(&piece).await.is_err() {
                break;
            }
        }
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    }
    let grown = host.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "the host grew by {grown} bytes");
    others.still_talk().await;
}
