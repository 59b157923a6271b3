//! What breaks the protocol: the code that is documented, and nobody else notices.

use super::{Client, PATH, accepted, code};
use serde_json::json;
use sschat_tests::raw::{Frame, opcode};
use sschat_tests::token::sign;
use sschat_tests::{App, Host, Options, RawSocket};

const BAD_REQUEST: u16 = 3501;

#[tokio::test]
async fn frames_that_end_a_session() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut witness, _) = Client::of(&host, &app, &bob).await;
    let before = [
        r#"{"id":1,"publish":{"channel":"r","data":1}}"#.to_owned(),
        r#"{"id":1,"subscribe":{"channel":"r"}}"#.to_owned(),
        r#"{"connect":{}}"#.to_owned(),
        "{}".to_owned(),
        String::new(),
        "not JSON".to_owned(),
        r#"[{"id":1,"connect":{}}]"#.to_owned(),
        "\n".repeat(1 << 15),
        format!(r#"{{"id":1,"connect":{{"data":{}}}}}"#, "[".repeat(1 << 15)),
    ];
    for frame in before {
        let mut client = Client::open(&host, &app).await;
        client.chat.send_text(&frame).await;
        client.expect_close(BAD_REQUEST).await;
    }
    let after = [
        r#"{"id":2,"connect":{}}"#,
        r#"{"id":1,"rpc":{"data":{}}}"#,
        r#"{"id":2,"publish":{"channel":"r","data":}}"#,
        r#"{"id":2,"subscribe":{"channel":""}}"#,
        r#"{"id":2,"refresh":{"token":"x"}}"#,
        r#"{"id":-1,"rpc":{"data":{}}}"#,
        "{}",
    ];
    for frame in after {
        let (mut client, _) = Client::of(&host, &app, &alice).await;
        client.chat.send_text(frame).await;
        client.expect_close(BAD_REQUEST).await;
    }
    let said = json!({"publish": {"channel": room, "data": "still here"}});
    assert_eq!(accepted(&witness.ask(said).await), 1);
}

#[tokio::test]
async fn a_megabyte_of_newlines() {
    let wide = ["--message-limit=2MiB", "--queue-limit=2MiB"];
    let wide = wide.into_iter().fold(Options::new(), Options::arg);
    for (options, ends) in [(Options::new(), 1009), (wide, BAD_REQUEST)] {
        let host = Host::start(options).await;
        let app = App::register(&host).await;
        let (room, [alice, bob]) = app.room_of().await;
        let (mut witness, _) = Client::of(&host, &app, &bob).await;
        let (mut client, _) = Client::of(&host, &app, &alice).await;
        client.chat.send_text(&"\n".repeat(1 << 20)).await;
        client.expect_close(ends).await;
        let said = json!({"publish": {"channel": room, "data": "still here"}});
        assert_eq!(accepted(&witness.ask(said).await), 1);
    }
}

#[tokio::test]
async fn ids_that_repeat() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let (mut client, _) = Client::of(&host, &app, &alice).await;
    let ask = format!(r#"{{"id":7,"presence_stats":{{"channel":"{room}"}}}}"#);
    client.chat.send_text(&ask).await;
    assert!(client.reply(7).await["presence_stats"].is_object());
    client.chat.send_text(&ask).await;
    client.expect_close(BAD_REQUEST).await;
}

#[tokio::test]
async fn two_connects_in_one_frame() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let token = sign(&json!({"sub": alice}), &app.secret);
    let connect = |id: u32| json!({"id": id, "connect": {"token": token}}).to_string();
    let mut client = Client::open(&host, &app).await;
    let frame = format!("{}\n{}", connect(1), connect(2));
    client.chat.send_text(&frame).await;
    assert!(client.reply(1).await["connect"].is_object());
    client.expect_close(BAD_REQUEST).await;
}

#[tokio::test]
async fn nobody_who_connected_and_says_nothing_stays() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let mut silent = Client::open(&host, &app).await;
    silent.expect_close(3502).await;
}

/// A ping comes within 25 seconds, and is to be answered within 8.
#[tokio::test]
async fn who_does_not_answer_a_ping_is_let_go_to_come_back() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let (mut deaf, _) = Client::of(&host, &app, &alice).await;
    let (mut awake, _) = Client::of(&host, &app, &bob).await;
    assert_eq!(awake.chat.next_text().await, "{}");
    awake.chat.send_text("{}").await;
    assert_eq!(deaf.chat.next_text().await, "{}");
    deaf.expect_close(3012).await;
    let answered = awake.ask(json!({"ping": {}})).await;
    assert_eq!(answered["ping"], json!({}));
    // Once is enough: a pong that no ping asked for breaks the protocol.
    awake.chat.send_text("{}").await;
    awake.expect_close(BAD_REQUEST).await;
}

#[tokio::test]
async fn numbers_and_names_beyond_all_bounds() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let (mut client, connected) = Client::of(&host, &app, &alice).await;
    let long = "r".repeat(256);
    let named = client.ask(json!({"subscribe": {"channel": long}})).await;
    assert_eq!(code(&named), 107);
    let since = json!({"offset": u64::MAX, "epoch": "never"});
    let asked = client
        .ask(json!({"history": {"channel": room, "since": since}}))
        .await;
    assert_eq!(code(&asked), 112, "an epoch that never was");
    let epoch = &connected["subs"][&room]["epoch"];
    let since = json!({"offset": u64::MAX, "epoch": epoch});
    let asked = client
        .ask(json!({"history": {"channel": room, "since": since, "limit": 9}}))
        .await;
    assert_eq!(asked["history"]["offset"].as_u64().unwrap_or_default(), 0);
    assert!(asked["history"].is_object(), "{asked}");
    let member = client.ask(json!({"subscribe": {"channel": room}})).await;
    assert_eq!(code(&member), 105, "a member is subscribed already");
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let frame = format!(r#"{{"id":77,"publish":{{"channel":"{room}","data":{deep}}}}}"#);
    client.chat.send_text(&frame).await;
    assert_eq!(code(&client.reply(77).await), 107);
}

#[tokio::test]
async fn protobuf_that_is_none() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let bad: [&[u8]; 6] = [
        // A varint that does not end.
        &[0xFF; 11],
        // Lengths that lie.
        &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x08, 0x01],
        &[0x7F, 0x08, 0x01],
        // Nothing at all.
        &[],
        // A field of a number that can't be.
        &[0x02, 0x00, 0x01],
        // A ping before the connect.
        &[0x04, 0x08, 0x01, 0x5A, 0x00],
    ];
    for frame in bad {
        let path = format!("{PATH}?app={}&format=protobuf", app.id);
        let mut socket = RawSocket::open(&host, &path).await;
        socket.send(Frame::new(opcode::BINARY, frame)).await;
        assert_eq!(socket.closed().await, BAD_REQUEST, "{frame:?}");
    }
}

#[tokio::test]
async fn the_subprotocol_is_answered() {
    let host = Host::plain().await;
    for (offered, answered) in [
        ("centrifuge-protobuf", Some("centrifuge-protobuf")),
        ("x, centrifuge-json", Some("centrifuge-json")),
        ("x", None),
    ] {
        let mut socket = RawSocket::dial(&host).await;
        let more = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let request = RawSocket::handshake(&host, PATH, &more);
        socket.write(request.as_bytes()).await;
        let head = socket.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let field = head
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(field, answered);
    }
}
