//! `GET /api/events`.

use super::{local, said, say, start};
use serde_json::{Value, json};
use sschat_tests::{App, EventStream, Host, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn path(app: &App, more: &str) -> String {
    format!("/api/events?apikey={}{more}", app.key)
}

async fn open(host: &Host, app: &App, more: &str) -> EventStream {
    EventStream::open(host, &path(app, more), None)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reader_comes_back_with_its_cursor() {
    let (host, app) = start().await;
    let room = app.room().await;
    app.webhook(&json!({"kinds": ["published"]})).await;
    say(&app, &room, 0).await;
    let mut stream = open(&host, &app, "").await;
    for number in 1..=3 {
        say(&app, &room, number).await;
    }
    let first = stream.event().await.unwrap();
    assert_eq!(first["data"], 1, "it begins with the next event");
    let id = first["id"].as_str().unwrap();
    drop(stream);
    for mut again in [
        open(&host, &app, &format!("&since={id}")).await,
        EventStream::open(&host, &path(&app, "&since=start"), Some(id))
            .await
            .unwrap(),
    ] {
        let events = [again.event().await.unwrap(), again.event().await.unwrap()];
        assert_eq!(said(&events), [2, 3].map(Value::from));
    }
    let mut all = open(&host, &app, "&since=start").await;
    for number in 0..=3 {
        assert_eq!(all.event().await.unwrap()["data"], number);
    }
}

#[tokio::test]
async fn who_may_not_read_is_told_why() {
    let (host, app) = start().await;
    let off = app.call("GET", "/api/events").await;
    off.expect_error(409, "events_off");
    app.webhook(&json!({})).await;
    let stranger = "/api/events?apikey=apikey_00000000000000000000000000000000";
    app.rest
        .call("GET", stranger)
        .await
        .expect_error(401, "unauthorized");
    app.rest
        .call("GET", "/api/events")
        .await
        .expect_error(401, "unauthorized");
    app.call("POST", "/api/events")
        .await
        .expect_error(405, "method_not_allowed");
    for cursor in ["x", "-", "0-1", "zzzzzzzzzzzzzzzz-1", "0000000000000000-01"] {
        let answer = app
            .call("GET", &format!("/api/events?since={cursor}"))
            .await;
        answer.expect_error(400, "bad_cursor");
    }
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(open(&host, &app, "").await);
    }
    app.call("GET", "/api/events")
        .await
        .expect_error(429, "too_many_streams");
    drop(streams);
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let folder = tempfile::TempDir::new().unwrap();
    let durable = || local().state(folder.path());
    let host = Host::start(durable()).await;
    let app = App::register(&host).await;
    let room = app.room().await;
    app.webhook(&json!({"kinds": ["published"]})).await;
    say(&app, &room, 1).await;
    let mut stream = open(&host, &app, "&since=start").await;
    let first = stream.event().await.unwrap();
    let id = first["id"].as_str().unwrap().to_owned();
    host.kill().await;
    let host = Host::start(durable()).await;
    let app = app.at(&host);
    say(&app, &room, 2).await;
    // Whether anything was lost in the crash nobody knows.
    let mut stream = open(&host, &app, &format!("&since={id}")).await;
    assert_eq!(stream.event().await.unwrap()["kind"], "lost");
    assert_eq!(stream.event().await.unwrap()["data"], 2);
    // Another life of the events: nothing of the one before is there.
    app.call("DELETE", "/api/webhook").await.expect(200);
    app.webhook(&json!({"kinds": ["published"]})).await;
    say(&app, &room, 3).await;
    let mut stream = open(&host, &app, &format!("&since={id}")).await;
    assert_eq!(stream.event().await.unwrap()["kind"], "lost");
    assert_eq!(stream.event().await.unwrap()["data"], 3);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_for_what_is_kept_is_told() {
    let (host, app) = start().await;
    let room = app.room().await;
    app.webhook(&json!({"kinds": ["published"]})).await;
    let large = "x".repeat(60_000);
    let mut stream = open(&host, &app, "").await;
    say(&app, &room, "first").await;
    let first = stream.event().await.unwrap();
    let id = first["id"].as_str().unwrap().to_owned();
    drop(stream);
    for _ in 0..320 {
        say(&app, &room, large.as_str()).await;
    }
    let mut stream = open(&host, &app, &format!("&since={id}")).await;
    assert_eq!(stream.event().await.unwrap()["kind"], "lost");
    let next = stream.event().await.unwrap();
    assert_eq!(next["data"], json!(large));
    assert!(next["offset"].as_u64() > Some(2));
    drop(stream);
    // One that takes nothing at all loses its connection, and the host lives.
    let mut stalled = TcpStream::connect(host.address()).await.unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\n\r\n",
        path(&app, "&since=start")
    );
    stalled.write_all(request.as_bytes()).await.unwrap();
    host.says("took nothing for too long").await;
    let mut taken = Vec::new();
    within("the connection ends", stalled.read_to_end(&mut taken))
        .await
        .ok();
    assert!(taken.len() < 15 << 20, "{} bytes: everything", taken.len());
    say(&app, &room, "still here").await;
}
