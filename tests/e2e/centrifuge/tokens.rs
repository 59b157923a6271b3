//! Tokens: whom they let in, for how long, and how they are refreshed.

use super::{Client, PATH, code};
use serde_json::json;
use sschat_tests::token::{now, sign, unsigned};
use sschat_tests::{App, Host};
use std::time::Duration;

#[tokio::test]
async fn a_token_names_the_app_where_the_address_does_not() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let mut client = Client::open_at(&host, PATH).await;
    let token = sign(&json!({"sub": alice, "app": app.id}), &app.secret);
    let connected = client.ask(json!({"connect": {"token": token}})).await;
    assert_eq!(
        connected["connect"]["subs"],
        json!({room: {}}),
        "{connected}"
    );
    assert!(connected["connect"].get("expires").is_none(), "{connected}");
}

#[tokio::test]
async fn tokens_that_let_nobody_in() {
    let host = Host::plain().await;
    let (app, other) = (App::register(&host).await, App::register(&host).await);
    let (_, [alice]) = app.room_of().await;
    let claims = json!({"sub": alice});
    let bad = [
        unsigned(&claims),
        sign(&claims, &other.secret),
        sign(&json!({"sub": alice, "nbf": now() + 3600}), &app.secret),
        sign(&json!({"sub": alice, "app": other.id}), &app.secret),
        "nonsense".to_owned(),
    ];
    for token in bad {
        let mut client = Client::open(&host, &app).await;
        client.send(json!({"connect": {"token": token}})).await;
        client.expect_close(3500).await;
    }
    let mut client = Client::open(&host, &app).await;
    let expired = sign(&json!({"sub": alice, "exp": now() - 5}), &app.secret);
    let refused = client.ask(json!({"connect": {"token": expired}})).await;
    assert_eq!(
        code(&refused),
        109,
        "the SDK asks for a new token and comes back"
    );
}

#[tokio::test]
async fn a_session_that_is_refreshed_outlives_its_first_token() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let token = |exp: u64| sign(&json!({"sub": alice, "exp": exp}), &app.secret);
    let mut client = Client::open(&host, &app).await;
    let (first, second) = (now() + 5, now() + 600);
    let connected = client
        .ask(json!({"connect": {"token": token(first)}}))
        .await;
    assert_eq!(connected["connect"]["expires"], true, "{connected}");
    assert!((1..=5).contains(&connected["connect"]["ttl"].as_u64().unwrap()));
    let refreshed = client
        .ask(json!({"refresh": {"token": token(second)}}))
        .await;
    assert_eq!(refreshed["refresh"]["expires"], true, "{refreshed}");
    let ttl = refreshed["refresh"]["ttl"].as_u64().unwrap();
    assert!((500..=600).contains(&ttl), "{ttl}");
    // A change after the first token's end has the grant evaluated anew, by the second.
    let mut seconds = tokio::time::interval(Duration::from_millis(100));
    while now() <= first {
        seconds.tick().await;
    }
    let more = app.room().await;
    app.add(&more, &alice).await;
    let (channel, _) = client.push().await;
    assert_eq!(channel, more.as_str());
    let said = client
        .ask(json!({"publish": {"channel": room, "data": 1}}))
        .await;
    assert_eq!(said["publish"], json!({}));
}

#[tokio::test]
async fn a_token_is_not_refreshed_by_what_is_not_its_users() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let later = now() + 600;
    let token = |user: &str, exp: u64| sign(&json!({"sub": user, "exp": exp}), &app.secret);
    let bad = [
        (token(&bob, later), 3500),
        (unsigned(&json!({"sub": alice, "exp": later})), 3500),
        (token(&alice, now() - 5), 3005),
    ];
    for (new, code) in bad {
        let mut client = Client::open(&host, &app).await;
        let first = json!({"connect": {"token": token(&alice, later)}});
        assert!(client.ask(first).await["connect"].is_object());
        client.send(json!({"refresh": {"token": new}})).await;
        client.expect_close(code).await;
    }
}

/// The grace that a client has to refresh its token is over 25 seconds after its end.
#[tokio::test]
async fn a_session_that_is_not_refreshed_ends_and_may_come_back() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let token = sign(&json!({"sub": alice, "exp": now() + 3}), &app.secret);
    let mut client = Client::open(&host, &app).await;
    let connected = client.ask(json!({"connect": {"token": token}})).await;
    assert_eq!(connected["connect"]["expires"], true, "{connected}");
    // The first ping comes before that, and an unanswered one would be another reason.
    assert_eq!(client.chat.next_text().await, "{}");
    client.chat.send_text("{}").await;
    client.expect_close(3005).await;
}
