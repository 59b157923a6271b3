//! Channels that clients name themselves, and who is in them.

use super::{Client, PATH, accepted, code, info, position};
use serde_json::{Value, json};
use sschat_tests::{App, Chat, Host};

/// An app where anybody may hear and say anything.
pub(super) async fn open_app(host: &Host) -> App {
    let app = App::register(host).await;
    app.put_rule("open").await;
    app
}

/// Somebody without a token; the answer to the connect.
pub(super) async fn anybody(host: &Host, app: &App, data: Value) -> (Client, Value) {
    let mut client = Client::open(host, app).await;
    let connected = client.ask(json!({"connect": {"data": data}})).await;
    assert!(connected["connect"].is_object(), "{connected}");
    (client, connected["connect"].clone())
}

#[tokio::test]
async fn subscribe_publish_unsubscribe() {
    let host = Host::plain().await;
    let app = open_app(&host).await;
    let (mut a, first) = anybody(&host, &app, json!({"user": "ann"})).await;
    let (mut b, _) = anybody(&host, &app, json!({})).await;
    let subscribe = json!({"subscribe": {"channel": "news"}});
    for client in [&mut a, &mut b] {
        let subscribed = client.ask(subscribe.clone()).await;
        assert_eq!(position(&subscribed["subscribe"]).0, 0);
    }
    let twice = b.ask(subscribe.clone()).await;
    assert_eq!(code(&twice), 105);
    let said = json!({"publish": {"channel": "news", "data": [1]}});
    assert_eq!(accepted(&a.ask(said.clone()).await), 1);
    b.expect_publication("news", json!([1]), info("ann", &first))
        .await;
    let left = b.ask(json!({"unsubscribe": {"channel": "news"}})).await;
    assert_eq!(left["unsubscribe"], json!({}));
    a.ask(said).await;
    let again = b.ask(subscribe).await;
    assert_eq!(position(&again["subscribe"]).0, 2, "and nothing before it");
    assert!(b.came.is_empty(), "{:?}", b.came);
}

#[tokio::test]
async fn who_is_there_and_who_comes_and_goes() {
    let host = Host::plain().await;
    let app = open_app(&host).await;
    let (mut a, ann) = anybody(&host, &app, json!({"user": "ann"})).await;
    let wanted = json!({"subscribe": {"channel": "news", "join_leave": true}});
    a.ask(wanted).await;
    let (_, own) = a.push().await;
    assert_eq!(own["join"]["info"], info("ann", &ann));
    let (mut b, ben) = anybody(&host, &app, json!({"user": "ben"})).await;
    b.ask(json!({"subscribe": {"channel": "news"}})).await;
    let (channel, came) = a.push().await;
    assert_eq!(
        (channel, &came["join"]["info"]),
        (json!("news"), &info("ben", &ben))
    );

    // A connection of the seed's protocol is a client too, by a name that stays the same.
    let mut c = Chat::connect_to(&host, &app.id).await;
    c.log_in("cat").await;
    c.send(&json!({"command": "join", "room": "news"})).await;
    c.membership("news", "add").await;
    let (_, came) = a.push().await;
    let cat = came["join"]["info"].clone();
    assert_eq!(cat["user"], "cat");

    let present = a.ask(json!({"presence": {"channel": "news"}})).await;
    let present = present["presence"]["presence"].as_object().unwrap().clone();
    for who in [&info("ann", &ann), &info("ben", &ben), &cat] {
        assert_eq!(present[who["client"].as_str().unwrap()], *who);
    }
    assert_eq!(present.len(), 3);
    let stats = a.ask(json!({"presence_stats": {"channel": "news"}})).await;
    let wanted = json!({"num_clients": 3, "num_users": 3});
    assert_eq!(stats["presence_stats"], wanted);

    c.send(&json!({"command": "leave", "room": "news"})).await;
    assert_eq!(a.push().await.1["leave"]["info"], cat);
    b.chat.close().await;
    assert_eq!(a.push().await.1["leave"]["info"], info("ben", &ben));
}

#[tokio::test]
async fn only_those_who_hear_a_channel_ask_who_is_there() {
    let host = Host::plain().await;
    let app = open_app(&host).await;
    let (mut a, _) = anybody(&host, &app, json!({})).await;
    for question in ["presence", "presence_stats", "history"] {
        let refused = a.ask(json!({question: {"channel": "news"}})).await;
        assert_eq!(code(&refused), 103, "{question}");
    }
}

#[tokio::test]
async fn crowded_channels_do_not_say_who_is_there() {
    let host = Host::start(sschat_tests::Options::new().arg("--presence-limit=1")).await;
    let app = open_app(&host).await;
    let (mut a, _) = anybody(&host, &app, json!({})).await;
    let (mut b, _) = anybody(&host, &app, json!({})).await;
    for client in [&mut a, &mut b] {
        client.ask(json!({"subscribe": {"channel": "news"}})).await;
    }
    let refused = a.ask(json!({"presence": {"channel": "news"}})).await;
    assert_eq!(code(&refused), 108);
}

#[tokio::test]
async fn without_a_token_only_apps_that_allow_it_let_anybody_in() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let mut nobody = Client::open(&host, &app).await;
    nobody.send(json!({"connect": {}})).await;
    nobody.expect_close(3507).await;
    let mut nowhere = Client::open_at(&host, PATH).await;
    nowhere.send(json!({"connect": {}})).await;
    nowhere.expect_close(3507).await;
}
