//! Starting, draining and ending.

use sschat_tests::chat::POLLING;
use sschat_tests::{App, Chat, Host, Options, RawSocket, Rest, within};
use std::time::{Duration, Instant};

#[tokio::test]
async fn health_and_readiness() {
    let host = Host::plain().await;
    let rest = Rest::new(host.address());
    for path in ["/healthz", "/readyz"] {
        rest.get(path).await.expect(200);
        let wrong = rest.call("POST", path).await.expect(405);
        assert!(wrong.header("allow").unwrap().contains("GET"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_everybody_go_in_good_order() {
    let mut host = Host::start(Options::new().arg("--drain").arg("5s")).await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let mut others = Vec::new();
    for _ in 0..30 {
        others.push(Chat::connect(&host).await);
    }
    // Kept open, so that readiness can be asked for while nothing new is accepted.
    let rest = Rest::new(host.address());
    rest.get("/readyz").await.expect(200);
    a.say(&room, "before").await;
    b.expect_message("before", &alice, &room).await;

    let started = Instant::now();
    host.signal("TERM").await;
    for chat in others.iter_mut().chain([&mut a, &mut b]) {
        chat.expect_close(1001).await;
    }
    let status = host.ended().await;
    assert!(status.success(), "{status:?}: {}", host.said());
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "it took {:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_draining_the_host_says_that_it_is_not_ready() {
    let host = Host::start(Options::new().arg("--drain").arg("10s")).await;
    let app = App::register(&host).await;
    let alice = app.user().await;
    // Sessions that do not answer the close keep the drain going.
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(Chat::as_user(&host, &alice).await);
    }
    let mut raw = RawSocket::dial(&host).await;
    let question = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", host.address());
    raw.write(question.as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200 "));
    host.signal("TERM").await;
    let status = within("readiness turns", async {
        loop {
            let mut raw = RawSocket::dial(&host).await;
            raw.write(question.as_bytes()).await;
            let head = raw.head().await;
            if !head.starts_with("HTTP/1.1 200 ") {
                return head;
            }
        }
    })
    .await;
    assert!(status.starts_with("HTTP/1.1 503 "), "{status}");
    // New sessions go elsewhere.
    let mut raw = RawSocket::dial(&host).await;
    raw.write(RawSocket::handshake(&host, POLLING, "").as_bytes())
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 503 "));
    host.kill().await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut host = Host::start(Options::new().arg("--drain").arg("1h")).await;
    let app = App::register(&host).await;
    let alice = app.user().await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(Chat::as_user(&host, &alice).await);
    }
    host.signal("TERM").await;
    // It has begun to drain when the first is let go, or says so.
    let rest = Rest::new(host.address());
    within("the drain begins", async {
        while rest.get("/readyz").await.status == 200 {}
    })
    .await;
    let started = Instant::now();
    host.signal("TERM").await;
    host.ended().await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn interrupting_drains_too() {
    let mut host = Host::start(Options::new().arg("--drain").arg("2s")).await;
    let mut chat = Chat::connect(&host).await;
    host.signal("INT").await;
    chat.expect_close(1001).await;
    assert!(host.ended().await.success());
}

/// The second start finds compiled code; the limit leaves room for a machine that is busy with other tests.
#[tokio::test]
async fn a_second_start_is_quick() {
    Host::plain().await.kill().await;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        let host = Host::plain().await;
        best = best.min(started.elapsed());
        host.kill().await;
    }
    assert!(
        best < Duration::from_secs(2),
        "the best of three starts took {best:?}"
    );
}

#[tokio::test]
async fn every_option_is_also_an_environment_variable() {
    let (status, help) = Host::run(&["up", "--help"]).await;
    assert!(status.success());
    let options: Vec<&str> = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("--") || line.starts_with("-"))
        .collect();
    assert!(options.len() >= 8, "{help}");
    for name in [
        "--listen",
        "--from",
        "--state-dir",
        "--runtime-config-file",
        "--log-format",
        "--drain",
        "--build",
    ] {
        assert!(help.contains(name), "{name}: {help}");
        let variable = format!(
            "SSCHAT_{}",
            name.trim_start_matches('-')
                .to_uppercase()
                .replace('-', "_")
        );
        assert!(help.contains(&variable), "{variable}: {help}");
    }
}

#[tokio::test]
async fn the_log_can_be_json() {
    let host = Host::start(Options::new().arg("--log-format").arg("json")).await;
    App::register(&host).await.user().await;
    let mut host = host;
    host.signal("TERM").await;
    host.ended().await;
    let said = host.said();
    let objects = said.lines().filter(|line| {
        serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object())
    });
    assert!(objects.count() > 0, "{said}");
}
