//! `/websocket/polling`: the seed's protocol, its further goals included.

use serde_json::{Value, json};
use sschat_tests::chat::POLLING;
use sschat_tests::{App, Chat, Host, Options, token};

async fn text_output(host: &Host) -> Chat {
    Chat::open(host.address(), &format!("{POLLING}?format=text"), &[])
        .await
        .unwrap()
}

#[tokio::test]
async fn two_members_talk() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::connect(&host).await;
    let mut b = Chat::connect(&host).await;
    let login = a.log_in(&alice).await;
    assert_eq!(
        login,
        json!({"type": "login", "data": "ok", "user": alice, "rooms": [room]})
    );
    b.log_in(&bob).await;
    a.say(&room, "hello").await;
    b.expect_message("hello", &alice, &room).await;
    b.say(&room, "hello yourself").await;
    a.expect_message("hello yourself", &bob, &room).await;
}

#[tokio::test]
async fn only_the_sending_connection_is_left_out() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut sending = Chat::as_user(&host, &alice).await;
    let mut other = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;

    sending.say(&room, 1).await;
    other.expect_message(1, &alice, &room).await;
    b.expect_message(1, &alice, &room).await;
    b.say(&room, 2).await;
    // Had its own message come back, it would be here before Bob's.
    sending.expect_message(2, &bob, &room).await;
    other.expect_message(2, &bob, &room).await;
}

#[tokio::test]
async fn a_message_is_any_json_value_and_arrives_as_it_was() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let values = [
        json!("text"),
        json!(""),
        json!("ünïcödé 🦀 \" \\ \n \u{0} \u{2028} </script>"),
        json!(0),
        json!(-1.5e300),
        json!(u64::MAX),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
        json!([1, [2, [3, {"deep": {"er": null}}]]]),
        json!({"type": "error", "from": "someone else", "command": "login", "": ""}),
    ];
    for value in values {
        a.say(&room, value.clone()).await;
        b.expect_message(value, &alice, &room).await;
    }
    // Numbers beyond what a double holds keep their digits.
    let digits = "123456789012345678901234567890.000000000000000000001";
    a.send_text(&format!(
        r#"{{"command":"room","room":"{room}","msg":{digits}}}"#
    ))
    .await;
    let text = loop {
        let text = b.next_text().await;
        if text.contains("\"message\"") {
            break text;
        }
    };
    assert!(text.contains(digits), "{text}");
    // White space and members of any order, an unknown one too.
    a.send_text(&format!(
        "\r\n {{ \"msg\" : \"x\" ,\t\"more\":[1], \"room\":\"{room}\",\"command\":\"room\" }} "
    ))
    .await;
    b.expect_message("x", &alice, &room).await;
    // A key written with escapes is the same key.
    a.send_text(&format!(
        r#"{{"\u0063ommand":"\u0072oom","room":"{room}","msg":"y"}}"#
    ))
    .await;
    b.expect_message("y", &alice, &room).await;
}

#[tokio::test]
async fn messages_of_one_sender_keep_their_order() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    for number in 0..500 {
        a.say(&room, number).await;
    }
    for number in 0..500 {
        b.expect_message(number, &alice, &room).await;
    }
}

#[tokio::test]
async fn a_message_stays_in_its_room() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (red, [alice, bob]) = app.room_of().await;
    let (blue, [carol]) = app.room_of().await;
    app.add(&blue, &alice).await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let mut c = Chat::as_user(&host, &carol).await;
    a.say(&red, "red").await;
    a.say(&blue, "blue").await;
    a.say(&red, "red again").await;
    a.say(&blue, "blue again").await;
    b.expect_message("red", &alice, &red).await;
    b.expect_message("red again", &alice, &red).await;
    c.expect_message("blue", &alice, &blue).await;
    c.expect_message("blue again", &alice, &blue).await;
}

