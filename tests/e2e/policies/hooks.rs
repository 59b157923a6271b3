//! What each hook decides on live sessions, and that a change is in effect when it is answered.

use serde_json::json;
use sschat_tests::policy::on_command;
use sschat_tests::{App, Chat, Host};

async fn ruled(host: &Host) -> (App, String, Chat, Chat, [String; 2]) {
    let app = App::register(host).await;
    let (room, [alice, bob]) = app.room_of().await;
    app.rule_by(on_command()).await;
    let a = Chat::as_user(host, &alice).await;
    let b = Chat::as_user(host, &bob).await;
    (app, room, a, b, [alice, bob])
}

#[tokio::test]
async fn publishing_is_allowed_denied_and_rewritten_as_configured() {
    let host = Host::plain().await;
    let (app, room, mut a, mut b, [alice, _]) = ruled(&host).await;
    a.say(&room, "first").await;
    b.expect_message("first", &alice, &room).await;
    for round in 0..20 {
        app.configure(&json!("deny")).await;
        a.say(&room, "no").await;
        assert_eq!(a.refusal().await["code"], "denied", "round {round}");
        app.configure(&json!("allow")).await;
        a.say(&room, round).await;
        b.expect_message(round, &alice, &room).await;
    }
    app.configure(&json!("rewrite")).await;
    a.say(&room, "anything").await;
    b.expect_message(json!({"rewritten": true}), &alice, &room)
        .await;
    app.policy("DELETE", "", "").await.expect(200);
    a.say(&room, "as it is").await;
    b.expect_message("as it is", &alice, &room).await;
}

/// A verdict about one payload is not used for the next.
#[tokio::test]
async fn a_policy_that_reads_the_payload_reads_each() {
    let host = Host::plain().await;
    let (app, room, mut a, mut b, [alice, _]) = ruled(&host).await;
    app.configure(&json!("payload")).await;
    for round in 0..10 {
        a.say(&room, format!("please {round}")).await;
        b.expect_message(format!("please {round}"), &alice, &room)
            .await;
        a.say(&room, format!("now {round}")).await;
        let refusal = a.refusal().await;
        assert_eq!(refusal["code"], "not_this", "{refusal}");
        assert!(
            refusal["data"].as_str().unwrap().contains("now"),
            "{refusal}"
        );
    }
}

/// A verdict about one connection is not used for another of the same user.
#[tokio::test]
async fn a_policy_that_reads_a_header_reads_each_connections() {
    let host = Host::plain().await;
    let (app, room, mut plain, mut b, [alice, _]) = ruled(&host).await;
    app.configure(&json!("header")).await;
    let mut passed = Chat::connect_with(&host, &[("x-pass", "yes")]).await;
    passed.log_in(&alice).await;
    for round in 0..5 {
        passed.say(&room, round).await;
        b.expect_message(round, &alice, &room).await;
        plain.say(&room, "without").await;
        plain
            .until("a refusal", |frame| frame["code"] == "not_this")
            .await;
    }
}

#[tokio::test]
async fn logging_in_can_be_refused_refined_and_ended() {
    let host = Host::plain().await;
    let (app, room, mut a, _b, [alice, bob]) = ruled(&host).await;
    let order = |mode: &str| json!({"mode": mode, "hook": "login", "only": alice});
    app.configure(&order("mute")).await;
    a.say(&room, "muted").await;
    assert_eq!(a.refusal().await["code"], "denied");
    // Revoked: the live session ends, and cannot come back.
    app.configure(&order("deny")).await;
    a.expect_close(4501).await;
    let mut again = Chat::connect(&host).await;
    again
        .send(&json!({"command": "login", "user": alice}))
        .await;
    assert_eq!(again.refusal().await["code"], "denied");
    Chat::as_user(&host, &bob).await;
    app.configure(&order("expires")).await;
    let mut short = Chat::as_user(&host, &alice).await;
    short.expect_close(4501).await;
}

#[tokio::test]
async fn rooms_can_be_closed_to_a_member() {
    let host = Host::plain().await;
    let (app, room, mut a, mut b, [alice, bob]) = ruled(&host).await;
    app.configure(&json!({"mode": "deny", "hook": "join", "only": room}))
        .await;
    a.membership(&room, "remove").await;
    b.membership(&room, "remove").await;
    let mut late = Chat::connect(&host).await;
    assert_eq!(late.log_in(&alice).await["rooms"], json!([]));
    app.configure(&json!("allow")).await;
    b.membership(&room, "add").await;
    late.membership(&room, "add").await;
    late.say(&room, "back").await;
    b.expect_message("back", &alice, &room).await;
    let _ = bob;
}

