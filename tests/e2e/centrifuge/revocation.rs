//! Tokens that are revoked under live sessions.

use super::{Client, REVOKED, code};
use serde_json::{Value, json};
use sschat_tests::chat::End;
use sschat_tests::token::{now, sign};
use sschat_tests::{App, Chat, Host};

async fn call(app: &App, method: &str, path: &str, body: &Value) -> Value {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [("x-api-key", &app.key[..])];
    let answer = app.rest.send(method, path, &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn connect(host: &Host, app: &App, claims: &Value) -> Client {
    let mut client = Client::open(host, app).await;
    let token = sign(claims, &app.secret);
    let reply = client.ask(json!({"connect": {"token": token}})).await;
    assert!(reply["connect"].is_object(), "{reply}");
    client
}

async fn is_kept_out(host: &Host, app: &App, claims: &Value) {
    let mut client = Client::open(host, app).await;
    let token = sign(claims, &app.secret);
    client.send(json!({"connect": {"token": token}})).await;
    client.expect_close(3500).await;
}

#[tokio::test]
async fn one_token_is_revoked_and_its_sessions_end() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let claims = |jti: &str| json!({"sub": alice, "jti": jti, "exp": now() + 600});
    let (first, second) = (claims("one/1"), claims("two"));
    let mut revoked = connect(&host, &app, &first).await;
    let mut other = connect(&host, &app, &second).await;
    // Another tenant's revocation of the same name is nobody else's.
    let stranger = App::register(&host).await;
    call(&stranger, "POST", "/api/token/one%2F1/revoke", &Value::Null).await;
    let publish = json!({"publish": {"channel": room, "data": 1}});
    assert!(revoked.ask(publish.clone()).await["publish"].is_object());
    call(
        &app,
        "POST",
        "/api/token/one%2F1/revoke",
        &json!({"expires_at": now() + 600}),
    )
    .await;
    // Said after the answer: the revoked session hears nothing of it.
    let said = other
        .ask(json!({"publish": {"channel": room, "data": "late"}}))
        .await;
    assert!(said["publish"].is_object(), "{said}");
    let (heard, end) = revoked.chat.end().await;
    assert!(!heard.iter().any(|text| text.contains("late")), "{heard:?}");
    assert_eq!(end, End::Closed(3500, "invalid token".to_owned()));
    is_kept_out(&host, &app, &first).await;
    call(&app, "DELETE", "/api/token/one%2F1/revoke", &Value::Null).await;
    connect(&host, &app, &first).await;
}

#[tokio::test]
async fn a_users_older_tokens_are_revoked_on_both_protocols() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let (old, new) = (now() - 100, now() - 10);
    let mut clients = Vec::new();
    for claims in [json!({"sub": alice, "iat": old}), json!({"sub": alice})] {
        clients.push(connect(&host, &app, &claims).await);
    }
    let mut newer = connect(&host, &app, &json!({"sub": alice, "iat": new})).await;
    let mut others = connect(&host, &app, &json!({"sub": bob, "iat": old})).await;
    let mut seed = Chat::connect(&host).await;
    let token = sign(
        &json!({"sub": alice, "app": app.id, "iat": old}),
        &app.secret,
    );
    seed.send(&json!({"command": "login", "token": token}))
        .await;
    assert_eq!(seed.next().await["type"], "login");
    let path = format!("/api/user/{alice}/revoke");
    call(&app, "POST", &path, &json!({"issued_before": new})).await;
    for client in &mut clients {
        client.expect_close(3500).await;
    }
    seed.expect_close(REVOKED).await;
    for client in [&mut newer, &mut others] {
        assert_eq!(client.ask(json!({"ping": {}})).await["ping"], json!({}));
    }
    let shown = call(&app, "GET", &path, &Value::Null).await;
    assert_eq!(
        shown,
        json!({"status": "ok", "user": alice, "issued_before": new})
    );
    // Without a time: whatever was made until now.
    call(&app, "POST", "/api/token/revoke", &Value::Null).await;
    newer.expect_close(3500).await;
    others.expect_close(3500).await;
    is_kept_out(&host, &app, &json!({"sub": bob, "iat": now() - 1})).await;
    connect(&host, &app, &json!({"sub": bob, "iat": now() + 2})).await;
}

#[tokio::test]
async fn a_revoked_subscription_token_ends_its_subscription() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let room = app.room().await;
    let mut client = connect(&host, &app, &json!({"sub": alice})).await;
    let pass = sign(
        &json!({"sub": alice, "channel": room, "jti": "pass"}),
        &app.secret,
    );
    let subscribe = json!({"subscribe": {"channel": room, "token": pass}});
    let joined = client.ask(subscribe.clone()).await;
    assert!(joined["subscribe"].is_object(), "{joined}");
    call(&app, "POST", "/api/token/pass/revoke", &Value::Null).await;
    let (channel, push) = client.push().await;
    assert_eq!(
        (channel, push["unsubscribe"].is_object()),
        (json!(room), true),
        "{push}"
    );
    assert_eq!(code(&client.ask(subscribe).await), 103);
}
