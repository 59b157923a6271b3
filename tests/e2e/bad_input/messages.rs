//! Messages that are refused; the connection goes on, or ends with a code.

use super::{Bystanders, refused};
use serde_json::json;
use sschat_tests::chat::POLLING;
use sschat_tests::raw::opcode;
use sschat_tests::{Chat, Frame, Host, Options, RawSocket};

#[tokio::test]
async fn messages_that_are_no_commands() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let user = others.app.user().await;
    for text in [
        "",
        " ",
        "hello",
        "{",
        "{]",
        "{\"command\":\"ping\"",
        "\u{FEFF}{}",
        "nul",
        "{\"command\":\"ping\",}",
        "{} {}",
    ] {
        refused(&host, &user, text, "bad_json").await;
    }
    let shapes = [
        "null",
        "1",
        "\"login\"",
        "[]",
        "[{\"command\":\"login\"}]",
        "{}",
        r#"{"command":1}"#,
        r#"{"command":null}"#,
        r#"{"command":["login"]}"#,
        r#"{"command":"login"}"#,
        r#"{"command":"login","user":7}"#,
        r#"{"command":"login","token":{}}"#,
        r#"{"command":"room"}"#,
        r#"{"command":"room","room":"x"}"#,
        r#"{"command":"room","msg":"x"}"#,
        r#"{"command":"room","room":1,"msg":"x"}"#,
        r#"{"command":"ping"}"#,
        r#"{"command":"ping","user":[]}"#,
        r#"{"command":"ping","user":"a","user":"b"}"#,
    ];
    for text in shapes {
        refused(&host, &user, text, "bad_request").await;
    }
    for text in [
        r#"{"command":"logout"}"#,
        r#"{"command":""}"#,
        r#"{"command":"LOGIN","user":"x"}"#,
    ] {
        refused(&host, &user, text, "unknown_command").await;
    }
    // Deep enough to end a parser that recurses.
    let deep = format!(
        r#"{{"command":"room","room":"{}","msg":{}{}}}"#,
        others.room,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    let mut chat = Chat::as_user(&host, &user).await;
    chat.send_text(&deep).await;
    let code = chat.refusal().await["code"].clone();
    assert!(code == "bad_request" || code == "bad_json", "{code}");
    others.still_talk().await;
}

#[tokio::test]
async fn logins_as_nobody() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let long = "u".repeat(60_000);
    let ids = [
        "user_00000000000040008000000000000000",
        "",
        "user_",
        "../user",
        "user_/../x",
        "%00",
        "\u{0}",
        "*",
        "' OR 1=1 --",
        &others.room,
        &others.app.key,
        &others.app.id,
        &long,
        &others.alice.to_uppercase(),
    ];
    let mut chat = Chat::connect(&host).await;
    for id in ids {
        chat.send(&json!({"command": "login", "user": id})).await;
        let refusal = chat.refusal().await;
        assert_eq!(refusal["code"], "unknown_user", "{refusal}");
        assert!(
            refusal.to_string().len() < 1_000,
            "the answer repeats what was sent"
        );
    }
    chat.log_in(&others.alice).await;
    others.still_talk().await;
}

#[tokio::test]
async fn commands_before_a_login() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let mut chat = Chat::connect(&host).await;
    chat.say(&others.room, "x").await;
    assert_eq!(chat.refusal().await["code"], "unauthorized");
    chat.send(&json!({"command": "ping", "user": others.alice}))
        .await;
    assert_eq!(chat.refusal().await["code"], "unauthorized");
    others.still_talk().await;
}

#[tokio::test]
async fn publishing_where_one_is_no_member() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    let outsider = others.app.user().await;
    let mut chat = Chat::as_user(&host, &outsider).await;
    let mut answers = Vec::new();
    let missing = "room_00000000000040008000000000000000".to_owned();
    for room in [
        others.room.clone(),
        missing,
        String::new(),
        "../x".into(),
        "room_/../y".into(),
        outsider.clone(),
        "r".repeat(50_000),
    ] {
        chat.say(&room, "x").await;
        let refusal = chat.refusal().await;
        assert_eq!(refusal["code"], "not_a_member", "{refusal}");
        answers.push(refusal.to_string().replace(&room, "ROOM"));
    }
    assert_eq!(
        answers[0], answers[1],
        "a room of others answers as one that does not exist"
    );
    others.still_talk().await;
}

#[tokio::test]
async fn a_message_over_the_limit() {
    let host = Host::plain().await;
    let mut others = Bystanders::meet(&host).await;
    for size in [(64 << 10) + 1, 2 << 20] {
        let mut raw = RawSocket::open(&host, POLLING).await;
        // The host may have hung up before all of it is sent.
        let _ = raw
            .try_write(&Frame::new(opcode::TEXT, "x".repeat(size)).masked())
            .await;
        assert_eq!(raw.expect().await.close_code(), 1009, "{size} bytes");
    }
    // Announced, never sent: refused at its head.
    let mut raw = RawSocket::open(&host, POLLING).await;
    raw.write(&[
        0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4,
    ])
    .await;
    assert_eq!(raw.expect().await.close_code(), 1009);
    // In many fragments that are each small.
    let mut raw = RawSocket::open(&host, POLLING).await;
    let mut opcode = opcode::TEXT;
    for _ in 0..100 {
        if raw
            .try_write(&Frame::new(opcode, "x".repeat(1_000)).unfinished().masked())
            .await
            .is_err()
        {
            break;
        }
        opcode = opcode::CONTINUATION;
    }
    assert_eq!(raw.expect().await.close_code(), 1009);
    // The largest that is allowed passes.
    let (room, alice) = (others.room.clone(), others.alice.clone());
    let frame = json!({"command": "room", "room": room, "msg": ""}).to_string();
    let most = "m".repeat((64 << 10) - frame.len());
    others.a.say(&room, most.clone()).await;
    others.b.expect_message(most, &alice, &room).await;
    others.still_talk().await;

    let host = Host::start(Options::new().arg("--message-limit").arg("1KiB")).await;
    let mut raw = RawSocket::open(&host, POLLING).await;
    raw.send(Frame::new(opcode::TEXT, "x".repeat(1_025))).await;
    assert_eq!(
        raw.expect().await.close_code(),
        1009,
        "the limit is a setting"
    );
}
