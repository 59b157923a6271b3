//! The server API in the shape of Centrifugo's, as its libraries send it.

use super::{posted, shelf};
use serde_json::{Value, json};
use sschat_tests::{Answer, App, Chat, Host};

async fn call(app: &App, method: &str, body: &Value) -> Answer {
    let headers = [
        ("x-api-key", &app.key[..]),
        ("content-type", "application/json"),
    ];
    let path = format!("/api/{method}");
    app.rest
        .send("POST", &path, &headers, body.to_string())
        .await
}

async fn result(app: &App, method: &str, body: Value) -> Value {
    let answer = call(app, method, &body).await.expect(200).json();
    assert!(answer["error"].is_null(), "{method} {body}: {answer}");
    answer["result"].clone()
}

async fn fault(app: &App, method: &str, body: Value) -> u64 {
    let answer = call(app, method, &body).await.expect(200).json();
    assert!(answer["result"].is_null(), "{method} {body}: {answer}");
    answer["error"]["code"].as_u64().unwrap()
}

#[tokio::test]
async fn a_backend_publishes_and_reads() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let other = app.room().await;
    let mut chat = Chat::as_user(&host, &user).await;
    // A number that no float holds, as it is.
    let body = format!(r#"{{"channel":"{room}","data":{{"n":1e999}}}}"#);
    let headers = [("x-api-key", &app.key[..])];
    let answer = app.rest.send("POST", "/api/publish", &headers, body).await;
    let placed = answer.expect(200).json()["result"].clone();
    assert_eq!(placed["offset"], 1);
    assert!(chat.next_text().await.contains(r#""data":{"n":1e999}"#));
    let body = json!({"channel": room, "limit": -1}).to_string();
    let answer = app.rest.send("POST", "/api/history", &headers, body).await;
    assert!(
        answer.text().contains(r#""data":{"n":1e999}"#),
        "{}",
        answer.text()
    );

    let many = json!({"channels": [room, other, "none"], "data": "all"});
    let responses = result(&app, "broadcast", many).await["responses"].clone();
    assert_eq!(responses[0]["result"]["offset"], 2);
    assert_eq!(responses[1]["result"]["offset"], 1);
    assert_eq!(responses[2]["error"]["code"], 102);
    chat.expect_message("all", "", &room).await;
    chat.say(&other, "not a member").await;
    chat.refusal().await;

    let key = json!({"channel": room, "data": 1, "idempotency_key": "k"});
    let first = result(&app, "publish", key.clone()).await;
    assert_eq!(first, result(&app, "publish", key).await);
    let epoch = &placed["epoch"];
    let since = json!({"channel": room, "limit": 10, "since": {"offset": 1, "epoch": epoch}});
    let page = result(&app, "history", since).await;
    assert_eq!((&page["offset"], &page["epoch"]), (&json!(3), epoch));
    assert_eq!(
        page["publications"],
        json!([{"data": "all", "offset": 2}, {"data": 1, "offset": 3}])
    );
    let top = result(&app, "history", json!({"channel": room})).await;
    assert_eq!(
        (&top["publications"], &top["offset"]),
        (&json!([]), &json!(3))
    );
    result(&app, "history_remove", json!({"channel": room})).await;
    let after = shelf(&app, &room, "").await;
    assert_eq!(after["offset"], 0);
    assert_ne!(&after["epoch"], epoch);
    let since = json!({"channel": room, "since": {"offset": 1, "epoch": epoch}});
    assert_eq!(fault(&app, "history", since).await, 112);
}

#[tokio::test]
async fn a_backend_sees_its_own_alone() {
    let host = Host::plain().await;
    let (app, other) = (App::register(&host).await, App::register(&host).await);
    let (room, [one, two]) = app.room_of().await;
    let (_, [stranger]) = other.room_of().await;
    let _first = Chat::as_user(&host, &one).await;
    let _again = Chat::as_user(&host, &one).await;
    let _second = Chat::as_user(&host, &two).await;
    let _stranger = Chat::as_user(&host, &stranger).await;
    let channel = json!({"channel": room});
    let stats = result(&app, "presence_stats", channel.clone()).await;
    assert_eq!(stats, json!({"num_clients": 3, "num_users": 2}));
    let present = result(&app, "presence", channel.clone()).await["presence"].clone();
    let mut users: Vec<&Value> = Vec::new();
    for (client, info) in present.as_object().unwrap() {
        assert_eq!(&info["client"], client);
        users.push(&info["user"]);
    }
    users.sort_by_key(ToString::to_string);
    let mut expected = [&one, &one, &two];
    expected.sort();
    assert_eq!(
        users,
        expected.map(|user| json!(user)).iter().collect::<Vec<_>>()
    );
    let heard = result(&app, "channels", json!({})).await;
    assert_eq!(
        heard,
        json!({"channels": {room.as_str(): {"num_clients": 3}}})
    );
    let none = result(&app, "channels", json!({"pattern": "lobby*"})).await;
    assert_eq!(none, json!({"channels": {}}));
    let node = result(&app, "info", json!({})).await["nodes"][0].clone();
    let count = |name: &str| node[name].as_u64().unwrap();
    let counts = ["num_clients", "num_users", "num_subs", "num_channels"].map(count);
    assert_eq!(counts, [3, 2, 3, 1]);
    posted(&app, &room, "1").await;
    for method in ["presence", "presence_stats", "history", "history_remove"] {
        assert_eq!(
            fault(&other, method, channel.clone()).await,
            102,
            "{method}"
        );
    }
    let publish = json!({"channel": room, "data": 1});
    assert_eq!(fault(&other, "publish", publish).await, 102);
    assert_eq!(shelf(&app, &room, "").await["offset"], 1);
}

#[tokio::test]
async fn commands_come_in_batches() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let publish = |data: u64| json!({"publish": {"channel": room, "data": data}});
    for parallel in [false, true] {
        let commands = json!([
            publish(1),
            publish(2),
            {"history": {"channel": "none"}},
            {"nothing": {}},
            {},
            {"presence_stats": {"channel": room}},
        ]);
        let batch = json!({"commands": commands, "parallel": parallel});
        let replies = call(&app, "batch", &batch).await.expect(200).json()["replies"].clone();
        let start = if parallel { 2 } else { 0 };
        assert_eq!(replies[0]["publish"]["offset"], start + 1, "{replies}");
        assert_eq!(replies[1]["publish"]["offset"], start + 2);
        let code = |at: usize| replies[at]["error"]["code"].clone();
        assert_eq!(
            [code(2), code(3), code(4)],
            [json!(102), json!(104), json!(107)]
        );
        assert_eq!(replies[5]["presence_stats"]["num_clients"], 0);
    }
    let many = vec![publish(1); 1_001];
    let refused = call(&app, "batch", &json!({"commands": many})).await;
    assert_eq!(refused.expect(200).json()["error"]["code"], 107);
}

#[tokio::test]
async fn what_skips_the_history_is_for_those_who_are_there() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let mut chat = Chat::as_user(&host, &user).await;
    let said = |data: &str| json!({"channel": room, "data": data});
    let passing = |data: &str| json!({"channel": room, "data": data, "skip_history": true});
    assert_eq!(result(&app, "publish", said("kept")).await["offset"], 1);
    assert_eq!(result(&app, "publish", passing("passing")).await, json!({}));
    assert_eq!(result(&app, "publish", said("kept too")).await["offset"], 2);
    for heard in ["kept", "passing", "kept too"] {
        chat.expect_message(heard, "", &room).await;
    }
    let page = result(&app, "history", json!({"channel": room, "limit": 9})).await;
    let publications = page["publications"].as_array().unwrap();
    let kept: Vec<_> = publications.iter().map(|it| &it["data"]).collect();
    assert_eq!(kept, ["kept", "kept too"]);
    let many = json!({"channels": [room], "data": "to many", "skip_history": true});
    let responses = result(&app, "broadcast", many).await;
    assert_eq!(responses["responses"][0]["result"], json!({}));
    chat.expect_message("to many", "", &room).await;
}

#[tokio::test]
async fn data_can_be_in_base64() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let mut chat = Chat::as_user(&host, &user).await;
    // {"n": 1e999}, beside data or without.
    for body in [
        json!({"channel": room, "data": "other", "b64data": "eyJuIjogMWU5OTl9"}),
        json!({"channel": room, "b64data": "eyJuIjogMWU5OTl9"}),
        json!({"channels": [room], "b64data": "eyJuIjogMWU5OTl9"}),
    ] {
        let method = ["publish", "broadcast"][usize::from(body["channel"].is_null())];
        result(&app, method, body).await;
        assert!(chat.next_text().await.contains(r#""data":{"n": 1e999}"#));
    }
    result(&app, "publish", json!({"channel": room, "data": null})).await;
    chat.expect_message(Value::Null, "", &room).await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let numbered = (0..33).map(|n| (n.to_string(), json!("")));
    let tags: serde_json::Map<_, _> = numbered.collect();
    for wrong in [
        json!({}),
        json!({"channel": room}),
        json!({"channel": 1, "data": 1}),
        json!({"channel": room, "data": 1, "b64data": "****"}),
        json!({"channel": room, "data": 1, "b64data": "eyI="}),
        json!({"channel": room, "b64data": ""}),
        json!({"channel": room, "data": 1, "tags": tags}),
        json!({"channel": room, "data": 1, "b64data": "AA=="}),
        json!({"channel": room, "data": 1, "idempotency_key": "k".repeat(129)}),
        json!([]),
    ] {
        assert_eq!(fault(&app, "publish", wrong).await, 107);
    }
    let large = json!({"channel": room, "data": "x".repeat(65 << 10)});
    assert_eq!(fault(&app, "publish", large).await, 106);
    let future = json!({"channel": room, "limit": 1, "since": {"offset": u64::MAX}});
    let page = result(&app, "history", future).await;
    assert_eq!(
        (&page["publications"], &page["offset"]),
        (&json!([]), &json!(0))
    );
    let epoch = json!({"channel": room, "since": {"offset": 0, "epoch": "never"}});
    assert_eq!(fault(&app, "history", epoch).await, 112);
    let headers = [("x-api-key", &app.key[..])];
    let answer = app.rest.send("POST", "/api/publish", &headers, "{").await;
    answer.expect_error(400, "bad_request");
    let answer = app.rest.send("POST", "/api/publish", &[], "{}").await;
    answer.expect_error(401, "unauthorized");
    let answer = app.rest.send("GET", "/api/publish", &headers, "").await;
    answer.expect_error(405, "method_not_allowed");
}
