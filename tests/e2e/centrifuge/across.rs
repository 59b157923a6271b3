//! Several hosts on one Redis: what only the host of a session knows is asked and done from any of them.

use super::streams::{Session, emulate};
use super::subscriptions::{anybody, open_app};
use super::{Client, code, info};
use crate::hosts::Shared;
use serde_json::{Value, json};
use sschat_tests::{App, Host, Rest};

/// The answer of the server API at a host.
async fn call(app: &App, host: &Host, method: &str, body: Value) -> Value {
    let headers = [
        ("x-api-key", &app.key[..]),
        ("content-type", "application/json"),
    ];
    let path = format!("/api/{method}");
    let rest = Rest::new(host.address());
    let answer = rest.send("POST", &path, &headers, body.to_string()).await;
    answer.expect(200).json()
}

/// What it comes to.
async fn result(app: &App, host: &Host, method: &str, body: Value) -> Value {
    let answer = call(app, host, method, body).await;
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].clone()
}

#[tokio::test]
async fn requests_of_a_session_may_come_to_any_host() {
    let shared = Shared::start();
    let (a, b) = (shared.host().await, shared.host().await);
    let app = App::register(&a).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut session = Session::of(&a, &app, &alice).await;
    let (mut hears, _) = Client::of(&b, &app, &bob).await;
    let other = Rest::new(b.address());
    let say = |id: u32| json!({"id": id, "publish": {"channel": room, "data": id}}).to_string();
    for id in 2..12 {
        let body = session.wrapped(&say(id));
        emulate(&other, &body).await.expect(204);
        assert_eq!(session.push("pub").await["data"], id);
        assert_eq!(hears.push().await.1["pub"]["data"], id);
    }
    // A secret that is wrong, elsewhere too; and a host that never was.
    let mut body = session.wrapped(&say(12));
    let ticket = body["session"].as_str().unwrap().to_owned();
    let (front, last) = ticket.split_at(ticket.len() - 1);
    let digit = if last == "0" { "1" } else { "0" };
    body["session"] = format!("{front}{digit}").into();
    let answer = emulate(&other, &body).await;
    answer.expect_error(404, "unknown_session");
    for node in ["", "another", "a\nb", "é", &"x".repeat(100)] {
        let mut body = session.wrapped(&say(12));
        body["node"] = node.into();
        let answer = emulate(&other, &body).await;
        answer.expect_error(404, "unknown_node");
    }
    let body = session.wrapped(&say(12));
    a.kill().await;
    emulate(&other, &body)
        .await
        .expect_error(404, "unknown_node");
}

#[tokio::test]
async fn a_backend_reaches_a_users_sessions_on_all_hosts() {
    reach(Shared::start()).await;
    reach(Shared::clustered()).await;
}

async fn reach(shared: Shared) {
    let (a, b, c) = (
        shared.host().await,
        shared.host().await,
        shared.host().await,
    );
    let app = open_app(&a).await;
    let user = json!({"user": "ann"});
    let (mut one, first) = anybody(&a, &app, user.clone()).await;
    let (mut two, second) = anybody(&b, &app, user).await;
    let news = json!({"user": "ann", "channel": "news"});
    result(&app, &c, "subscribe", news.clone()).await;
    for client in [&mut one, &mut two] {
        assert!(client.push().await.1["subscribe"].is_object());
    }
    result(&app, &c, "publish", json!({"channel": "news", "data": 1})).await;
    for client in [&mut one, &mut two] {
        assert_eq!(client.push().await.1["pub"]["data"], 1);
    }

    // Who is there, asked by a backend anywhere and by a client.
    let channel = json!({"channel": "news"});
    for host in [&a, &b, &c] {
        let stats = result(&app, host, "presence_stats", channel.clone()).await;
        assert_eq!(stats, json!({"num_clients": 2, "num_users": 1}));
        let present = result(&app, host, "presence", channel.clone()).await;
        let is = |it: &Value| present["presence"][it["client"].as_str().unwrap()]["user"] == "ann";
        assert!(is(&first) && is(&second), "{present}");
        let heard = result(&app, host, "channels", json!({"pattern": "n*"})).await;
        assert_eq!(heard["channels"], json!({"news": {"num_clients": 2}}));
        let none = result(&app, host, "channels", json!({"pattern": "x*"})).await;
        assert_eq!(none["channels"], json!({}));
        let nodes = result(&app, host, "info", json!({})).await["nodes"].take();
        let count = |name: &str| -> Vec<u64> {
            let nodes = nodes.as_array().unwrap().iter();
            let mut counts: Vec<u64> = nodes.map(|node| node[name].as_u64().unwrap()).collect();
            counts.sort_unstable();
            counts
        };
        for name in ["num_clients", "num_users", "num_subs", "num_channels"] {
            assert_eq!(count(name), [0, 1, 1], "{name}: {nodes}");
        }
        let lags = nodes.as_array().unwrap().iter();
        let lags: Vec<f64> = lags.map(|node| node["lag"].as_f64().unwrap()).collect();
        assert!(lags.iter().all(|it| (0.0..5.0).contains(it)), "{nodes}");
    }
    let stats = two.ask(json!({"presence_stats": channel})).await;
    assert_eq!(
        stats["presence_stats"],
        json!({"num_clients": 2, "num_users": 1})
    );
    let present = one.ask(json!({"presence": channel})).await["presence"]["presence"].take();
    assert_eq!(present.as_object().unwrap().len(), 2, "{present}");

    result(&app, &c, "unsubscribe", news).await;
    for client in [&mut one, &mut two] {
        assert!(client.push().await.1["unsubscribe"].is_object());
    }
    let spared = json!({"user": "ann", "whitelist": [second["client"]]});
    result(&app, &b, "disconnect", spared).await;
    one.expect_close(3503).await;
    let left = two.ask(json!({"subscribe": {"channel": "news"}})).await;
    assert!(left["subscribe"].is_object(), "{left}");
    result(&app, &a, "refresh", json!({"user": "ann", "expired": true})).await;
    two.expect_close(3005).await;
}

