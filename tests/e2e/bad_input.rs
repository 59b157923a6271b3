//! Bad input gets a clear answer, and disturbs nobody else.

use serde_json::{Value, json};
use sschat_tests::chat::POLLING;
use sschat_tests::host::guests;
use sschat_tests::raw::opcode;
use sschat_tests::{App, Chat, Frame, Host, Options, RawSocket, Rest, within};

/// Two members whose conversation must go on whatever others do.
struct Bystanders {
    app: App,
    room: String,
    alice: String,
    a: Chat,
    b: Chat,
}

impl Bystanders {
    async fn meet(host: &Host) -> Self {
        let app = App::register(host).await;
        let (room, [alice, bob]) = app.room_of().await;
        let a = Chat::as_user(host, &alice).await;
        let b = Chat::as_user(host, &bob).await;
        Self {
            app,
            room,
            alice,
            a,
            b,
        }
    }

    /// Fails unless REST and messages still work on connections that were open before.
    async fn still_talk(&mut self) {
        self.a.say(&self.room, "still here").await;
        self.b
            .expect_message("still here", &self.alice, &self.room)
            .await;
        self.app.get(&format!("/api/room/{}", self.room)).await;
    }
}

/// A connection with a message that is refused with `code`, and that goes on afterwards.
async fn refused(host: &Host, user: &str, message: &str, code: &str) {
    let mut chat = Chat::as_user(host, user).await;
    chat.send_text(message).await;
    let refusal = chat.refusal().await;
    assert_eq!(refusal["code"], code, "{message}: {refusal}");
    let keys: Vec<_> = refusal.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "data", "type"], "{refusal}");
    assert_eq!(
        chat.ping(user).await["data"],
        "online",
        "the connection goes on after {message:?}"
    );
}

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
    let mut raw = RawSocket::dial(&host).await;
    // A small window, so that the host's own queue is what fills.
    socket2::SockRef::from(&*raw.stream())
        .set_recv_buffer_size(4 << 10)
        .unwrap();
    raw.write(RawSocket::handshake(&host, POLLING, "").as_bytes())
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
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
    let mut said = 0_u64;
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
                assert_eq!(frame["from"], alice.as_str());
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
    // What it does read now ends with the reason.
    let mut last = None;
    while let Some(frame) = raw.next().await {
        last = Some(frame);
    }
    if let Some(frame) = last.filter(|frame| frame.opcode == opcode::CLOSE) {
        assert_eq!(frame.close_code(), 3008);
    }
    others.a.say(&room, "after").await;
    let after = others
        .b
        .until("the message after", |frame| frame["data"] == "after")
        .await;
    assert_eq!(after["from"], alice.as_str());
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

