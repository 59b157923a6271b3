//! Requests about messages and history that are wrong.

use super::{post, posted, shelf};
use serde_json::json;
use sschat_tests::{App, Host};

#[tokio::test]
async fn another_tenant_s_room_does_not_exist() {
    let host = Host::plain().await;
    let (app, other) = (App::register(&host).await, App::register(&host).await);
    let room = app.room().await;
    posted(&app, &room, "1").await;
    let missing = "room_00000000000040008000000000000000";
    let texts = [&room[..], missing].map(async |room| {
        let history = format!("/api/room/{room}/history");
        let read = other.call("GET", &history).await;
        let said = post(&other, room, "2").await;
        let read = read.expect_error(404, "not_found").text();
        (read, said.expect_error(404, "not_found").text())
    });
    let [foreign, missing] = texts;
    assert_eq!(foreign.await, missing.await);
    assert_eq!(shelf(&app, &room, "").await["offset"], 1);
    let path = format!("/api/room/{room}/message");
    let nobody = app.rest.send("POST", &path, &[], "1").await;
    nobody.expect_error(401, "unauthorized");
    let path = format!("{path}?apikey=apikey_00000000000040008000000000000000");
    let wrong = app.rest.send("POST", &path, &[], "1").await;
    wrong.expect_error(401, "unauthorized");
}

#[tokio::test]
async fn a_message_that_is_wrong_is_refused() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let deep = "[".repeat(100_000);
    for wrong in [
        "",
        "{",
        "hello",
        "1 2",
        "{\"a\":}",
        "\u{feff}1",
        &deep[..40_000],
    ] {
        post(&app, &room, wrong)
            .await
            .expect_error(400, "bad_request");
    }
    let bytes = bytes::Bytes::from_static(b"\"\xff\"");
    let path = format!("/api/room/{room}/message?apikey={}", app.key);
    let answer = app.rest.send("POST", &path, &[], bytes).await;
    answer.expect_error(400, "bad_request");
    let large = json!("x".repeat(64 << 10)).to_string();
    post(&app, &room, &large)
        .await
        .expect_error(413, "too_large");
    let nested = ["[".repeat(101), "]".repeat(101)].concat();
    let answer = post(&app, &room, &nested).await;
    answer.expect_error(400, "bad_request");
    let long = "u".repeat(129);
    for query in [format!("from={long}"), format!("idempotency_key={long}")] {
        let path = format!("{path}&{query}");
        let answer = app.rest.send("POST", &path, &[], "1").await;
        answer.expect_error(400, "bad_request");
    }
    let answer = app.call("GET", &format!("/api/room/{room}/message")).await;
    let answer = answer.expect_error(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(
        shelf(&app, &room, "").await["offset"],
        0,
        "nothing was said"
    );
}

#[tokio::test]
async fn a_place_that_never_was_is_named() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let (_, epoch) = posted(&app, &room, "1").await;
    let path = |query: &str| format!("/api/room/{room}/history?{query}");
    for wrong in [
        "since=-1",
        "since=18446744073709551616",
        "since=x",
        "limit=1001",
        "limit=x",
        "reverse=1",
    ] {
        let answer = app.call("GET", &path(wrong)).await;
        answer.expect_error(400, "bad_request");
    }
    for unknown in ["0123456789abcdef", "", "x", &epoch.to_uppercase()[..15]] {
        let path = path(&format!("since=0&epoch={unknown}"));
        let answer = app.call("GET", &path).await;
        answer.expect_error(409, "wrong_epoch");
    }
    let future = format!("?since={}&epoch={epoch}", u64::MAX);
    let future = shelf(&app, &room, &future).await;
    assert_eq!(
        (&future["publications"], &future["complete"]),
        (&json!([]), &json!(false))
    );
    let past = shelf(&app, &room, &format!("?reverse=true&since={}", u64::MAX)).await;
    assert_eq!(past["publications"][0]["offset"], 1);
}
