//! Webhooks.

use super::{ALL, local, published, said, say, start, told};
use serde_json::{Value, json};
use sschat_tests::{App, Chat, EventStream, Host, Options, Receiver, within};

#[tokio::test]
async fn a_session_is_told_from_its_beginning_to_its_end() {
    let (host, app) = start().await;
    let mut hook = Receiver::start().await;
    let (room, [alice, bob]) = app.room_of().await;
    let made = app.webhook(&json!({"url": hook.url(), "kinds": ALL})).await;
    let secret = made["secret"].as_str().unwrap();
    let mut chat = Chat::as_user(&host, &alice).await;
    let mut other = Chat::as_user(&host, &bob).await;
    chat.say(&room, json!({"a": [1, "\n"]})).await;
    other
        .expect_message(json!({"a": [1, "\n"]}), &alice, &room)
        .await;
    app.remove(&room, &alice).await;
    chat.membership(&room, "remove").await;
    chat.close().await;
    let (r, a, b) = (room.as_str(), alice.as_str(), bob.as_str());
    let expected = [
        ("connect", "", a),
        ("occupied", r, ""),
        ("join", r, a),
        ("connect", "", b),
        ("join", r, b),
        ("published", r, a),
        ("leave", r, a),
        ("disconnect", "", a),
    ];
    let first = hook.post().await;
    assert!(first.signed_with(secret) == 1 && first.signed_with("another") == 0);
    let mut events = first.events();
    let ids = |events: &[Value]| [&events[0], &events[events.len() - 1]].map(|it| it["id"].clone());
    let named = ["sschat-first-event", "sschat-last-event"].map(|it| json!(first.headers[it]));
    assert_eq!(ids(&events), named);
    let left = expected.len() - events.len();
    events.extend(hook.events(left).await);
    assert_eq!(told(&events), expected);
    let event = &events[5];
    assert_eq!(event["data"], json!({"a": [1, "\n"]}));
    assert_eq!(event["offset"], 1);
    assert_eq!(events[0]["client"], events[2]["client"]);
    assert_ne!(events[0]["client"], events[3]["client"]);
    assert!(
        events
            .iter()
            .all(|it| it["time"].as_u64() > Some(1_700_000_000_000))
    );
    other.close().await;
    let end = hook.events(3).await;
    let expected = [("leave", r, b), ("vacated", r, ""), ("disconnect", "", b)];
    assert_eq!(told(&end), expected);
}

#[tokio::test]
async fn a_webhook_that_failed_gets_everything_in_order() {
    let (host, app) = start().await;
    let mut hook = Receiver::start().await;
    hook.answer("500 Internal Server Error");
    let room = app.room().await;
    app.webhook(&published(&hook.url())).await;
    for number in 0..250 {
        say(&app, &room, number).await;
    }
    let first = hook.post().await;
    assert_eq!(first.status, 500);
    // A redirect is no answer either, and is not followed.
    for (answer, status) in [
        (
            format!("307 Temporary Redirect\r\nlocation: {}", hook.url()),
            307,
        ),
        ("503 Busy\r\nretry-after: 1".to_owned(), 503),
    ] {
        hook.answer(&answer);
        loop {
            let again = hook.post().await;
            assert_eq!(again.events()[0], first.events()[0]);
            if again.status == status {
                break;
            }
        }
    }
    hook.answer("200 OK");
    let events = hook.events(250).await;
    let expected: Vec<Value> = (0..250).map(Value::from).collect();
    assert_eq!(said(&events), expected);
    let all_taken = async {
        loop {
            let metrics = app.rest.get("/metrics").await.expect(200).text();
            let counted = metrics.contains("sschat_events_delivered_total 250\n");
            if counted && metrics.contains("sschat_events_pending 0\n") {
                return metrics;
            }
        }
    };
    let metrics = within("all is counted", all_taken).await;
    let none = [
        "sschat_event_posts_failed_total 0\n",
        "sschat_event_posts_failed_total 1\n",
    ];
    assert!(!none.iter().any(|line| metrics.contains(line)), "{metrics}");
    assert!(
        metrics.contains("sschat_events_dropped_total 0\n"),
        "{metrics}"
    );
    drop(host);
}

