//! What works over them as over a WebSocket.

use super::{Session, connect};
use crate::centrifuge::Client;
use serde_json::{Value, json};
use sschat_tests::{App, Body, Host, RawSocket, Rest};

#[tokio::test]
async fn members_hear_each_other_over_every_transport() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob, carol]) = app.room_of().await;
    let mut a = Session::of(&host, &app, &alice).await;
    let (mut b, bob_is) = Client::of(&host, &app, &bob).await;
    let mut c = events(&host, &app, &carol, "HTTP/1.1").await;
    let first = c.chunk().await.unwrap();
    assert!(
        first.starts_with(b"data: {\"id\":1,\"connect\":{"),
        "{first:?}"
    );

    // White space of all kinds, and lines within a message.
    let said = "{\"publish\":{\"channel\":\"ROOM\",\"data\":{\"n\":\r\n [1,\t2],\"s\":\"a\\r\\nb\"}},\"id\":2}";
    let said = said.replace("ROOM", &room).replace("\r\n", "");
    a.last = 2;
    a.post(&said).await.expect(204);
    let data = json!({"n": [1, 2], "s": "a\r\nb"});
    assert_eq!(a.push("pub").await["data"], data);
    b.expect_publication(
        &room,
        data.clone(),
        super::super::info(&alice, &a.connected),
    )
    .await;
    let event = String::from_utf8(c.chunk().await.unwrap()).unwrap();
    let event = event.strip_prefix("data: ").unwrap();
    let event: Value = serde_json::from_str(event.strip_suffix("\n\n").unwrap()).unwrap();
    assert_eq!(event["push"]["pub"]["data"], data);

    b.send(json!({"publish": {"channel": room, "data": "by Bob"}}))
        .await;
    let heard = a.push("pub").await;
    assert_eq!(
        (&heard["data"], &heard["info"]["client"]),
        (&json!("by Bob"), &bob_is["client"])
    );
    let counted = a.ask(json!({"presence_stats": {"channel": room}})).await;
    assert_eq!(
        counted["presence_stats"],
        json!({"num_clients": 3, "num_users": 3})
    );
}

/// Opens `/connection/sse` for a user.
async fn events(host: &Host, app: &App, user: &str, version: &str) -> Body {
    let commands: String = connect(app, user)
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let path = format!("/connection/sse?app={}&cf_connect={commands}", app.id);
    let request = format!("GET {path} {version}\r\nHost: x\r\nOrigin: http://x\r\n\r\n");
    let body = Body::open(host, request).await;
    for header in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-cache, ",
        "x-accel-buffering: no\r\n",
        "connection: close\r\n",
        "access-control-allow-origin: http://x\r\n",
        "vary: origin\r\n",
        "\r\ndate: ",
    ] {
        assert!(body.head.contains(header), "{header}: {}", body.head);
    }
    body
}

#[tokio::test]
async fn a_proxy_of_http_1_0_gets_a_body_without_chunks() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut body = events(&host, &app, &alice, "HTTP/1.0").await;
    assert!(!body.head.contains("transfer-encoding"), "{}", body.head);
    // The head comes before it is decided who this is; what is said then is not heard.
    let first = body.event().await;
    assert!(first.contains("\"connect\":{"), "{first}");
    let (mut b, _) = Client::of(&host, &app, &bob).await;
    for n in 0..2 {
        b.ask(json!({"publish": {"channel": room, "data": n}}))
            .await;
    }
    app.delete_user(&alice).await;
    let text = body.rest().await;
    let events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    let last = events.last().unwrap();
    assert_eq!(last["push"]["disconnect"]["code"], 4501, "{text}");
    let heard = events
        .iter()
        .filter(|event| event["push"]["pub"].is_object());
    assert_eq!(heard.count(), 2, "{text}");
}

#[tokio::test]
async fn a_connection_that_was_used_before_becomes_a_stream() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut socket = RawSocket::dial(&host).await;
    let path = format!("POST /connection/http_stream?app={} HTTP/1.1", app.id);
    let stream = Body::request(&path, "", &connect(&app, &alice));
    // All at once, and something behind it that nobody reads.
    let before = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let requests = format!("{before}{before}{stream}{before}");
    socket.write(requests.as_bytes()).await;
    for _ in 0..2 {
        let head = socket.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let mut health = [0; br#"{"status":"ok"}"#.len()];
        tokio::io::AsyncReadExt::read_exact(socket.stream(), &mut health)
            .await
            .unwrap();
    }
    let head = socket.head().await.to_lowercase();
    let mut session = Session::begin(&host, Body { socket, head });
    assert!(session.line().await["connect"].is_object());
}

#[tokio::test]
async fn requests_of_a_session_are_taken_in_their_order() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let mut session = Session::of(&host, &app, &alice).await;
    // The first must wait for a decision, the others for the first.
    for n in 0..50 {
        let publish = json!({"id": 2 + n, "publish": {"channel": room, "data": n}});
        session.post(&publish.to_string()).await.expect(204);
    }
    for n in 0..50 {
        assert_eq!(session.push("pub").await["data"], n);
    }
}

#[tokio::test]
async fn far_too_many_commands_end_the_session() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut session = Session::of(&host, &app, &alice).await;
    let pings = (2..2_000).map(|id| json!({"id": id, "ping": {}}).to_string());
    let many: Vec<_> = pings.collect();
    session.post(&many.join("\n")).await.expect(204);
    session.expect_end(3013, true).await;
    let late = session.post("{}").await;
    late.expect_error(404, "unknown_session");
}

#[tokio::test]
async fn pages_of_allowed_origins_alone_may_read() {
    let host = Host::start(
        sschat_tests::Options::new()
            .arg("--allow-origin")
            .arg("https://chat.example"),
    )
    .await;
    let rest = Rest::new(host.address());
    for path in ["/connection/http_stream", "/connection/sse", "/emulation"] {
        let from = |origin| {
            [
                ("origin", origin),
                ("access-control-request-method", "POST"),
            ]
        };
        let good = rest
            .send("OPTIONS", path, &from("https://chat.example"), "")
            .await
            .expect(204);
        assert_eq!(
            good.header("access-control-allow-origin"),
            Some("https://chat.example")
        );
        let methods = good.header("access-control-allow-methods").unwrap();
        assert!(methods.contains("POST"), "{methods}");
        assert_eq!(
            good.header("access-control-allow-headers"),
            Some("content-type")
        );
        assert_eq!(good.header("access-control-allow-credentials"), None);
        assert_eq!(good.header("vary"), Some("Origin"));
        let bad = rest
            .send("OPTIONS", path, &from("https://evil.example"), "")
            .await;
        let bad = bad.expect_error(403, "origin_not_allowed");
        assert_eq!(bad.header("access-control-allow-origin"), None);
        let refused = rest
            .send("POST", path, &[("origin", "https://chat.example")], "x")
            .await;
        if path == "/emulation" {
            let refused = refused.expect_error(400, "bad_request");
            assert_eq!(
                refused.header("access-control-allow-origin"),
                Some("https://chat.example")
            );
        }
    }
}