#[tokio::test]
async fn what_a_host_did_not_do_is_not_said_to_be_done() {
    let shared = Shared::start();
    let (a, b) = (shared.host().await, shared.host().await);
    let app = open_app(&a).await;
    let (mut there, _) = anybody(&b, &app, json!({"user": "ann"})).await;
    let subscribed = there.ask(json!({"subscribe": {"channel": "news"}})).await;
    assert!(subscribed["subscribe"].is_object(), "{subscribed}");
    let (mut here, _) = anybody(&a, &app, json!({"user": "ben"})).await;
    here.ask(json!({"subscribe": {"channel": "news"}})).await;
    b.signal("STOP").await;
    let channel = json!({"channel": "news"});
    let ends = json!({"user": "ann"});
    for (method, body) in [("disconnect", &ends), ("presence", &channel)] {
        let answer = call(&app, &a, method, body.clone()).await;
        assert_eq!(code(&answer), 100, "{method}: {answer}");
        let why = answer["error"]["message"].as_str().unwrap();
        assert!(why.starts_with("1 of the other hosts"), "{why}");
    }
    let presence = here.ask(json!({"presence": channel})).await;
    assert_eq!(code(&presence), 100, "{presence}");
    b.signal("CONT").await;
    // What was asked while it stood still is done by now, or will be: to be asked again does no harm.
    let answer = call(&app, &a, "disconnect", ends).await;
    assert_eq!(answer, json!({"result": {}}));
    there.expect_close(3503).await;
    let stats = result(&app, &a, "presence_stats", channel.clone()).await;
    assert_eq!(stats, json!({"num_clients": 1, "num_users": 1}));
    // A host that is gone has no sessions to be asked about.
    b.kill().await;
    let stats = result(&app, &a, "presence_stats", channel).await;
    assert_eq!(stats, json!({"num_clients": 1, "num_users": 1}));
}

#[tokio::test]
async fn who_comes_and_goes_is_told_on_all_hosts() {
    come_and_go(Shared::start()).await;
    come_and_go(Shared::clustered()).await;
}

async fn come_and_go(shared: Shared) {
    let (a, b) = (shared.host().await, shared.host().await);
    let app = open_app(&a).await;
    let (mut ann, ann_is) = anybody(&a, &app, json!({"user": "ann"})).await;
    let listen = json!({"subscribe": {"channel": "news", "join_leave": true}});
    ann.ask(listen).await;
    assert_eq!(ann.push().await.1["join"]["info"], info("ann", &ann_is));
    let subscribe = json!({"subscribe": {"channel": "news"}});
    // The other host hears in a moment that somebody listens: until then nobody is told.
    let mut told = false;
    for number in 0.. {
        let user = format!("early-{number}");
        let (mut early, _) = anybody(&b, &app, json!({"user": user})).await;
        early.ask(subscribe.clone()).await;
        result(&app, &b, "disconnect", json!({"user": user})).await;
        early.expect_close(3503).await;
        result(&app, &b, "publish", json!({"channel": "news", "data": 1})).await;
        loop {
            let push = ann.push().await.1;
            if push["pub"].is_object() {
                break;
            }
            told |= push["leave"]["info"]["user"] == user;
        }
        if told {
            break;
        }
    }
    let (mut ben, ben_is) = anybody(&b, &app, json!({"user": "ben"})).await;
    for _ in 0..20 {
        ben.ask(subscribe.clone()).await;
        assert_eq!(ann.push().await.1["join"]["info"], info("ben", &ben_is));
        ben.ask(json!({"unsubscribe": {"channel": "news"}})).await;
        assert_eq!(ann.push().await.1["leave"]["info"], info("ben", &ben_is));
    }
    // Those of one's own host once, too.
    let (mut cid, cid_is) = anybody(&a, &app, json!({"user": "cid"})).await;
    cid.ask(subscribe.clone()).await;
    assert_eq!(ann.push().await.1["join"]["info"], info("cid", &cid_is));
    // And nobody who did not ask.
    ben.ask(subscribe).await;
    assert_eq!(ann.push().await.1["join"]["info"], info("ben", &ben_is));
    assert!(cid.came.is_empty() && ben.came.is_empty());
}
