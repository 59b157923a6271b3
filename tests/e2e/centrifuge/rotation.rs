//! Secrets and public keys that come and go under live sessions.

use super::{Client, REVOKED};
use serde_json::{Value, json};
use sschat_tests::token::{now, sign};
use sschat_tests::{App, Host};

async fn change(app: &App, method: &str, what: &str, body: &Value) -> Value {
    let path = format!("/api/register/{}/{what}", app.key);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = app.rest.send(method, &path, &[], body).await;
    assert!(answer.status < 300, "{}", answer.text());
    answer.json()
}

async fn connect(host: &Host, app: &App, user: &str, secret: &str) -> (Client, Value) {
    let mut client = Client::open(host, app).await;
    let token = sign(&json!({"sub": user, "exp": now() + 600}), secret);
    let id = client.send(json!({"connect": {"token": token}})).await;
    let reply = client.reply(id).await;
    (client, reply)
}

#[tokio::test]
async fn a_session_ends_with_the_secret_that_signed_its_token() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let (mut first, _) = connect(&host, &app, &alice, &app.secret).await;
    let rotated = change(&app, "POST", "secret", &Value::Null).await;
    let secret = rotated["secret"].as_str().unwrap();
    // Both are valid, and the first session noticed nothing.
    let (mut second, reply) = connect(&host, &app, &alice, secret).await;
    assert!(reply["connect"].is_object(), "{reply}");
    let publish = json!({"publish": {"channel": room, "data": 1}});
    assert!(first.ask(publish.clone()).await["publish"].is_object());
    change(&app, "DELETE", "secret", &Value::Null).await;
    first.expect_close(REVOKED).await;
    let mut late = Client::open(&host, &app).await;
    let old = sign(&json!({"sub": alice}), &app.secret);
    late.send(json!({"connect": {"token": old}})).await;
    late.expect_close(3500).await;
    assert!(second.ask(publish).await["publish"].is_object());
    // Two rotations later that one is over as well.
    change(&app, "POST", "secret", &Value::Null).await;
    change(&app, "POST", "secret", &Value::Null).await;
    second.expect_close(REVOKED).await;
}

#[tokio::test]
async fn an_algorithm_that_is_taken_back_ends_its_sessions() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let (mut client, reply) = connect(&host, &app, &alice, &app.secret).await;
    assert!(reply["connect"].is_object(), "{reply}");
    change(
        &app,
        "PUT",
        "tokens",
        &json!({"algorithms": ["HS256", "EdDSA"]}),
    )
    .await;
    assert_eq!(client.ask(json!({"ping": {}})).await["ping"], json!({}));
    change(&app, "PUT", "tokens", &json!({"algorithms": ["EdDSA"]})).await;
    client.expect_close(REVOKED).await;
}
