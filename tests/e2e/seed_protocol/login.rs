//! Logging in, with a bare user id and with a token.

use serde_json::json;
use sschat_tests::chat::POLLING;
use sschat_tests::{App, Chat, Host, token};

#[tokio::test]
async fn a_second_login_replaces_the_first() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (red, [alice, bob]) = app.room_of().await;
    let (blue, [carol, dave]) = app.room_of().await;
    let mut b = Chat::as_user(&host, &bob).await;
    let mut d = Chat::as_user(&host, &dave).await;
    let mut a = Chat::as_user(&host, &alice).await;
    b.presence(&alice, "online").await;
    let login = a.log_in(&carol).await;
    assert_eq!(login["rooms"], json!([blue]));
    b.presence(&alice, "offline").await;
    d.presence(&carol, "online").await;

    b.say(&red, "for members of red").await;
    d.say(&blue, "for members of blue").await;
    a.expect_message("for members of blue", &dave, &blue).await;
    a.say(&red, "not mine any more").await;
    a.refusal().await;
    a.say(&blue, "mine").await;
    d.expect_message("mine", &carol, &blue).await;
    // A login that fails ends the one before it all the same.
    let nobody = "user_00000000000040008000000000000000";
    a.send(&json!({"command": "login", "user": nobody})).await;
    assert_eq!(a.refusal().await["code"], "unknown_user");
    d.presence(&carol, "offline").await;
    a.say(&blue, "nobody's").await;
    assert_eq!(a.refusal().await["code"], "unauthorized");
}

#[tokio::test]
async fn a_token_signed_with_the_secret_logs_in() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let path = format!("{POLLING}?app={}", app.id);
    let mut b = Chat::as_user(&host, &bob).await;
    let mut a = Chat::open(host.address(), &path, &[]).await.unwrap();
    let good = token::sign(
        &json!({"sub": alice, "exp": token::now() + 600}),
        &app.secret,
    );
    a.send(&json!({"command": "login", "token": good})).await;
    let login = a.next().await;
    assert_eq!(
        login,
        json!({"type": "login", "data": "ok", "user": alice, "rooms": [room]})
    );
    a.say(&room, "signed").await;
    b.expect_message("signed", &alice, &room).await;

    // The app may be named by a claim instead.
    let mut other = Chat::connect(&host).await;
    let claims = json!({"sub": alice, "exp": token::now() + 600, "app": app.id});
    other
        .send(&json!({"command": "login", "token": token::sign(&claims, &app.secret)}))
        .await;
    assert_eq!(other.next().await["user"], alice);
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_refused() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let other = App::register(&host).await;
    let alice = app.user().await;
    let path = format!("{POLLING}?app={}", app.id);
    let soon = token::now() + 600;
    let claims = json!({"sub": alice, "exp": soon});
    let good = token::sign(&claims, &app.secret);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = token::sign(
        &json!({"sub": "user_00000000000040008000000000000000", "exp": soon}),
        "guess",
    );
    let bad = [
        ("another app's secret", token::sign(&claims, &other.secret)),
        ("no signature", token::unsigned(&claims)),
        ("an empty signature", format!("{head}.")),
        (
            "a cut signature",
            format!("{head}.{}", &signature[..signature.len() - 2]),
        ),
        ("claims of another token", {
            let payload = forged.split('.').nth(1).unwrap();
            format!("{}.{payload}.{signature}", head.split('.').next().unwrap())
        }),
        (
            "the past",
            token::sign(
                &json!({"sub": alice, "exp": token::now() - 60}),
                &app.secret,
            ),
        ),
        (
            "not yet",
            token::sign(
                &json!({"sub": alice, "exp": soon, "nbf": soon}),
                &app.secret,
            ),
        ),
        (
            "no subject",
            token::sign(&json!({"exp": soon}), &app.secret),
        ),
        (
            "an unknown user",
            token::sign(
                &json!({"sub": "user_00000000000040008000000000000000", "exp": soon}),
                &app.secret,
            ),
        ),
        (
            "a user of another app",
            token::sign(
                &json!({"sub": other.user().await, "exp": soon}),
                &app.secret,
            ),
        ),
        ("no token at all", "x".to_owned()),
        ("nothing", String::new()),
    ];
    let mut chat = Chat::open(host.address(), &path, &[]).await.unwrap();
    for (what, token) in bad {
        chat.send(&json!({"command": "login", "token": token}))
            .await;
        let answer = chat.next().await;
        assert_eq!(answer["type"], "error", "{what}: {answer}");
        assert!(!answer.to_string().contains(&app.secret), "{what}");
    }
    chat.send(&json!({"command": "login", "token": good})).await;
    assert_eq!(chat.next().await["type"], "login");
}

#[tokio::test]
async fn an_app_can_require_tokens() {
    let host = Host::plain().await;
    let app = App::register_with(&host, r#"{"require_token":true}"#).await;
    let alice = app.user().await;
    let mut chat = Chat::open(host.address(), &format!("{POLLING}?app={}", app.id), &[])
        .await
        .unwrap();
    chat.send(&json!({"command": "login", "user": alice})).await;
    let refusal = chat.refusal().await;
    assert_eq!(refusal["code"], "token_required", "{refusal}");
    let good = token::sign(
        &json!({"sub": alice, "exp": token::now() + 600}),
        &app.secret,
    );
    chat.send(&json!({"command": "login", "token": good})).await;
    assert_eq!(chat.next().await["type"], "login");
    // No other app is affected.
    let free = App::register(&host).await;
    let user = free.user().await;
    Chat::as_user(&host, &user).await;
}

#[tokio::test]
async fn a_session_ends_when_its_token_does() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let alice = app.user().await;
    let mut chat = Chat::open(host.address(), &format!("{POLLING}?app={}", app.id), &[])
        .await
        .unwrap();
    let short = token::sign(&json!({"sub": alice, "exp": token::now() + 2}), &app.secret);
    chat.send(&json!({"command": "login", "token": short}))
        .await;
    assert_eq!(chat.next().await["type"], "login");
    let (_, how) = chat.end().await;
    assert!(
        matches!(how, sschat_tests::chat::End::Closed(code, _) if code >= 3000),
        "{how:?}"
    );
}
