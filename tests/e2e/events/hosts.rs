//! Several hosts on one Redis: each tells of its own sessions, by settings that any of them took.

use super::{ALL, said, say, told};
use crate::hosts::Shared;
use serde_json::{Value, json};
use sschat_tests::{App, Chat, EventStream, Host, Receiver, within};

async fn start(shared: &Shared) -> Host {
    let options = shared.options().arg("--private-webhooks");
    Host::start(options.arg("--history-size=1000")).await
}

async fn stream(app: &App, host: &Host) -> EventStream {
    let path = format!("/api/events?apikey={}&since=start", app.key);
    EventStream::open(host, &path, None).await.unwrap()
}

#[tokio::test]
async fn each_host_tells_of_its_own_sessions() {
    let shared = Shared::start();
    let (a, b) = (start(&shared).await, start(&shared).await);
    let app = App::register(&a).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (r, x, y) = (room.as_str(), alice.as_str(), bob.as_str());
    let mut hook = Receiver::start().await;
    app.webhook(&json!({"url": hook.url(), "kinds": ALL})).await;
    let came = |user| {
        [
            ("connect", "", user),
            ("occupied", r, ""),
            ("join", r, user),
        ]
    };
    let mut here = Chat::as_user(&a, x).await;
    assert_eq!(told(&hook.events(3).await), came(x));
    let mut there = Chat::as_user(&b, y).await;
    assert_eq!(told(&hook.events(3).await), came(y), "each counts its own");
    // What is said is told once, by the host where it was said.
    for number in 1..=20_u64 {
        let (speaker, by, listener) = match number % 2 {
            0 => (&mut here, x, &mut there),
            _ => (&mut there, y, &mut here),
        };
        speaker.say(&room, number).await;
        listener.expect_message(number, by, &room).await;
        let published = hook.event().await;
        assert_eq!(
            told(std::slice::from_ref(&published)),
            [("published", r, by)]
        );
        assert_eq!(
            (&published["data"], &published["offset"]),
            (&json!(number), &json!(number))
        );
    }
    for (host, user) in [(&a, x), (&b, y)] {
        let mut stream = stream(&app, host).await;
        for event in came(user) {
            assert_eq!(told(&[stream.event().await.unwrap()]), [event]);
        }
        let first = stream.event().await.unwrap();
        assert_eq!(told(&[first]), [("published", r, user)]);
    }
    there.close().await;
    let gone = [("leave", r, y), ("vacated", r, ""), ("disconnect", "", y)];
    assert_eq!(told(&hook.events(3).await), gone);
}

#[tokio::test]
async fn settings_that_one_host_took_hold_at_another() {
    let shared = Shared::start();
    let (a, b) = (start(&shared).await, start(&shared).await);
    let app = App::register(&a).await;
    let other = app.at(&b);
    let room = app.room().await;
    let kinds = json!(["published"]);
    let mut first = Receiver::start().await;
    app.webhook(&json!({"url": first.url(), "kinds": kinds}))
        .await;
    say(&other, &room, 0).await;
    assert_eq!(said(&[first.event().await]), [Value::from(0)]);
    // Another address, which the other host hears of by Redis within milliseconds.
    let mut second = Receiver::start().await;
    app.webhook(&json!({"url": second.url(), "kinds": kinds}))
        .await;
    let mut number = 0;
    let post = within("the other host knows", async {
        loop {
            number += 1;
            say(&other, &room, number).await;
            if let Some(post) = second.waiting() {
                break post;
            }
        }
    })
    .await;
    let mut heard: Vec<_> = said(&post.events());
    while heard.last() != Some(&Value::from(number)) {
        heard.extend(said(&second.events(1).await));
    }
    // Nothing is lost between the two addresses.
    let before = heard[0].as_u64().unwrap();
    assert!(
        heard
            .iter()
            .eq(&(before..=number).map(Value::from).collect::<Vec<_>>())
    );
    for number in 1..before {
        assert_eq!(said(&[first.event().await]), [Value::from(number)]);
    }
    let mut stream = stream(&app, &b).await;
    let off = app.call("DELETE", "/api/webhook").await;
    off.expect(200);
    // Its stream ends, after what was kept.
    let ended = async { while stream.event().await.is_some() {} };
    within("a stream of the other host ends", ended).await;
    other
        .call("GET", "/api/events")
        .await
        .expect_error(409, "events_off");
}
