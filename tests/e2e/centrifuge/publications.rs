//! What is said, between sessions of this protocol and of the seed's.

use super::{Client, REVOKED, accepted, code, info, position};
use serde_json::json;
use sschat_tests::{App, Chat, Host};

#[tokio::test]
async fn members_are_subscribed_and_hear_each_other_on_both_protocols() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob, carol]) = app.room_of().await;
    let (mut a, connected) = Client::of(&host, &app, &alice).await;
    assert_eq!(connected["subs"].as_object().unwrap().len(), 1);
    assert_eq!(position(&connected["subs"][&room]).0, 0);
    assert_eq!(
        (&connected["ping"], &connected["pong"]),
        (&json!(25), &json!(true))
    );
    let (mut b, _) = Client::of(&host, &app, &bob).await;
    let mut c = Chat::as_user(&host, &carol).await;

    let said = json!({"publish": {"channel": room, "data": {"n": 1}}});
    assert_eq!(accepted(&a.ask(said).await), 1);
    let by_alice = info(&alice, &connected);
    // Who publishes is a subscriber too, and hears it.
    a.expect_publication(&room, json!({"n": 1}), by_alice.clone())
        .await;
    b.expect_publication(&room, json!({"n": 1}), by_alice).await;
    c.expect_message(json!({"n": 1}), &alice, &room).await;

    c.say(&room, "hello").await;
    for client in [&mut a, &mut b] {
        client
            .expect_publication(&room, json!("hello"), json!({"user": carol, "client": ""}))
            .await;
    }
}

#[tokio::test]
async fn commands_of_one_frame_are_carried_out_in_order() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let (mut a, connected) = Client::of(&host, &app, &alice).await;
    // Each of the first two waits for a decision of its own.
    let lines = [
        json!({"id": 11, "publish": {"channel": room, "data": 1}}),
        json!({"id": 12, "subscribe": {"channel": "room_none"}}),
        json!({"id": 13, "presence": {"channel": room}}),
        json!({"id": 14, "publish": {"channel": room, "data": 2}}),
        json!({"id": 15, "rpc": {"method": "add", "data": {}}}),
        json!({"id": 16, "history": {"channel": room}}),
        json!({"send": {"data": {}}}),
        json!({"id": 17, "ping": {}}),
    ];
    let frame = lines.map(|line| line.to_string()).join("\n");
    a.chat.send_text(&frame).await;
    let mut replies = Vec::new();
    let mut heard = Vec::new();
    while replies.len() < 7 || heard.len() < 2 {
        let line = a.line().await;
        match line["id"].as_u64() {
            Some(id) => replies.push((id, line)),
            None => heard.push(line["push"]["pub"]["data"].clone()),
        }
    }
    // Publications are acknowledged when they are on the disk, all others in order.
    let (said, replies): (Vec<_>, Vec<_>) = replies
        .into_iter()
        .partition(|it| it.1["publish"].is_object());
    assert_eq!(
        said.iter()
            .map(|it| (it.0, accepted(&it.1)))
            .collect::<Vec<_>>(),
        [(11, 1), (14, 2)]
    );
    let ids: Vec<u64> = replies.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [12, 13, 15, 16, 17]);
    assert_eq!(heard, [json!(1), json!(2)]);
    let reply = |at: usize| &replies[at].1;
    assert_eq!(code(reply(0)), 103);
    let client = connected["client"].as_str().unwrap();
    let present = json!({client: {"user": alice, "client": client}});
    assert_eq!(reply(1)["presence"]["presence"], present);
    assert_eq!(code(reply(2)), 108);
    assert_eq!(reply(3)["history"]["offset"], 2);
}

#[tokio::test]
async fn who_may_not_speak_is_told_why() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let other = app.room().await;
    let (mut a, _) = Client::of(&host, &app, &alice).await;
    let refused = a
        .ask(json!({"publish": {"channel": other, "data": 1}}))
        .await;
    assert_eq!(code(&refused), 103, "{refused}");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("not a member")
    );
    let empty = a.ask(json!({"publish": {"channel": other}})).await;
    assert_eq!(code(&empty), 107);
}

#[tokio::test]
async fn a_member_that_is_removed_hears_no_more_and_one_that_is_added_does() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut a, _) = Client::of(&host, &app, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    app.remove(&room, &alice).await;
    b.say(&room, "not for Alice").await;
    let (channel, push) = a.push().await;
    assert_eq!(channel, room.as_str());
    assert_eq!(push["unsubscribe"]["code"], 2000, "{push}");
    let refused = a.ask(json!({"presence": {"channel": room}})).await;
    assert_eq!(code(&refused), 103);
    app.add(&room, &alice).await;
    let (channel, push) = a.push().await;
    assert_eq!(channel, room.as_str());
    assert_eq!(
        position(&push["subscribe"]).0,
        1,
        "what was said meanwhile is over"
    );
    b.say(&room, "for Alice").await;
    a.expect_publication(
        &room,
        json!("for Alice"),
        json!({"user": bob, "client": ""}),
    )
    .await;
}

#[tokio::test]
async fn a_user_that_is_deleted_is_sent_away_for_good() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let (mut a, _) = Client::of(&host, &app, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    assert_eq!(b.ping(&alice).await["data"], "online");
    app.delete_user(&alice).await;
    a.expect_close(REVOKED).await;
    b.presence(&alice, "offline").await;
}
