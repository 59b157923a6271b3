//! `/metrics`: that it moves when messages flow, who may read it, and that what `deploy/`
//! names is there.

use serde_json::Value;
use sschat_tests::host::repository;
use sschat_tests::{App, Chat, Host, Options, Rest, within};
use std::collections::{BTreeMap, BTreeSet};

/// The samples of a text: by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The sum of a metric over its labels.
fn sum(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    let own = |key: &str| key.split('{').next() == Some(name);
    let all = samples.iter().filter(|(key, _)| own(key));
    let values: Vec<f64> = all.map(|(_, value)| *value).collect();
    assert!(!values.is_empty(), "{name} is missing");
    values.iter().sum()
}

async fn read(rest: &Rest) -> BTreeMap<String, f64> {
    let answer = rest.get("/metrics").await.expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    samples(&answer.text())
}

/// Reads until the figures say so: a shard publishes them at the end of its turn.
async fn until(rest: &Rest, what: &str, holds: impl Fn(&BTreeMap<String, f64>) -> bool) {
    within(what, async {
        loop {
            let seen = read(rest).await;
            if holds(&seen) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn figures_move_when_messages_flow() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob, carol]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let mut c = Chat::as_user(&host, &carol).await;
    for number in 0..5 {
        a.say(&room, number).await;
    }
    for number in 0..5 {
        b.expect_message(number, &alice, &room).await;
        c.expect_message(number, &alice, &room).await;
    }
    let rest = &app.rest;
    until(rest, "publications are counted", |seen| {
        sum(seen, "sschat_publications_total") == 5.0
            && sum(seen, "sschat_deliveries_total") == 10.0
    })
    .await;
    let seen = read(rest).await;
    assert_eq!(sum(&seen, "sschat_connections"), 3.0);
    assert_eq!(sum(&seen, "sschat_sessions"), 3.0);
    assert!(sum(&seen, "sschat_rooms") >= 1.0);
    assert_eq!(sum(&seen, "sschat_queue_bytes"), 0.0);
    assert_eq!(sum(&seen, "sschat_slow_consumer_closes_total"), 0.0);
    assert!(sum(&seen, "sschat_received_bytes_total") > 5.0 * 60.0);
    assert!(sum(&seen, "sschat_sent_bytes_total") > 10.0 * 60.0);
    assert!(sum(&seen, "sschat_decisions_total") >= 5.0);
    assert!(seen["sschat_decisions_total{source=\"component\"}"] >= 3.0);
    assert!(
        seen["sschat_decisions_total{source=\"session\"}"] >= 4.0,
        "{seen:?}"
    );
    assert!(sum(&seen, "sschat_decision_seconds_count") >= 3.0);
    assert_eq!(sum(&seen, "sschat_decision_failures_total"), 0.0);
    let rooms = "sschat_component_calls_total{component=\"room\",outcome=\"answered\"}";
    assert_eq!(seen[rooms], 4.0);
    assert!(sum(&seen, "sschat_store_commit_seconds_count") >= 8.0);
    assert_eq!(sum(&seen, "sschat_history_appended_total"), 5.0);
    assert_eq!(sum(&seen, "sschat_history_refused_total"), 0.0);
    until(rest, "all of it is durable", |seen| {
        sum(seen, "sschat_history_waiting") == 0.0
            && sum(seen, "sschat_history_receipt_seconds_count") >= 1.0
    })
    .await;
    assert!(sum(&seen, "process_resident_memory_bytes") > 1e6);
    drop((a, b));
    until(rest, "those who went are no longer counted", |seen| {
        sum(seen, "sschat_connections") == 1.0 && sum(seen, "sschat_sessions") == 1.0
    })
    .await;
    c.close().await;
    until(rest, "the room is empty", |seen| {
        sum(seen, "sschat_rooms") == 0.0
    })
    .await;
}

#[tokio::test]
async fn ids_and_keys_are_in_no_label() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let _alice = Chat::as_user(&host, &alice).await;
    app.rest.get("/api/room/room_unknown").await;
    let text = app.rest.get("/metrics").await.expect(200).text();
    for word in ["room_", "user_", "apikey_", "app_"] {
        let labels = text.lines().filter(|line| line.contains('{'));
        assert!(
            !labels
                .clone()
                .any(|line| line.contains(&format!("\"{word}"))),
            "{word}"
        );
    }
}

#[tokio::test]
async fn a_proxy_s_clients_see_no_figures() {
    let host = Host::plain().await;
    let rest = Rest::new(host.address());
    for header in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
        let answer = rest.send("GET", "/metrics", &[(header, "x")], "").await;
        answer.expect_error(404, "not_found");
    }
    rest.call("POST", "/metrics").await.expect(405);
}

#[tokio::test]
async fn an_address_of_their_own_has_figures_and_nothing_else() {
    let host = Host::start(Options::new().arg("--metrics-listen").arg("127.0.0.1:0")).await;
    host.says("  Metrics    http://").await;
    let said = host.said();
    let line = said.lines().find(|line| line.contains("Metrics")).unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let metrics = Rest::new(address.trim_end_matches("/metrics").parse().unwrap());
    read(&metrics).await;
    metrics.get("/api/room").await.expect(404);
    metrics.get("/").await.expect(404);
    let rest = Rest::new(host.address());
    rest.get("/metrics").await.expect(404);
    let taken = Options::new()
        .arg("--metrics-listen")
        .arg(host.address().to_string());
    let (status, said) = Host::refused(taken).await;
    assert!(!status.success());
    assert!(
        said.contains("--metrics-listen") && said.contains("in use"),
        "{said}"
    );
}

/// The names of metrics that a text mentions.
fn named(text: &str) -> BTreeSet<String> {
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !word(character))
        .filter(|word| word.starts_with("sschat_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Every `expr` of a dashboard, wherever it stands.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("expr", Value::String(text)) => found.push(text.clone()),
                    (_, value) => expressions(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn dashboard_and_alerts_name_metrics_that_exist() {
    let host = Host::plain().await;
    let rest = Rest::new(host.address());
    let text = rest.get("/metrics").await.expect(200).text();
    let exists: BTreeSet<String> = samples(&text)
        .into_keys()
        .map(|key| key.split('{').next().unwrap().to_owned())
        .collect();
    let deploy = repository().join("deploy");
    let dashboard = std::fs::read_to_string(deploy.join("grafana/sschat.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut shown = Vec::new();
    expressions(&dashboard, &mut shown);
    assert!(shown.len() >= 12, "{shown:?}");
    let alerts = std::fs::read_to_string(deploy.join("prometheus/alerts.yaml")).unwrap();
    let rules = alerts
        .lines()
        .filter(|line| line.trim_start().starts_with("expr:"));
    let rules: Vec<String> = rules.map(str::to_owned).collect();
    assert_eq!(rules.len(), alerts.matches("- alert:").count());
    assert!(rules.len() >= 6, "{rules:?}");
    for expression in shown.iter().chain(&rules) {
        let named = named(expression);
        assert!(
            !named.is_empty() || expression.contains("up{"),
            "{expression}"
        );
        for name in named {
            assert!(exists.contains(&name), "{name} in {expression}");
        }
    }
}
