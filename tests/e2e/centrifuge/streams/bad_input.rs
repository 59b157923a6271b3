//! Requests that begin no session, and commands that reach none.

use super::{STREAM, Session, connect, emulate};
use serde_json::json;
use sschat_tests::{App, Body, Host, Rest};

/// The largest message, unless set otherwise.
const MESSAGE_LIMIT: usize = 64 << 10;

/// Fails unless a request is answered with this status and code, in JSON.
async fn refused(host: &Host, request: impl AsRef<[u8]>, status: u16, code: &str) {
    let mut answer = Body::open(host, &request).await;
    let shown = String::from_utf8_lossy(&request.as_ref()[..request.as_ref().len().min(200)]);
    let expected = format!("http/1.1 {status} ");
    assert!(
        answer.head.starts_with(&expected),
        "{shown}: {}",
        answer.head
    );
    if !code.is_empty() {
        let code = format!("\"code\":\"{code}\"");
        let length = answer.head.split("content-length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        tokio::io::AsyncReadExt::read_exact(answer.socket.stream(), &mut body)
            .await
            .unwrap();
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(&code), "{shown}: {body}");
    }
}

#[tokio::test]
async fn requests_that_begin_no_session() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut witness = Session::of(&host, &app, &bob).await;
    let line = format!("POST {STREAM}?app={} HTTP/1.1", app.id);
    let chunked =
        |body: &str| format!("{line}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let large = " ".repeat(MESSAGE_LIMIT + 1);
    let huge = large.repeat(3);
    let huge = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    let bad = [
        (Body::request(&line, "", ""), 400, "bad_request"),
        (Body::request(&line, "", &large), 413, "too_large"),
        (
            format!("{line}\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
            413,
            "too_large",
        ),
        (
            format!("{line}\r\nHost: x\r\nContent-Length: x\r\n\r\n"),
            400,
            "",
        ),
        (chunked("5\r\nabcdeXX"), 400, "bad_request"),
        (chunked("zz\r\n"), 400, "bad_request"),
        (chunked(&huge), 413, "too_large"),
        (
            Body::request(&format!("GET {STREAM} HTTP/1.1"), "", ""),
            405,
            "method_not_allowed",
        ),
        (
            Body::request("GET /connection/sse HTTP/1.1", "", ""),
            400,
            "bad_request",
        ),
        (
            Body::request("GET /connection/sse?cf_connect= HTTP/1.1", "", ""),
            400,
            "bad_request",
        ),
        (
            Body::request("DELETE /connection/sse HTTP/1.1", "", ""),
            405,
            "method_not_allowed",
        ),
        (
            Body::request("GET /emulation HTTP/1.1", "", ""),
            405,
            "method_not_allowed",
        ),
        (
            Body::request(
                &line,
                "Origin: http://evil.example\r\n",
                &connect(&app, &alice),
            ),
            403,
            "origin_not_allowed",
        ),
    ];
    for (request, status, code) in bad {
        refused(&host, request, status, code).await;
    }
    // What was promised does not come: the connection ends, and nobody was logged in.
    let cut = Body::request(&line, "", &connect(&app, &alice));
    let mut socket = sschat_tests::RawSocket::dial(&host).await;
    socket.write(&cut.as_bytes()[..cut.len() - 1]).await;
    tokio::io::AsyncWriteExt::shutdown(socket.stream())
        .await
        .unwrap();
    let answer = String::from_utf8(socket.rest().await).unwrap();
    assert!(!answer.contains(" 200 "), "{answer}");
    let present = witness
        .ask(json!({"presence_stats": {"channel": room}}))
        .await;
    assert_eq!(present["presence_stats"]["num_clients"], 1, "{present}");
}

#[tokio::test]
async fn commands_that_are_none_end_the_session_that_they_would_begin() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let line = format!("POST {STREAM}?app={} HTTP/1.1", app.id);
    let nested = format!(r#"{{"id":1,"connect":{{"data":{}}}}}"#, "[".repeat(1 << 15));
    for commands in [
        "{}",
        "garbage",
        "\n\n\n",
        r#"{"id":1,"rpc":{}}"#,
        &nested,
        "\0\u{1}",
    ] {
        let body = Body::open(&host, Body::request(&line, "", commands)).await;
        Session::begin(&host, body).expect_end(3501, false).await;
    }
    let octets = "Content-Type: application/octet-stream\r\n";
    for commands in ["\u{5}", "garbage", "\u{7f}\u{7f}\u{7f}", "\u{0}"] {
        let request = Body::request(&line, octets, commands);
        let mut body = Body::open(&host, request).await;
        assert!(body.head.contains("content-type: application/octet-stream"));
        let why = body.chunk().await.unwrap();
        // The code 3501 as a varint within the push.
        assert!(why.windows(2).any(|it| it == [0xAD, 0x1B]), "{why:?}");
        assert_eq!(body.chunk().await, None);
    }
}

#[tokio::test]
async fn requests_that_reach_no_session() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let mut a = Session::of(&host, &app, &alice).await;
    let b = Session::of(&host, &app, &bob).await;
    let rest = Rest::new(host.address());
    let real = a.connected["session"].as_str().unwrap().to_owned();
    let other = b.connected["session"].as_str().unwrap();
    let node = a.connected["node"].clone();
    let ping = r#"{"id":7,"ping":{}}"#;
    // Each digit wrong once; one's own secret in another's place; and what was never a ticket.
    let wrong_digit = |at: usize| {
        let digit = if real.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        format!("{}{digit}{}", &real[..at], &real[at + 1..])
    };
    let mut guesses: Vec<String> = (0..real.len()).map(wrong_digit).collect();
    guesses.push(format!("{}{}", &other[..10], &real[10..]));
    guesses.push(
        real.to_uppercase()
            .replace(|c: char| c.is_ascii_digit(), "F"),
    );
    guesses.extend(["", "x", "ffffffffff", &"f".repeat(1_000)].map(str::to_owned));
    for session in guesses {
        let body = json!({"session": session, "node": node, "data": ping});
        let answer = emulate(&rest, &body).await;
        answer.expect_error(404, "unknown_session");
    }
    for elsewhere in ["", "another"] {
        let body = json!({"session": real, "node": elsewhere, "data": ping});
        let answer = emulate(&rest, &body).await;
        answer.expect_error(404, "unknown_node");
    }
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "{",
        "\0",
        r#"{"session":1,"node":"","data":"x"}"#,
    ] {
        let answer = rest.send("POST", "/emulation", &[], body).await;
        answer.expect_error(400, "bad_request");
    }
    let octets = [("content-type", "application/octet-stream")];
    for body in [
        &b""[..],
        b"\x1a\x7fx",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x08\x01",
    ] {
        let answer = rest.send("POST", "/emulation", &octets, body).await;
        answer.expect_error(400, "bad_request");
    }
    let large = "x".repeat(MESSAGE_LIMIT + 1);
    a.post(&large).await.expect_error(413, "too_large");
    a.post(&large.repeat(3))
        .await
        .expect_error(413, "too_large");
    // None of this was noticed; one more command is. Then garbage is the end, as on any transport.
    assert!(a.ask(json!({"ping": {}})).await["ping"].is_object());
    a.post("garbage").await.expect(204);
    a.expect_end(3501, false).await;
}
