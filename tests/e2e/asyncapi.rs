//! `/asyncapi.json` is true: it is well-formed, knows every name and code, and real dialogues match it.

use regex_lite::Regex;
use serde_json::{Value, json};
use sschat_tests::chat::POLLING;
use sschat_tests::host::repository;
use sschat_tests::schema::faults;
use sschat_tests::token::sign;
use sschat_tests::{App, Body, Chat, Host, Rest};
use std::collections::BTreeSet;

async fn document(host: &Host) -> Value {
    let answer = Rest::new(host.address()).get("/asyncapi.json").await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let reference = object.get("$ref").and_then(Value::as_str);
            found.extend(reference.map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Follows a reference; `#/channels/x/messages/y` leads to another.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let Some(reference) = value["$ref"].as_str() else {
        return value;
    };
    let there = document.pointer(reference.strip_prefix('#').unwrap());
    resolve(document, there.unwrap_or_else(|| panic!("{reference}")))
}

#[tokio::test]
async fn the_document_is_well_formed() {
    let host = Host::plain().await;
    let document = document(&host).await;
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    for reference in &used {
        let there = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(there.is_some(), "{reference} leads nowhere");
    }
    for kind in ["schemas", "messages"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(used.contains(&reference), "{reference} is never used");
        }
    }
    for (name, operation) in document["operations"].as_object().unwrap() {
        let action = operation["action"].as_str().unwrap();
        assert!(["send", "receive"].contains(&action), "{name}: {action}");
        let within = operation["channel"]["$ref"].as_str().unwrap();
        let replies = operation["reply"]["messages"].as_array();
        let messages = operation["messages"].as_array().unwrap().iter();
        for message in messages.chain(replies.into_iter().flatten()) {
            let reference = message["$ref"].as_str().unwrap();
            let channel = format!("{within}/messages/");
            assert!(reference.starts_with(&channel), "{name}: {reference}");
        }
    }
    for (name, channel) in document["channels"].as_object().unwrap() {
        assert!(channel["address"].as_str().unwrap().starts_with('/'));
        for key in channel["messages"].as_object().unwrap().keys() {
            let reference = format!("#/channels/{name}/messages/{key}");
            assert!(used.contains(&reference), "{reference} is in no operation");
        }
    }
}