#[tokio::test]
async fn presence_can_be_hidden() {
    let host = Host::plain().await;
    let (app, room, a, mut b, [alice, _]) = ruled(&host).await;
    assert_eq!(b.ping(&alice).await["data"], "online");
    app.configure(&json!({"mode": "deny", "hook": "presence"}))
        .await;
    assert_eq!(b.ping(&alice).await["type"], "error");
    a.close().await;
    app.configure(&json!("allow")).await;
    // What is shown first is what happened after it was allowed again.
    let _a = Chat::as_user(&host, &alice).await;
    let news = b
        .until("news of presence", |frame| frame["type"] == "presense")
        .await;
    assert_eq!(
        news,
        json!({"type": "presense", "data": "online", "from": alice})
    );
    let _ = room;
}

/// A policy that fails denies that one call, is not believed, and disturbs no other tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_fails_hurts_its_own_tenant_alone() {
    let host = Host::plain().await;
    let (app, room, mut a, mut b, [alice, _]) = ruled(&host).await;
    let calm = App::register(&host).await;
    let (calm_room, [carol, dave]) = calm.room_of().await;
    let mut c = Chat::as_user(&host, &carol).await;
    let mut d = Chat::as_user(&host, &dave).await;
    c.presence(&dave, "online").await;
    for mode in [
        "trap",
        "loop",
        "memory",
        "stack",
        "host-call-flood",
        "bad-rewrite",
        "long-answer",
    ] {
        app.configure(&json!(mode)).await;
        a.say(&room, mode).await;
        assert_eq!(a.refusal().await["code"], "temporary", "{mode}");
        c.say(&calm_room, mode).await;
        d.expect_message(mode, &carol, &calm_room).await;
        app.configure(&json!("allow")).await;
        a.say(&room, mode).await;
        b.expect_message(mode, &alice, &room).await;
    }
    let figures = app.figures().await;
    let failed = &figures["decisions"]["failed"];
    assert!(failed.as_u64().unwrap() >= 7, "{figures}");
    assert!(figures["timed_out"].as_u64().unwrap() >= 1, "{figures}");
    assert_eq!(calm.figures().await["calls"], 0);
}

/// The rule `open`: whoever knows the app may join and publish.
#[tokio::test]
async fn an_open_app_lets_anybody_join() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let mut stranger = Chat::connect_to(&host, &app.id).await;
    stranger
        .send(&json!({"command": "login", "user": "zoe"}))
        .await;
    assert_eq!(stranger.refusal().await["code"], "unknown_user");
    app.policy("PUT", "?rule=open", "").await.expect(200);
    let mut people = Vec::new();
    for name in ["zoe", "yan"] {
        let mut chat = Chat::connect_to(&host, &app.id).await;
        chat.log_in(name).await;
        chat.send(&json!({"command": "join", "room": "lobby"}))
            .await;
        chat.membership("lobby", "add").await;
        people.push(chat);
    }
    people[0].say("lobby", "hello").await;
    people[1].expect_message("hello", "zoe", "lobby").await;
    people[1]
        .send(&json!({"command": "leave", "room": "lobby"}))
        .await;
    people[1].membership("lobby", "remove").await;
    people[1]
        .send(&json!({"command": "leave", "room": "lobby"}))
        .await;
    assert_eq!(people[1].refusal().await["code"], "not_joined");
    // Back to members only: strangers are out at once.
    app.policy("PUT", "?rule=members", "").await.expect(200);
    people[0].expect_close(4501).await;
}

#[tokio::test]
async fn a_room_is_joined_by_members_alone() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, _]) = app.room_of().await;
    let stranger = app.user().await;
    let mut s = Chat::as_user(&host, &stranger).await;
    s.send(&json!({"command": "join", "room": room})).await;
    assert_eq!(s.refusal().await["code"], "not_a_member");
    let mut a = Chat::as_user(&host, &alice).await;
    a.send(&json!({"command": "join", "room": room})).await;
    a.membership(&room, "add").await;
}
