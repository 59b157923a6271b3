//! `/api/webhook`.

use super::{published, said, say, start, told};
use serde_json::{Value, json};
use sschat_tests::{Chat, EventStream, Receiver};

#[tokio::test]
async fn settings_are_shown_changed_and_deleted() {
    let (_host, app) = start().await;
    app.call("GET", "/api/webhook")
        .await
        .expect_error(404, "not_found");
    app.call("POST", "/api/webhook/secret")
        .await
        .expect_error(404, "not_found");
    app.call("DELETE", "/api/webhook")
        .await
        .expect_error(404, "not_found");
    let made = app.webhook(&json!({"url": "https://example.com/a"})).await;
    assert_eq!(made["secret"].as_str().unwrap().len(), 64);
    let kinds = json!([
        "connect",
        "disconnect",
        "join",
        "leave",
        "occupied",
        "vacated"
    ]);
    let expected =
        json!({"status": "ok", "url": "https://example.com/a", "kinds": kinds, "secrets": 1});
    assert_eq!(app.get("/api/webhook").await, expected);
    let other = app.webhook(&json!({"kinds": ["published", "join"]})).await;
    let expected =
        json!({"status": "ok", "url": null, "kinds": ["join", "published"], "secrets": 1});
    assert_eq!(other, expected, "the secret is shown once");
    app.call("PATCH", "/api/webhook")
        .await
        .expect_error(405, "method_not_allowed");
    app.call("DELETE", "/api/webhook").await.expect(200);
    app.call("GET", "/api/webhook")
        .await
        .expect_error(404, "not_found");
}

#[tokio::test]
async fn what_is_no_setting_is_refused() {
    let (_host, app) = start().await;
    let path = format!("/api/webhook?apikey={}", app.key);
    for (body, code) in [
        ("", "bad_webhook"),
        ("[]", "bad_webhook"),
        (r#"{"kinds":["said"]}"#, "bad_webhook"),
        (r#"{"address":"https://example.com/"}"#, "bad_webhook"),
        (r#"{"url":"ftp://example.com/"}"#, "bad_webhook_url"),
        (r#"{"url":"https://user@example.com/"}"#, "bad_webhook_url"),
        (r#"{"url":"https:///path"}"#, "bad_webhook_url"),
    ] {
        let answer = app.rest.send("PUT", &path, &[], body.to_owned()).await;
        answer.expect_error(400, code);
    }
    let stranger = "/api/webhook?apikey=apikey_00000000000000000000000000000000";
    for method in ["GET", "PUT", "DELETE"] {
        let answer = app.rest.send(method, stranger, &[], "{}".to_owned()).await;
        answer.expect_error(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_change_takes_effect_at_once() {
    let (host, app) = start().await;
    let (mut old, mut new) = (Receiver::start().await, Receiver::start().await);
    let (room, [alice]) = app.room_of().await;
    // Nothing was wanted, so nothing was kept.
    say(&app, &room, "before").await;
    let off = app.call("GET", "/api/events").await;
    off.expect_error(409, "events_off");
    app.webhook(&published(&old.url())).await;
    say(&app, &room, 1).await;
    assert_eq!(said(&[old.event().await]), [Value::from(1)]);
    app.webhook(&published(&new.url())).await;
    say(&app, &room, 2).await;
    assert_eq!(said(&[new.event().await]), [Value::from(2)]);
    app.webhook(&json!({"url": new.url(), "kinds": ["connect"]}))
        .await;
    say(&app, &room, 3).await;
    let chat = Chat::as_user(&host, &alice).await;
    assert_eq!(
        told(&[new.event().await]),
        [("connect", "", alice.as_str())]
    );
    app.call("DELETE", "/api/webhook").await.expect(200);
    say(&app, &room, 4).await;
    chat.close().await;
    let off = app.call("GET", "/api/events").await;
    off.expect_error(409, "events_off");
    app.webhook(&published(&new.url())).await;
    say(&app, &room, 5).await;
    assert_eq!(said(&[new.event().await]), [Value::from(5)]);
    assert!(old.waiting().is_none());
}

#[tokio::test]
async fn a_webhook_in_a_pause_hears_of_another_address_at_once() {
    let (_host, app) = start().await;
    let (mut failing, mut good) = (Receiver::start().await, Receiver::start().await);
    failing.answer("503 No\r\nretry-after: 3600");
    let room = app.room().await;
    app.webhook(&published(&failing.url())).await;
    say(&app, &room, "late").await;
    failing.post().await;
    app.webhook(&published(&good.url())).await;
    assert_eq!(said(&[good.event().await]), [Value::from("late")]);
}

#[tokio::test]
async fn two_secrets_sign_while_one_is_introduced() {
    let (_host, app) = start().await;
    let mut hook = Receiver::start().await;
    let room = app.room().await;
    let made = app.webhook(&published(&hook.url())).await;
    let first = made["secret"].as_str().unwrap();
    let rotated = app
        .call("POST", "/api/webhook/secret")
        .await
        .expect(201)
        .json();
    assert_eq!(rotated["secrets"], 2);
    let second = rotated["secret"].as_str().unwrap();
    say(&app, &room, 1).await;
    let post = hook.post().await;
    assert_eq!(
        [first, second].map(|secret| post.signed_with(secret)),
        [1, 1]
    );
    let retired = app
        .call("DELETE", "/api/webhook/secret")
        .await
        .expect(200)
        .json();
    assert_eq!(retired["retired"], true);
    say(&app, &room, 2).await;
    let post = hook.post().await;
    assert_eq!(
        [first, second].map(|secret| post.signed_with(secret)),
        [0, 1]
    );
    let retired = app
        .call("DELETE", "/api/webhook/secret")
        .await
        .expect(200)
        .json();
    assert_eq!(retired["retired"], false, "one always signs");
}

#[tokio::test]
async fn a_deleted_key_takes_its_events_with_it() {
    let (host, app) = start().await;
    let mut hook = Receiver::start().await;
    hook.answer("500 No");
    let room = app.room().await;
    app.webhook(&published(&hook.url())).await;
    let path = format!("/api/events?apikey={}", app.key);
    let mut stream = EventStream::open(&host, &path, None).await.unwrap();
    say(&app, &room, 1).await;
    assert_eq!(stream.event().await.unwrap()["data"], 1);
    hook.post().await;
    app.delete().await;
    assert_eq!(stream.event().await, None, "it ends");
    assert_eq!(
        EventStream::open(&host, &path, None).await.unwrap_err(),
        401
    );
}