async fn hostile() -> Host {
    Host::start(Options::new().from(guests())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_component_that_fails() {
    let host = hostile().await;
    let rest = std::sync::Arc::new(Rest::new(host.address()));
    assert_eq!(rest.get("/hostile/ok").await.expect(200).text(), "ok");
    for fault in ["trap", "memory", "stack", "loop"] {
        let failing = tokio::spawn({
            let rest = std::sync::Arc::clone(&rest);
            async move { rest.get(&format!("/hostile/{fault}")).await }
        });
        // Meanwhile others are served.
        for _ in 0..20 {
            rest.get("/hostile/ok").await.expect(200);
        }
        let answer = within("the budget ends it", failing).await.unwrap();
        assert!(
            matches!(answer.status, 500 | 504),
            "{fault}: {}",
            answer.status
        );
        let body = answer.json();
        assert_eq!(body["status"], "error", "{fault}: {body}");
        assert!(
            !answer.text().contains("told to"),
            "{fault}: the answer shows the component's inside"
        );
        rest.get("/hostile/ok").await.expect(200);
    }
}

#[tokio::test]
async fn a_component_gets_only_what_it_is_granted() {
    let host = hostile().await;
    let rest = Rest::new(host.address());
    let answer = rest.get("/hostile/ungranted").await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    rest.get("/hostile/print").await.expect(200);
    rest.get("/hostile/trap").await;
    let said = host.said();
    let line = said
        .lines()
        .find(|line| line.contains("a line on standard output"))
        .expect("the log has what was printed");
    assert!(line.contains("hostile"), "{line}: which component?");
    assert!(said.contains("a line on standard error"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_fails_denies_that_one_call() {
    let host = hostile().await;
    let mut a = Chat::as_user(&host, "alice").await;
    let mut b = Chat::as_user(&host, "bob").await;
    a.presence("bob", "online").await;
    for fault in ["trap", "memory", "loop"] {
        let mut failing = Chat::connect(&host).await;
        failing
            .send(&json!({"command": "login", "user": fault}))
            .await;
        a.say("calm", fault).await;
        b.expect_message(fault, "alice", "calm").await;
        assert_eq!(
            failing.refusal().await["code"],
            "temporary",
            "login: {fault}"
        );
        // The same connection may try again, and others log in at any time.
        failing.log_in(&format!("after-{fault}")).await;

        for turn in 0..2 {
            failing.say(fault, "x").await;
            let refusal = failing.refusal().await;
            assert_eq!(refusal["code"], "temporary", "publish {turn}: {refusal}");
            failing
                .send(&json!({"command": "ping", "user": fault}))
                .await;
            assert_eq!(
                failing.refusal().await["code"],
                "temporary",
                "ping {turn}: {fault}"
            );
        }
        failing.say("calm", "recovered").await;
        let from: Value = format!("after-{fault}").into();
        let heard = b
            .until("the message", |frame| frame["data"] == "recovered")
            .await;
        assert_eq!(heard["from"], from);
        a.until("the message", |frame| frame["data"] == "recovered")
            .await;
    }
}

/// A folder with a manifest of this text.
fn manifest(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spin.toml"), text).unwrap();
    folder
}

const GOOD: &str = r#"spin_manifest_version = 2
[application]
name = "x"
[[trigger.http]]
route = "/x"
component = "x"
[component.x]
source = "missing.wasm"
"#;

#[tokio::test]
async fn manifests_and_components_that_are_broken() {
    let cases = [
        ("a missing .wasm", GOOD.to_owned(), vec!["missing.wasm"]),
        (
            "no TOML",
            "spin_manifest_version = = 2".into(),
            vec!["spin.toml", "1"],
        ),
        (
            "version 1",
            GOOD.replace("version = 2", "version = 1"),
            vec!["spin.toml", "spin_manifest_version"],
        ),
        (
            "an unknown component",
            GOOD.replace("component = \"x\"", "component = \"y\""),
            vec!["spin.toml", "y"],
        ),
        (
            "a wrong type",
            GOOD.replace("route = \"/x\"", "route = 1"),
            vec!["spin.toml", "route"],
        ),
        (
            "an unknown setting",
            format!("{GOOD}\n[application.tool.sschat]\nmesage_limit = 1\n"),
            vec!["spin.toml", "mesage_limit"],
        ),
        (
            "a size that is none",
            format!("{GOOD}\n[application.tool.sschat]\nmessage_limit = \"lots\"\n"),
            vec!["message_limit", "lots"],
        ),
    ];
    for (what, text, named) in cases {
        let folder = manifest(&text);
        let (status, said) = Host::refused(Options::new().from(folder.path())).await;
        assert!(!status.success(), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        for name in &named {
            assert!(
                said.contains(name),
                "{what}: {name:?} is not named:\n{said}"
            );
        }
        let from = folder.path().to_str().unwrap().to_owned();
        let (status, said) = Host::run(&["check", "--from", &from]).await;
        assert!(!status.success(), "check: {what}: {said}");
        for name in &named {
            assert!(
                said.contains(name),
                "check: {what}: {name:?} is not named:\n{said}"
            );
        }
    }
    let folder = manifest(GOOD);
    std::fs::write(folder.path().join("missing.wasm"), b"\0asm but not really").unwrap();
    let (status, said) = Host::refused(Options::new().from(folder.path())).await;
    assert!(!status.success());
    assert!(said.contains("missing.wasm"), "{said}");

    let (status, said) = Host::refused(Options::new().from("/nowhere/at/all")).await;
    assert!(!status.success());
    assert!(said.contains("/nowhere/at/all"), "{said}");
    let (status, said) = Host::run(&[
        "check",
        "--from",
        sschat_tests::host::repository().to_str().unwrap(),
    ])
    .await;
    assert!(status.success(), "the repository's own manifest: {said}");
}

#[tokio::test]
async fn a_port_in_use() {
    let host = Host::plain().await;
    let address = host.address().to_string();
    let (status, said) = Host::refused(Options::new().listen(&address)).await;
    assert!(!status.success());
    assert!(said.contains(&address), "{said}");
    assert!(said.contains("in use"), "{said}");
    Rest::new(host.address()).get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    std::fs::write(&file, "a file where a folder should be").unwrap();
    for place in [
        file.clone(),
        file.join("below"),
        "/proc/sschat-state".into(),
    ] {
        let (status, said) = Host::refused(Options::new().state(&place)).await;
        assert!(!status.success(), "{}", place.display());
        assert!(said.contains(place.to_str().unwrap()), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "a file where a folder should be"
    );
}

#[tokio::test]
async fn options_that_are_none() {
    for arguments in [
        &["up", "--listen", "nowhere"][..],
        &["up", "--listen", "127.0.0.1:99999"],
        &["up", "--message-limit", "lots"],
        &["up", "--no-such"],
        &["upp"],
    ] {
        let (status, said) = Host::run(arguments).await;
        assert!(!status.success(), "{arguments:?}");
        assert!(
            said.contains(arguments[arguments.len() - 1]),
            "{arguments:?}: {said}"
        );
    }
}

#[tokio::test]
async fn any_other_address_needs_an_explicit_choice() {
    // Refused before anything listens: open registration is for the loopback.
    let (status, said) = Host::refused(Options::new().listen("0.0.0.0:0")).await;
    assert!(!status.success(), "{said}");
    assert!(said.contains("registration"), "{said}");
}