fn source(path: &str) -> String {
    let path = repository().join("runtime-host/protocol/src").join(path);
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// What the pattern's first group finds.
fn found(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(text).map(|it| it[1].to_owned());
    found.collect()
}

/// The names behind this prefix of a message's key.
fn named(document: &Value, prefix: &str) -> BTreeSet<String> {
    let messages = document["components"]["messages"].as_object().unwrap();
    let keys = messages.keys().filter_map(|key| key.strip_prefix(prefix));
    keys.map(str::to_owned).collect()
}

fn codes(document: &Value, list: &str) -> BTreeSet<String> {
    let listed = document["info"][list].as_array().unwrap().iter();
    listed.map(|it| it["code"].to_string()).collect()
}

#[tokio::test]
async fn every_name_and_code_of_the_protocol_is_in_it() {
    let host = Host::plain().await;
    let document = document(&host).await;
    let requests = source("centrifuge/requests.rs");
    let table = requests.split("COMMAND: ").nth(1).unwrap();
    let mut commands = found(table.split("];").next().unwrap(), r#"\(\d+, "(\w+)"\)"#);
    commands.remove("id");
    assert_eq!(commands.len(), 12, "{commands:?}");
    assert_eq!(named(&document, "command_"), commands);

    let results = source("centrifuge/results.rs");
    let (replies, pushes) = results.split_once("pub(super) fn push").unwrap();
    let pushes = pushes.split("\n}\n").next().unwrap();
    let mut pushes = found(
        pushes,
        r#"Push::\w+\(\w+\) => (?:\{\s*)?sink\s*\.message\(\(\d+, "(\w+)"\)"#,
    );
    assert_eq!(pushes.len(), 8, "{pushes:?}");
    assert_eq!(named(&document, "push_"), std::mem::take(&mut pushes));
    let replies = found(
        replies,
        r#"Reply::\w+(?:\(\w+\)| \{[^}]*\})? => (?:\{\s*)?sink\s*\.message\(\(\d+, "(\w+)"\)"#,
    );
    assert_eq!(replies.len(), 12, "{replies:?}");
    assert_eq!(named(&document, "reply_"), replies);

    let own = source("centrifuge/codes.rs");
    let errors = found(&own, r"Self::(?:new|temporary)\((\d{3}),");
    assert_eq!(codes(&document, "x-errors"), errors);
    let unsubscribes = found(&own, r"Self::new\((2\d{3}),");
    assert_eq!(codes(&document, "x-unsubscribes"), unsubscribes);
    let disconnects = found(&source("close.rs"), r"pub const \w+: u16 = ([34]\d{3});");
    assert_eq!(codes(&document, "x-disconnects"), disconnects);
    for it in document["info"]["x-disconnects"].as_array().unwrap() {
        let terminal = matches!(it["code"].as_u64().unwrap(), 3500..=3999 | 4500..=4999);
        assert_eq!(it["reconnect"], !terminal, "{it}");
    }

    let seed = found(&source("seed/command.rs"), r#"\{"command":"(\w+)""#);
    let said = named(&document, "polling_said_");
    let polling = named(&document, "polling_");
    let is_command = |name: &&String| !name.starts_with("said_") && *name != "bare";
    let polling: BTreeSet<_> = polling.iter().filter(is_command).cloned().collect();
    assert_eq!(polling, seed);
    let types = found(&source("seed/encode.rs"), r#"\{"type":"(\w+)""#);
    assert_eq!(said, types);
}

/// Holds what is said against the document.
struct Judge {
    document: Value,
    seen: BTreeSet<String>,
}

impl Judge {
    /// Fails unless what was said on a channel is one of its messages.
    fn check(&mut self, channel: &str, said: &Value) {
        let messages = self.document["channels"][channel]["messages"].clone();
        let fits = |key: &&String| {
            let message = resolve(&self.document, &messages[key.as_str()]);
            message["contentType"].is_null()
                && faults(&self.document, &message["payload"], said).is_empty()
        };
        let names: Vec<_> = messages.as_object().unwrap().keys().filter(fits).collect();
        assert!(!names.is_empty(), "{channel}: {said} is no message of it");
        self.seen.extend(names.into_iter().cloned());
    }

    /// Fails where a message whose key begins so was never said.
    fn expect_all(&self, prefix: &str, but: &[&str]) {
        for name in named(&self.document, prefix) {
            let key = format!("{prefix}{name}");
            let seen = self.seen.contains(&key) || but.contains(&&*name);
            assert!(seen, "{key} was never said");
        }
    }
}

#[tokio::test]
async fn real_dialogues_match_it() {
    let host = Host::plain().await;
    let mut judge = Judge {
        document: document(&host).await,
        seen: BTreeSet::new(),
    };
    let app = App::register(&host).await;
    app.call("PUT", "/api/policy?rule=open").await.expect(200);
    let (room, [alice, bob]) = app.room_of().await;
    original(&mut judge, &host, (&app, &room), (&alice, &bob)).await;
    let token = sign(
        &json!({"sub": alice, "exp": 4_000_000_000_u64}),
        &app.secret,
    );
    let mut commands = vec![
        json!({"connect": {"token": token}}),
        json!({"subscribe": {"channel": "lobby", "join_leave": true, "recover": true}}),
        json!({"publish": {"channel": "lobby", "data": [1, null]}}),
        json!({"presence": {"channel": "lobby"}}),
        json!({"presence_stats": {"channel": "lobby"}}),
        json!({"history": {"channel": "lobby", "limit": 9}}),
        json!({"ping": {}}),
        json!({"rpc": {"method": "add", "data": {}}}),
        json!({"refresh": {"token": token}}),
        json!({"unsubscribe": {"channel": "lobby"}}),
    ];
    for (command, id) in commands.iter_mut().zip(1..) {
        command["id"] = id.into();
    }
    let path = format!("/connection/websocket?app={}", app.id);
    let mut chat = Chat::open(host.address(), &path, &[]).await.unwrap();
    for command in &commands {
        judge.check("centrifuge", command);
        chat.send(command).await;
        until(&mut judge, &mut chat, |line| line["id"] == command["id"]).await;
    }
    let send = json!({"send": {"data": {}}});
    judge.check("centrifuge", &send);
    chat.send(&send).await;
    app.remove(&room, &alice).await;
    until(&mut judge, &mut chat, |line| {
        line["push"]["unsubscribe"].is_object()
    })
    .await;
    app.add(&room, &alice).await;
    until(&mut judge, &mut chat, |line| {
        line["push"]["subscribe"].is_object()
    })
    .await;
    streaming(&mut judge, &host, (&app, &alice)).await;
    judge.expect_all("polling_", &["bare"]);
    judge.expect_all("reply_", &["sub_refresh", "rpc"]);
    judge.expect_all("command_", &["sub_refresh"]);
    judge.expect_all("push_", &["message", "refresh", "leave"]);
}

/// Reads to a line of this kind; all of them must match.
async fn until(judge: &mut Judge, chat: &mut Chat, last: impl Fn(&Value) -> bool) {
    loop {
        let text = chat.next_text().await;
        let lines: Vec<Value> = text
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        lines
            .iter()
            .for_each(|line| judge.check("centrifuge", line));
        if lines.iter().any(&last) {
            return;
        }
    }
}

async fn original(
    judge: &mut Judge,
    host: &Host,
    (app, room): (&App, &str),
    (alice, bob): (&str, &str),
) {
    let mut chat = Chat::open(host.address(), POLLING, &[]).await.unwrap();
    let mut other = Chat::open(host.address(), POLLING, &[]).await.unwrap();
    let login = json!({"command": "login", "user": alice});
    judge.check("polling", &login);
    chat.send(&login).await;
    judge.check("polling", &chat.next().await);
    other.send(&json!({"command": "login", "user": bob})).await;
    judge.check("polling", &other.next().await);
    // Bob is online.
    judge.check("polling", &chat.next().await);
    let said = json!({"command": "room", "room": room, "msg": {"n": 1}});
    judge.check("polling", &said);
    other.send(&said).await;
    judge.check("polling", &chat.next().await);
    for command in [
        json!({"command": "ping", "user": bob}),
        json!({"command": "join", "room": "hall"}),
        json!({"command": "leave", "room": "hall"}),
        json!({"command": "leave", "room": "nowhere"}),
    ] {
        judge.check("polling", &command);
        chat.send(&command).await;
        judge.check("polling", &chat.next().await);
    }
    app.remove(room, alice).await;
    judge.check("polling", &chat.next().await);
    app.add(room, alice).await;
}

async fn streaming(judge: &mut Judge, host: &Host, (app, user): (&App, &str)) {
    let connect = json!({"id": 1, "connect": {"token": sign(&json!({"sub": user}), &app.secret)}});
    judge.check("http_stream", &connect);
    let line = format!("POST /connection/http_stream?app={} HTTP/1.1", app.id);
    let request = Body::request(&line, "", &connect.to_string());
    let mut body = Body::open(host, request).await;
    let reply: Value = serde_json::from_slice(&body.chunk().await.unwrap()).unwrap();
    judge.check("http_stream", &reply);
    let connected = &reply["connect"];
    let said =
        json!({"session": connected["session"], "node": connected["node"], "data": "garbage"});
    judge.check("emulation", &said);
    let kind = [("content-type", "application/json")];
    let answer = app.rest.send("POST", "/emulation", &kind, said.to_string());
    answer.await.expect(204);
    let push: Value = serde_json::from_slice(&body.chunk().await.unwrap()).unwrap();
    assert_eq!(push["push"]["disconnect"]["code"], 3501, "{push}");
    judge.check("http_stream", &push);
    assert_eq!(body.chunk().await, None);
}
