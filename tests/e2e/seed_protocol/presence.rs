//! Who is online.

use serde_json::json;
use sschat_tests::{App, Chat, Host, Options};

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
