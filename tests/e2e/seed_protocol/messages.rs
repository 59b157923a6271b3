//! Who hears what is said.

use super::text_output;
use serde_json::{Value, json};
use sschat_tests::chat::POLLING;
use sschat_tests::{App, Chat, Host};

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
