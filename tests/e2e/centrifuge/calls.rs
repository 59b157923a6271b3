//! `rpc`: answered by the tenant's policy where it exports `calls`.

use super::{Client, REVOKED, accepted, code};
use serde_json::{Value, json};
use sschat_tests::policy::{component, on_command};
use sschat_tests::{App, Host};

/// A member of a room of an app that is ruled by the policy which does what it is told.
async fn ruled(host: &Host) -> (App, String, String, Client) {
    let app = App::register(host).await;
    let (room, [alice]) = app.room_of().await;
    app.rule_by(on_command()).await;
    let (client, _) = Client::of(host, &app, &alice).await;
    (app, room, alice, client)
}

fn rpc(method: &str, data: impl Into<Value>) -> Value {
    json!({"rpc": {"method": method, "data": data.into()}})
}

#[tokio::test]
async fn a_policy_answers_who_calls_and_sees_who_that_is() {
    let host = Host::plain().await;
    let (app, _, alice, mut a) = ruled(&host).await;
    let who = json!({"tenant": app.id, "user": alice});
    for data in [
        json!({"n": [1.5, "ü\n"]}),
        json!("text"),
        json!(null),
        json!(7),
    ] {
        let reply = a.ask(rpc("echo", data.clone())).await;
        let expected = json!({"who": who, "data": data});
        assert_eq!(reply["rpc"]["data"], expected, "{reply}");
    }
    let reply = a.ask(json!({"rpc": {"method": "echo"}})).await;
    assert_eq!(
        reply["rpc"]["data"],
        json!({"who": who, "data": null}),
        "{reply}"
    );
    // Line breaks would end the reply in the middle.
    let reply = a.ask(rpc("lines", "one")).await;
    assert_eq!(reply["rpc"]["data"], json!(["one"]), "{reply}");
    // As long as a message may be.
    let reply = a.ask(rpc("long", 65_536)).await;
    assert_eq!(
        reply["rpc"]["data"].as_str().map(str::len),
        Some(65_534),
        "{reply}"
    );
}

/// The session has one call under way, and nothing overtakes it.
#[tokio::test]
async fn calls_are_answered_in_order() {
    let host = Host::plain().await;
    let (_, room, _, mut a) = ruled(&host).await;
    let lines = [
        json!({"id": 11, "rpc": {"method": "loop"}}),
        json!({"id": 12, "rpc": {"method": "echo", "data": 12}}),
        json!({"id": 13, "presence": {"channel": room}}),
        json!({"id": 14, "rpc": {"method": "nothing"}}),
        json!({"id": 15, "rpc": {"method": "echo", "data": 15}}),
        json!({"id": 16, "ping": {}}),
    ];
    let frame = lines.map(|line| line.to_string()).join("\n");
    a.chat.send_text(&frame).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        let reply = a.line().await;
        let answered = &reply["rpc"]["data"]["data"];
        match reply["id"].as_u64() {
            Some(11) => assert_eq!(code(&reply), 100),
            Some(14) => assert_eq!(code(&reply), 104),
            Some(id @ (12 | 15)) => assert_eq!(answered, id, "{reply}"),
            _ => {}
        }
        ids.push(reply["id"].as_u64().unwrap());
    }
    assert_eq!(ids, [11, 12, 13, 14, 15, 16]);
}

#[tokio::test]
async fn a_refusal_is_told_as_one_of_a_publication_is() {
    let host = Host::plain().await;
    let (_, _, _, mut a) = ruled(&host).await;
    let refused = a.ask(rpc("refuse", "not_today")).await;
    assert_eq!(code(&refused), 103, "{refused}");
    assert_eq!(refused["error"]["message"], "told to refuse by not_today");
    for (refusal, expected) in [
        ("method_not_found", 104),
        ("temporary", 100),
        // No words joined by `_`: no refusal.
        ("Not Today", 100),
    ] {
        let refused = a.ask(rpc("refuse", refusal)).await;
        assert_eq!(code(&refused), expected, "{refused}");
    }
    for method in ["", "add", "../echo", "Echo"] {
        let refused = a.ask(rpc(method, json!({}))).await;
        assert_eq!(code(&refused), 104, "{method:?}: {refused}");
    }
    // Outside of `on-publish` there is no payload, and time stands as in any call.
    assert_eq!(code(&a.ask(rpc("payload", "please")).await), 103);
    let told = a.ask(rpc("clock", json!({}))).await;
    let told = told["error"]["message"].as_str().unwrap();
    assert!(told.starts_with("now=1"), "{told}");
}

