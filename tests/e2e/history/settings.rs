//! How much of its rooms a tenant has kept.

use super::{offsets, posted, shelf};
use crate::hosts::Shared;
use serde_json::{Value, json};
use sschat_tests::{Answer, App, Host, Options, within};

async fn send(app: &App, method: &str, path: &str, body: &Value) -> Answer {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let headers = [("x-api-key", &app.key[..])];
    app.rest.send(method, path, &headers, body).await
}

async fn put(app: &App, path: &str, body: Value) {
    let answer = send(app, "PUT", path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The same on any history: the room's word before the key's, both within the host's.
async fn check(host: &Host) {
    let app = App::register(host).await;
    let (room, other) = (app.room().await, app.room().await);
    let path = format!("/api/room/{room}/settings");
    for number in 1..=6 {
        posted(&app, &room, &number.to_string()).await;
        posted(&app, &other, &number.to_string()).await;
    }
    let kept = async |room: &str| offsets(&shelf(&app, room, "").await);
    assert_eq!(kept(&room).await, [2, 3, 4, 5, 6], "the host keeps five");
    put(&app, &path, json!({"history": {"size": 2}})).await;
    assert_eq!(posted(&app, &room, "7").await.0, 7);
    assert_eq!(kept(&room).await, [6, 7]);
    assert_eq!(kept(&other).await, [2, 3, 4, 5, 6]);
    put(&app, "/api/settings", json!({"history": {"size": 3}})).await;
    assert_eq!(posted(&app, &other, "7").await.0, 7);
    assert_eq!(kept(&other).await, [5, 6, 7]);
    assert_eq!(posted(&app, &room, "8").await.0, 8);
    assert_eq!(kept(&room).await, [7, 8], "the room's word counts");
    put(&app, &path, json!({"history": {"age": 0}})).await;
    assert_eq!(posted(&app, &room, "9").await.0, 9, "offsets go on");
    assert_eq!(kept(&room).await, Vec::<u64>::new());
    // More than the host keeps is not to be had.
    put(&app, "/api/settings", json!({"history": {"size": 1000}})).await;
    assert_eq!(send(&app, "DELETE", &path, &Value::Null).await.status, 200);
    for number in 10..=17 {
        assert_eq!(posted(&app, &room, "1").await.0, number);
    }
    assert_eq!(kept(&room).await, [13, 14, 15, 16, 17]);
}

#[tokio::test]
async fn every_host_keeps_to_what_one_was_told() {
    let shared = Shared::start();
    let options = || shared.options().arg("--history-size").arg("5");
    let (a, b) = (Host::start(options()).await, Host::start(options()).await);
    let app = App::register(&a).await;
    let other = app.at(&b);
    let room = app.room().await;
    let path = format!("/api/room/{room}/settings");
    let mut last = 0;
    for _ in 0..6 {
        last = posted(&other, &room, "0").await.0;
    }
    assert_eq!(offsets(&shelf(&other, &room, "").await).len(), 5);
    for (way, settings, size) in [
        ("/api/settings", json!({"history": {"size": 3}}), 3),
        (&*path, json!({"history": {"size": 1}}), 1),
        (&*path, Value::Null, 3),
        ("/api/settings", Value::Null, 5),
    ] {
        match settings {
            Value::Null => assert_eq!(send(&app, "DELETE", way, &settings).await.status, 200),
            settings => put(&app, way, settings).await,
        }
        // The other host hears of it within milliseconds, and by its next publications it shows.
        within("the other host knows", async {
            loop {
                last += 1;
                assert_eq!(posted(&other, &room, "0").await.0, last, "offsets go on");
                let kept = offsets(&shelf(&app, &room, "").await);
                if kept.len() == size && kept.last() == Some(&last) {
                    break;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_tenant_says_how_much_of_its_rooms_is_kept() {
    for kind in ["durable", "memory"] {
        let options = Options::new().arg("--history-size").arg("5");
        check(&Host::start(options.arg("--history").arg(kind)).await).await;
    }
}