#[tokio::test]
async fn what_was_acknowledged_is_told_though_the_host_was_killed() {
    let folder = tempfile::TempDir::new().unwrap();
    let durable = || local().state(folder.path());
    let mut host = Host::start(durable()).await;
    let mut app = App::register(&host).await;
    let mut hook = Receiver::start().await;
    let room = app.room().await;
    app.webhook(&published(&hook.url())).await;
    let mut acknowledged = 0;
    for life in 0..3 {
        // Some lives end while the webhook fails, some in the middle of deliveries.
        hook.answer(if life == 1 { "500 No" } else { "200 OK" });
        for _ in 0..150 {
            say(&app, &room, acknowledged).await;
            acknowledged += 1;
        }
        host.kill().await;
        host = Host::start(durable()).await;
        app = app.at(&host);
    }
    hook.answer("200 OK");
    let (mut next, mut gaps) = (0, 0);
    while next < acknowledged {
        let event = hook.event().await;
        if event["kind"] == "lost" {
            gaps += 1;
            continue;
        }
        // What comes again is what came before: none is left out.
        let number = event["data"].as_i64().unwrap();
        assert!(number <= next, "{number} before {next}");
        next = next.max(number + 1);
    }
    assert!(gaps >= 2, "each unclean stop is told: {gaps}");
}

#[tokio::test]
async fn a_clean_stop_tells_the_end_of_sessions_and_loses_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let durable = || local().state(folder.path());
    let mut host = Host::start(durable()).await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut hook = Receiver::start().await;
    hook.answer("500 No");
    app.webhook(&json!({"url": hook.url()})).await;
    let _chat = Chat::as_user(&host, &alice).await;
    hook.post().await;
    host.signal("TERM").await;
    host.ended().await;
    hook.answer("200 OK");
    let _host = Host::start(durable()).await;
    let events = hook.events(6).await;
    let kinds: Vec<_> = told(&events).into_iter().map(|(kind, ..)| kind).collect();
    let expected = [
        "connect",
        "occupied",
        "join",
        "leave",
        "vacated",
        "disconnect",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn private_addresses_are_not_asked_unless_that_is_allowed() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let mut hook = Receiver::start().await;
    let room = app.room().await;
    for url in [hook.url(), hook.url().replace("http:", "https:")] {
        app.webhook(&published(&url)).await;
        say(&app, &room, 1).await;
        host.says(if url.starts_with("https") {
            "its address is private"
        } else {
            "only https is asked"
        })
        .await;
    }
    assert!(hook.waiting().is_none());
    // The stream has it all the same.
    let path = format!("/api/events?since=start&apikey={}", app.key);
    let mut stream = EventStream::open(&host, &path, None).await.unwrap();
    assert_eq!(stream.event().await.unwrap()["data"], 1);
}

#[tokio::test]
async fn one_webhook_that_hangs_keeps_nobody_else_waiting() {
    let host = Host::start(
        Options::new()
            .arg("--private-webhooks")
            .arg("--history")
            .arg("memory"),
    )
    .await;
    let (one, other) = (App::register(&host).await, App::register(&host).await);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hook = Receiver::start().await;
    let (first, second) = (one.room().await, other.room().await);
    one.webhook(&published(&format!(
        "http://{}/",
        silent.local_addr().unwrap()
    )))
    .await;
    other.webhook(&published(&hook.url())).await;
    say(&one, &first, "never taken").await;
    for number in 0..20 {
        say(&other, &second, number).await;
    }
    let events = hook.events(20).await;
    assert_eq!(said(&events).len(), 20);
    assert!(
        events.iter().all(|event| event["room"] == json!(second)),
        "another tenant's"
    );
}
