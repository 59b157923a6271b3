//! What a tenant holds its sessions to.

use super::{Client, code};
use crate::history::post;
use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{Answer, App, Chat, Host};

async fn send(app: &App, method: &str, path: &str, body: &Value) -> Answer {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [("x-api-key", &app.key[..])];
    app.rest.send(method, path, &headers, body).await
}

async fn put(app: &App, path: &str, body: Value) {
    let answer = send(app, "PUT", path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_live_session_is_held_to_new_limits() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.policy("PUT", "?rule=open", "").await.expect(200);
    let (room, [alice]) = app.room_of().await;
    let (mut client, _) = Client::of(&host, &app, &alice).await;
    let mut seed = Chat::as_user(&host, &alice).await;
    let long = "x".repeat(60);
    let publish = json!({"publish": {"channel": room, "data": long}});
    let subscribe = |channel: &str| json!({"subscribe": {"channel": channel}});
    assert!(client.ask(publish.clone()).await["publish"].is_object());
    let limits = json!({"message_size": 50, "channels": 2, "channel_length": 40});
    put(&app, "/api/settings", json!({"limits": limits})).await;
    assert_eq!(code(&client.ask(publish.clone()).await), 106);
    assert_eq!(code(&client.ask(subscribe(&long)).await), 107);
    for channel in ["one", "two"] {
        let heard = client.ask(subscribe(channel)).await;
        assert!(heard["subscribe"].is_object(), "{heard}");
    }
    assert_eq!(code(&client.ask(subscribe("three")).await), 106);
    seed.say(&room, long.clone()).await;
    let refused = seed.until("a refusal", |it| it["type"] == "error").await;
    assert_eq!(refused["code"], "too_large", "{refused}");
    let refused = post(&app, &room, &json!(long).to_string()).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    // Another tenant's session is held to the host's limits alone, and so is this one again.
    let other = App::register(&host).await;
    let (room, [bob]) = other.room_of().await;
    let (mut free, _) = Client::of(&host, &other, &bob).await;
    let theirs = json!({"publish": {"channel": room, "data": long}});
    assert!(free.ask(theirs).await["publish"].is_object());
    assert_eq!(
        send(&app, "DELETE", "/api/settings", &Value::Null)
            .await
            .status,
        200
    );
    assert!(client.ask(publish).await["publish"].is_object());
}

#[tokio::test]
async fn commands_are_paced_on_both_protocols() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let limits = json!({"commands_per_second": 1, "channels": 1});
    put(&app, "/api/settings", json!({"limits": limits})).await;
    let (mut client, _) = Client::of(&host, &app, &alice).await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(client.ask(json!({"ping": {}})).await);
    }
    assert!(answers[0]["ping"].is_object(), "{answers:?}");
    assert_eq!(code(&answers[7]), 111, "{answers:?}");
    let mut seed = Chat::as_user(&host, &alice).await;
    for _ in 0..8 {
        seed.send(&json!({"command": "ping", "user": alice})).await;
    }
    let refused = seed.until("a refusal", |it| it["type"] == "error").await;
    assert_eq!(refused["code"], "limit", "{refused}");
}

#[tokio::test]
async fn an_app_can_require_tokens_later() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut bare = Chat::as_user(&host, &alice).await;
    let mut signed = Chat::connect(&host).await;
    let token = sign(&json!({"sub": alice, "app": app.id}), &app.secret);
    let login = json!({"command": "login", "token": token});
    signed.send(&login).await;
    signed.until("the login", |it| it["type"] == "login").await;
    put(&app, "/api/settings", json!({"require_token": true})).await;
    bare.expect_close(4501).await;
    assert_eq!(signed.ping(&alice).await["data"], "online");
    let mut late = Chat::connect(&host).await;
    late.send(&json!({"command": "login", "user": alice})).await;
    assert_eq!(late.refusal().await["code"], "token_required");
}

#[tokio::test]
async fn settings_are_known_ones_or_refused() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let refusal = async |body: Value| {
        let answer = send(&app, "PUT", "/api/settings", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        answer.json()
    };
    let unknown = refusal(json!({"limits": {"chanels": 5}})).await;
    assert_eq!(unknown["code"], "unknown_setting");
    assert!(unknown["msg"].as_str().unwrap().ends_with("channels"));
    let unknown = refusal(json!({"histori": {}})).await;
    assert!(unknown["msg"].as_str().unwrap().ends_with("history"));
    for bad in [
        json!([]),
        json!({"limits": {"channels": -1}}),
        json!({"limits": {"queue_size": 10}}),
        json!({"history": {"size": "5"}}),
        json!({"require_token": 1}),
    ] {
        assert_eq!(refusal(bad).await["code"], "bad_settings");
    }
    let shown = send(&app, "GET", "/api/settings", &Value::Null)
        .await
        .json();
    assert_eq!(shown["settings"]["limits"]["channels"], Value::Null);
}
