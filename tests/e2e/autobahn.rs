//! The Autobahn test suite, an outside judge of the framing: `tests/run -- --ignored autobahn`.
//!
//! The suite exists for Python 2.7 alone, which few machines have, and comes from Python's package index; so these tests
//! run only where they are asked for, and fail with the reason where they cannot. The suite is installed once, below
//! `target/artifacts/autobahn`; its reports are there too.

use serde_json::{Value, json};
use sschat_tests::host::artifacts;
use sschat_tests::{Host, Options};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// The last release whose package names the versions of the libraries it needs.
const SUITE: &str = "autobahntestsuite==0.8.2";

/// Compiles a few small C extensions.
const INSTALLATION: Duration = Duration::from_secs(600);

/// The compression groups echo half a million messages through an interpreter.
const RUN: Duration = Duration::from_secs(3_600);

/// What the suite may say of a case. An informational one has no right answer.
const GOOD: [&str; 2] = ["OK", "INFORMATIONAL"];

#[tokio::test]
#[ignore = "needs Python 2.7 and its package index"]
async fn autobahn_groups_1_to_10_pass() {
    // Group 8 does not exist.
    judge(
        "framing",
        &["1", "2", "3", "4", "5", "6", "7", "9", "10"],
        301,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs Python 2.7 and its package index"]
async fn autobahn_groups_12_and_13_pass() {
    judge("compression", &["12", "13"], 216).await;
}

/// Runs the suite against a host of its own and expects every case to be in order.
async fn judge(name: &str, groups: &[&str], count: usize) {
    let suite = install().await;
    // Group 9 sends messages of 16 MiB.
    let options = [
        "--debug-endpoints",
        "--compression",
        "--message-limit",
        "32MiB",
        "--queue-limit",
        "64MiB",
    ];
    let options = options.into_iter().fold(Options::new(), Options::arg);
    let host = Host::start(options).await;
    let url = format!("ws://{}/websocket/echo", host.address());
    let verdicts = run(&suite, name, &url, groups).await;
    assert_eq!(verdicts.len(), count, "cases that were run");
    let bad: Vec<String> = verdicts
        .iter()
        .filter(|(_, verdict)| !is_good(verdict))
        .map(|(case, verdict)| {
            format!(
                "{case}: {} / {}",
                verdict["behavior"], verdict["behaviorClose"]
            )
        })
        .collect();
    assert!(
        bad.is_empty(),
        "{}\nsee {}",
        bad.join("\n"),
        reports(name).display()
    );
}

fn is_good(verdict: &Value) -> bool {
    ["behavior", "behaviorClose"].iter().all(|aspect| {
        verdict[aspect]
            .as_str()
            .is_some_and(|said| GOOD.contains(&said))
    })
}

/// Runs groups of cases against an echo endpoint: by case, what the suite says of it.
async fn run(
    suite: &Path,
    name: &str,
    url: &str,
    groups: &[&str],
) -> serde_json::Map<String, Value> {
    let reports = reports(name);
    let cases: Vec<String> = groups.iter().map(|group| format!("{group}.*")).collect();
    let specification = reports.join("specification.json");
    let content = json!({
        "outdir": &reports,
        "servers": [{"agent": "sschat", "url": url}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    std::fs::write(&specification, content.to_string()).unwrap();
    let mut command = Command::new(suite.join("bin/wstest"));
    command
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&specification)
        .env("PYTHONUSERBASE", suite);
    ended_well("the suite", RUN, command).await;
    let index = std::fs::read(reports.join("index.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    match index["sschat"].take() {
        Value::Object(verdicts) => verdicts,
        other => panic!("no verdicts but {other}"),
    }
}

/// An empty folder for the reports of a run.
fn reports(name: &str) -> PathBuf {
    artifacts(&format!("autobahn/{name}"))
}

/// Installs the suite unless that was done before. Python 2.7 has no virtual environments; a user's base folder of
/// its own does the same.
async fn install() -> PathBuf {
    let suite = artifacts("autobahn/python");
    if suite.join("bin/wstest").is_file() {
        return suite;
    }
    let mut command = Command::new(python().await);
    command
        .args(["-m", "pip", "install", "--user", "--quiet", SUITE])
        .env("PYTHONUSERBASE", &suite);
    ended_well("the suite's installation", INSTALLATION, command).await;
    suite
}

/// A Python 2.7: `SSCHAT_PYTHON2`, or on the path, or one that pyenv has.
async fn python() -> PathBuf {
    let mut candidates = vec![PathBuf::from("python2.7"), PathBuf::from("python2")];
    if let Some(chosen) = std::env::var_os("SSCHAT_PYTHON2") {
        candidates = vec![chosen.into()];
    } else if let Some(home) = std::env::var_os("HOME") {
        let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
        let versions = versions.into_iter().flatten().flatten();
        candidates.extend(versions.map(|version| version.path().join("bin/python2.7")));
    }
    for candidate in candidates {
        // A shim of pyenv is on the path even where the version is not chosen, and fails.
        let version = Command::new(&candidate)
            .args([
                "-c",
                "import pip, sys; sys.exit(sys.version_info[:2] != (2, 7))",
            ])
            .stdin(Stdio::null())
            .output()
            .await;
        if version.is_ok_and(|output| output.status.success()) {
            return candidate;
        }
    }
    panic!("the Autobahn test suite needs Python 2.7 with pip; set SSCHAT_PYTHON2 to where it is");
}

async fn ended_well(what: &str, patience: Duration, mut command: Command) {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output: Output = tokio::time::timeout(patience, command.output())
        .await
        .unwrap_or_else(|_| panic!("{what} did not end within {patience:?}"))
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed: {said}");
}
