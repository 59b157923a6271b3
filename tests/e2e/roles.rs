//! Hosts that share the work on one Redis: one answers HTTP, another has the sessions (`--role`).

use crate::history::{posted, said, shelf};
use crate::hosts::Shared;
use crate::rest::conversation::converse;
use sschat_tests::{App, Chat, Host, Options, Rest};

async fn pair(shared: &Shared) -> (Host, Host) {
    let role = |role| shared.options().arg("--role").arg(role);
    let (api, realtime) = (role("api"), role("realtime"));
    (Host::start(api).await, Host::start(realtime).await)
}

#[tokio::test]
async fn one_answers_http_and_another_has_the_sessions() {
    let shared = Shared::start();
    let (api, realtime) = pair(&shared).await;
    converse(&Rest::new(api.address())).await;
    let app = App::register(&api).await;
    let (room, [alice, bob]) = app.room_of().await;
    let carol = app.user().await;
    let mut one = Chat::as_user(&realtime, &alice).await;
    let mut two = Chat::as_user(&realtime, &bob).await;
    one.presence(&bob, "online").await;
    one.say(&room, "hello").await;
    two.expect_message("hello", &alice, &room).await;
    // What changes over HTTP takes effect on sessions elsewhere.
    let mut three = Chat::as_user(&realtime, &carol).await;
    app.add(&room, &carol).await;
    three.membership(&room, "add").await;
    three.say(&room, "me too").await;
    two.expect_message("me too", &carol, &room).await;
    app.remove(&room, &bob).await;
    two.membership(&room, "remove").await;
    // Backends may ask either.
    for (number, app) in [(3, app.clone()), (4, app.at(&realtime))] {
        assert_eq!(posted(&app, &room, &number.to_string()).await.0, number);
        let all = shelf(&app, &room, "").await;
        assert_eq!(said(&all).len() as u64, number);
    }
    one.expect_message("me too", &carol, &room).await;
    for number in [3, 4] {
        one.expect_message(number, "", &room).await;
    }
    app.delete().await;
    one.expect_close(4501).await;
}

#[tokio::test]
async fn what_another_role_does_is_refused() {
    let shared = Shared::start();
    let (api, realtime) = pair(&shared).await;
    let app = App::register(&api).await;
    let there = Rest::new(realtime.address());
    for (method, path) in [
        ("POST", "/api/register".to_owned()),
        ("GET", format!("/api/register/{}", app.key)),
        ("GET", format!("/api/room?apikey={}", app.key)),
        ("PUT", format!("/api/policy?rule=open&apikey={}", app.key)),
    ] {
        let answer = there.call(method, &path).await;
        answer.expect_error(421, "wrong_role");
    }
    there.call("GET", "/healthz").await.expect(200);
    there.call("GET", "/readyz").await.expect(200);
    there
        .call("GET", "/nothing")
        .await
        .expect_error(404, "not_found");
    for path in [
        "/connection/http_stream",
        "/connection/sse",
        "/websocket/polling",
    ] {
        let answer = app.rest.call("GET", path).await;
        answer.expect_error(421, "wrong_role");
    }
    let refused = Chat::open(api.address(), "/connection/websocket?app=x", &[]).await;
    assert_eq!(refused.err(), Some(421));
}

#[tokio::test]
async fn a_role_needs_other_hosts() {
    for role in ["api", "realtime"] {
        let (status, said) = Host::refused(Options::new().arg("--role").arg(role)).await;
        assert!(!status.success());
        assert!(said.contains("need other hosts: name a Redis"), "{said}");
    }
    let options = Options::new().arg("--role=api").arg("--dev-app");
    let (_, said) = Host::refused(options).await;
    assert!(said.contains("leave --role out"), "{said}");
}