/// What fails fails that call alone, and no other tenant's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_is_an_internal_error() {
    let host = Host::plain().await;
    let (app, room, _, mut a) = ruled(&host).await;
    let (calm, _, _, mut c) = ruled(&host).await;
    let faults = [
        ("trap", json!({})),
        ("loop", json!({})),
        ("memory", json!({})),
        ("stack", json!({})),
        ("host-call-flood", json!({})),
        ("bad-rewrite", json!({})),
        ("big-rewrite", json!({})),
        ("long", json!(65_537)),
    ];
    for (method, data) in &faults {
        let failed = a.ask(rpc(method, data.clone())).await;
        assert_eq!(code(&failed), 100, "{method}: {failed}");
        let answered = c.ask(rpc("echo", *method)).await;
        assert_eq!(answered["rpc"]["data"]["data"], *method, "{answered}");
        let answered = a.ask(rpc("echo", *method)).await;
        assert_eq!(answered["rpc"]["data"]["data"], *method, "{answered}");
    }
    let figures = app.figures().await;
    let failed = figures["decisions"]["failed"].as_u64().unwrap();
    assert!(failed >= faults.len() as u64, "{figures}");
    assert!(figures["timed_out"].as_u64().unwrap() >= 1, "{figures}");
    assert_eq!(calm.figures().await["decisions"]["failed"], 0);

    // Calls that fail again and again are not made for a while; decisions are none of their business.
    app.configure(&json!("payload")).await;
    for _ in 0..5 {
        assert_eq!(code(&a.ask(rpc("trap", json!({}))).await), 100);
    }
    assert_eq!(code(&a.ask(rpc("echo", json!({}))).await), 100);
    let said = json!({"publish": {"channel": room, "data": "please"}});
    accepted(&a.ask(said).await);
    assert_eq!(app.figures().await["suspended"], false);
}

#[tokio::test]
async fn without_a_policy_that_answers_calls_none_is_available() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let (mut a, _) = Client::of(&host, &app, &alice).await;
    assert_eq!(code(&a.ask(rpc("echo", 1)).await), 108);
    let silent = component("sschat_policy_moderation");
    // Each change is in effect when it is answered.
    for round in 0..5 {
        app.rule_by(silent.clone()).await;
        assert_eq!(code(&a.ask(rpc("echo", round)).await), 108);
        app.rule_by(on_command()).await;
        let answered = a.ask(rpc("echo", round)).await;
        assert_eq!(answered["rpc"]["data"]["data"], round, "{answered}");
    }
    app.policy("DELETE", "", "").await.expect(200);
    assert_eq!(code(&a.ask(rpc("echo", 1)).await), 108);
    // A candidate is not asked.
    let uploaded = app.policy("PUT", "?mode=shadow", on_command()).await;
    uploaded.expect(200);
    assert_eq!(code(&a.ask(rpc("echo", 1)).await), 108);
    app.policy("POST", "/promote", "").await.expect(200);
    let answered = a.ask(rpc("echo", 1)).await;
    assert_eq!(answered["rpc"]["data"]["data"], 1, "{answered}");
}

/// Nothing is remembered: each call sees the records as they are.
#[tokio::test]
async fn a_call_reads_the_tenants_records_of_now() {
    let host = Host::plain().await;
    let (app, _, alice, mut a) = ruled(&host).await;
    let other = app.room().await;
    for method in ["record", "record"] {
        let there = a.ask(rpc(method, format!("room/{other}"))).await;
        assert_eq!(there["rpc"]["data"], true, "{there}");
    }
    app.delete_room(&other).await;
    let there = a.ask(rpc("record", format!("room/{other}"))).await;
    assert_eq!(there["rpc"]["data"], false, "{there}");
    let stranger = App::register(&host).await;
    for key in [
        format!("{}/app", stranger.id),
        format!("../{}/app", stranger.id),
    ] {
        let there = a.ask(rpc("record", key)).await;
        assert_eq!(there["rpc"]["data"], false, "{there}");
    }
    // A session that ends while its call is under way hears nothing of it.
    a.send(rpc("loop", json!({}))).await;
    app.delete_user(&alice).await;
    a.expect_close(REVOKED).await;
}

#[tokio::test]
async fn what_is_no_json_reaches_no_policy() {
    let host = Host::plain().await;
    let (app, _, _, mut a) = ruled(&host).await;
    let before = app.figures().await["calls"].clone();
    // Deeper than a payload may be.
    let deep = "[".repeat(110) + &"]".repeat(110);
    a.chat
        .send_text(&format!(
            r#"{{"id":90,"rpc":{{"method":"echo","data":{deep}}}}}"#
        ))
        .await;
    assert_eq!(code(&a.reply(90).await), 107);
    assert_eq!(app.figures().await["calls"], before);
}
