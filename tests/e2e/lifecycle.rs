//! Starting, draining and ending.

use sschat_tests::chat::POLLING;
use sschat_tests::host::{binary, guests, repository};
use sschat_tests::{App, Chat, Host, Options, RawSocket, Rest, within};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// All components, from sources of which nothing is compiled.
const COMPILING: Duration = Duration::from_secs(300);

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

/// The soft and the hard limit on open files of a process.
fn descriptors(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let mut words = line.split_whitespace().skip(3);
    let mut word = || words.next().unwrap().to_owned();
    (word(), word())
}

#[tokio::test]
async fn the_limit_on_open_files_is_raised_as_far_as_it_goes() {
    let limited = |script| Host::start(Options::new().after(script));
    let host = limited("ulimit -Sn 256 && ulimit -Hn 9000").await;
    assert_eq!(descriptors(host.pid()), ("9000".into(), "9000".into()));
    assert!(!host.said().contains("open files"), "{}", host.said());

    let host = limited("ulimit -Sn 600 && ulimit -Hn 600").await;
    assert_eq!(descriptors(host.pid()), ("600".into(), "600".into()));
    host.says("at most 600 open files").await;
    Rest::new(host.address()).get("/readyz").await.expect(200);
}

/// Whether a new request is answered with `status`; a host that takes no connection any more answers with nothing.
async fn answers(host: &Host, request: &str, status: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(host.address()).await else {
        return false;
    };
    let mut head = [0; 12];
    let asked = stream.write_all(request.as_bytes()).await.is_ok();
    asked
        && stream.read_exact(&mut head).await.is_ok()
        && head == *format!("HTTP/1.1 {status}").as_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_draining_the_host_takes_nothing_new_and_finishes_what_it_has() {
    let mut host = Host::start(Options::new().from(guests()).arg("--drain").arg("20s")).await;
    let ready = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", host.address());
    let socket = RawSocket::handshake(&host, POLLING, "");
    assert!(answers(&host, &ready, 200).await);
    assert!(answers(&host, &socket, 101).await);
    // A request that is being worked on: a component that ends when its budget does.
    let rest = Arc::new(Rest::new(host.address()));
    let working = tokio::spawn({
        let rest = Arc::clone(&rest);
        async move { rest.get("/hostile/loop").await }
    });
    host.says("round and round").await;
    host.signal("TERM").await;
    within("readiness turns", async {
        while answers(&host, &ready, 200).await {}
    })
    .await;
    assert!(!answers(&host, &socket, 101).await);
    let answer = within("the answer", working).await.unwrap();
    assert_eq!(answer.json()["status"], "error", "{}", answer.text());
    assert!(host.ended().await.success());
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
    let ready = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", host.address());
    within("the drain begins", async {
        while answers(&host, &ready, 200).await {}
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

/// What the README says first. Everything is built already, so that there is little to do.
#[tokio::test]
async fn up_can_build_first() {
    // How long compiling takes is not what is awaited below.
    let built = tokio::process::Command::new(binary())
        .args(["build", "--from"])
        .arg(repository())
        .output();
    let built = tokio::time::timeout(COMPILING, built).await;
    let built = built.expect("components are built in time").unwrap();
    assert!(built.status.success(), "{built:?}");
    let host = Host::start(Options::new().arg("--build")).await;
    for name in ["register", "room", "user", "authority"] {
        host.says(name).await;
    }
    App::register(&host).await.room().await;
}
