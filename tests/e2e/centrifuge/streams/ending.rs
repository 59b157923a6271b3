//! How they end, from either side.

use super::{STREAM, Session, connect};
use crate::centrifuge::Client;
use serde_json::json;
use sschat_tests::{App, Body, Host, Options, within};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_peer_that_is_gone_or_half_gone_is_offline() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.call("PUT", "/api/policy?rule=open").await.expect(200);
    let (_, [alice, bob]) = app.room_of().await;
    let (mut witness, _) = Client::of(&host, &app, &bob).await;
    let lobby = json!({"subscribe": {"channel": "lobby", "join_leave": true}});
    witness.ask(lobby).await;
    for half in [true, false] {
        let mut session = Session::of(&host, &app, &alice).await;
        let here = session
            .ask(json!({"subscribe": {"channel": "lobby"}}))
            .await;
        assert!(here["subscribe"].is_object(), "{here}");
        while !witness.push().await.1["join"]["info"]["client"].eq(&session.connected["client"]) {}
        if half {
            session.body.socket.stream().shutdown().await.unwrap();
        }
        let client = session.connected["client"].clone();
        let kept = half.then_some(session);
        loop {
            let (_, push) = witness.push().await;
            if push["leave"]["info"]["client"] == client {
                break;
            }
        }
        if let Some(session) = kept {
            let late = session.post("{}").await;
            late.expect_error(404, "unknown_session");
        }
    }
}

#[tokio::test]
async fn a_peer_that_goes_on_sending_is_shown_out() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut session = Session::of(&host, &app, &alice).await;
    session.body.socket.write(&[b'x'; 16 << 10]).await;
    assert!(session.ask(json!({"ping": {}})).await["ping"].is_object());
    session.body.socket.write(b"x").await;
    session.expect_end(3501, false).await;
}

#[tokio::test]
async fn changes_end_sessions_at_once() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Session::of(&host, &app, &alice).await;
    let (mut b, _) = Client::of(&host, &app, &bob).await;
    app.remove(&room, &alice).await;
    b.ask(json!({"publish": {"channel": room, "data": "without Alice"}}))
        .await;
    assert_eq!(a.push("unsubscribe").await["code"], 2000);
    app.delete_user(&alice).await;
    a.expect_end(4501, false).await;
}

#[tokio::test]
async fn sessions_are_told_that_the_host_goes() {
    let mut host = Host::start(Options::new().arg("--drain").arg("5s")).await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut session = Session::of(&host, &app, &alice).await;
    host.signal("TERM").await;
    session.expect_end(3001, true).await;
    assert!(host.ended().await.success());
}

#[tokio::test]
async fn a_refused_token_is_told_in_the_body() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let forger = App {
        secret: "not the secret".into(),
        ..app.clone()
    };
    let path = format!("POST {STREAM}?app={} HTTP/1.1", app.id);
    let request = Body::request(&path, "", &connect(&forger, &alice));
    let body = Body::open(&host, request).await;
    Session::begin(&host, body).expect_end(3500, false).await;
}

#[tokio::test]
async fn a_slow_reader_is_closed_after_a_whole_chunk() {
    let mut options = Options::new().arg("--queue-limit").arg("256KiB");
    options = options.arg("--history").arg("none");
    let host = Host::start(options).await;
    let app = App::register(&host).await;
    let (room, [alice, bob, carol]) = app.room_of().await;
    let mut slow = Session::of(&host, &app, &alice).await;
    let line = format!("POST {STREAM}?app={} HTTP/1.0", app.id);
    let request = Body::request(&line, "", &connect(&app, &carol));
    let mut older = Body::open(&host, request).await;
    let (mut b, _) = Client::of(&host, &app, &bob).await;
    let text = "x".repeat(60_000);
    within("both who do not read are gone", async {
        loop {
            b.ask(json!({"publish": {"channel": room, "data": text}}))
                .await;
            let counted = b.ask(json!({"presence_stats": {"channel": room}})).await;
            if counted["presence_stats"]["num_clients"] == 1 {
                return;
            }
        }
    })
    .await;
    // Every chunk is whole, and the last thing said is why.
    let why = slow.push("disconnect").await;
    assert_eq!(why["code"], 3008, "{why}");
    assert_eq!(slow.next().await, None);
    let rest = older.rest().await;
    let last = rest.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["push"]["disconnect"]["code"], 3008, "{last}");
    for line in rest.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}