#[tokio::test]
async fn coming_and_going_is_announced_to_those_who_share_a_room() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (elsewhere, [stranger]) = app.room_of().await;
    let mut s = Chat::as_user(&host, &stranger).await;
    let mut a = Chat::as_user(&host, &alice).await;

    let first = Chat::as_user(&host, &bob).await;
    a.presence(&bob, "online").await;
    let second = Chat::as_user(&host, &bob).await;
    first.close().await;
    // Bob has one connection left: still online, and nothing was announced in between.
    let answer = a.ping(&bob).await;
    assert_eq!(
        answer,
        json!({"type": "presense", "data": "online", "from": bob})
    );
    second.close().await;
    let news = a.next().await;
    assert_eq!(
        news,
        json!({"type": "presense", "data": "offline", "from": bob})
    );
    assert_eq!(a.ping(&bob).await["data"], "offline");

    // The stranger heard nothing of it: what comes next is a message of their own room.
    app.add(&elsewhere, &alice).await;
    a.say(&elsewhere, "hi").await;
    let heard = s
        .until("the message", |frame| {
            frame["type"] == "message" || frame["from"] == bob
        })
        .await;
    assert_eq!(heard["data"], "hi", "{heard}");
    // And may not ask either.
    let answer = s.ping(&bob).await;
    assert_eq!(answer["type"], "error", "{answer}");
    assert_eq!(
        room,
        app.get(&format!("/api/user/{bob}")).await["data"]["rooms"][0]
            .as_str()
            .unwrap()
    );
}

#[tokio::test]
async fn a_connection_that_breaks_off_goes_offline_too() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let b = Chat::as_user(&host, &bob).await;
    a.presence(&bob, "online").await;
    // Dropped without a close frame.
    drop(b);
    a.presence(&bob, "offline").await;
}

#[tokio::test]
async fn presence_is_not_pushed_in_big_rooms_but_ping_answers() {
    let host = Host::start(Options::new().arg("--presence-limit").arg("3")).await;
    let app = App::register(&host).await;
    let (big, [alice, bob, carol, dave]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let _b = Chat::as_user(&host, &bob).await;
    a.presence(&bob, "online").await;
    let _c = Chat::as_user(&host, &carol).await;
    a.presence(&carol, "online").await;
    // The fourth is one too many to announce.
    let mut d = Chat::as_user(&host, &dave).await;
    d.say(&big, "I am here").await;
    let next = a.next().await;
    assert_eq!(
        next,
        json!({"type": "message", "data": "I am here", "from": dave, "to": big})
    );
    assert_eq!(a.ping(&dave).await["data"], "online");
}

#[tokio::test]
async fn the_older_output_is_bare_messages_and_nothing_else() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut b = Chat::as_user(&host, &bob).await;
    let mut a = text_output(&host).await;
    a.send(&json!({"command": "login", "user": alice})).await;
    b.presence(&alice, "online").await;
    // A refusal is not a message either.
    a.send(&json!({"command": "nonsense"})).await;
    a.send(&json!({"command": "ping", "user": bob})).await;
    a.say(&room, "from text").await;
    b.expect_message("from text", &alice, &room).await;

    b.say(&room, "plain \"text\"").await;
    b.say(&room, json!({"a": [1, "x"]})).await;
    b.say(&room, 7).await;
    assert_eq!(a.next_text().await, "plain \"text\"", "a string is bare");
    let object: Value = serde_json::from_str(&a.next_text().await).unwrap();
    assert_eq!(object, json!({"a": [1, "x"]}));
    assert_eq!(a.next_text().await, "7");
    let (mut c, carol) = (text_output(&host).await, app.user().await);
    app.add(&room, &carol).await;
    c.send(&json!({"command": "login", "user": carol})).await;
    b.presence(&carol, "online").await;
    b.say(&room, "after").await;
    assert_eq!(a.next_text().await, "after", "no presence in between");
    assert_eq!(c.next_text().await, "after");
}

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

#[tokio::test]
async fn apps_do_not_hear_each_other() {
    let host = Host::plain().await;
    let (one, two) = (App::register(&host).await, App::register(&host).await);
    let (room, [alice, bob]) = one.room_of().await;
    let (_, [mallory]) = two.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let mut m = Chat::as_user(&host, &mallory).await;
    m.say(&room, "let me in").await;
    m.refusal().await;
    assert_eq!(m.ping(&alice).await["type"], "error");
    // A user id of one app does not log in under another's name.
    let mut wrong = Chat::open(host.address(), &format!("{POLLING}?app={}", two.id), &[])
        .await
        .unwrap();
    wrong
        .send(&json!({"command": "login", "user": alice}))
        .await;
    wrong.refusal().await;
    a.say(&room, "private").await;
    b.expect_message("private", &alice, &room).await;
}
