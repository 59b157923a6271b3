//! `deploy/`: that its files are what their readers take, as far as the tools here reach.

use serde_json::Value;
use sschat_tests::host::repository;
use sschat_tests::{Host, Options, Rest, Terminal, within};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::process::Command;

fn deploy() -> PathBuf {
    repository().join("deploy")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy().join(path)).unwrap()
}

/// The options that `sschat up` has.
async fn options() -> String {
    let (status, help) = Host::run(&["up", "--help"]).await;
    assert!(status.success());
    help
}

/// Runs a tool, or says that it is not here.
async fn tool(name: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let done = Command::new(name).args(arguments).output();
    let done = match within(name, done).await {
        Ok(done) => done,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{name} is not installed: not checked");
            return None;
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some((done.status.success(), said))
}

#[tokio::test]
async fn every_yaml_file_parses() {
    let parse = "import sys, yaml\nfor f in sys.argv[1:]:\n  assert all(d is not None for d in yaml.safe_load_all(open(f))), f";
    let mut found = Vec::new();
    for folder in ["prometheus", "container", "kubernetes"] {
        for entry in std::fs::read_dir(deploy().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "yaml") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    assert!(found.len() >= 3, "{found:?}");
    for path in &found {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains('\t'), "{path} has a tab");
    }
    let mut arguments = vec!["-c", parse];
    arguments.extend(found.iter().map(String::as_str));
    if let Some((parsed, said)) = tool("python3", &arguments).await {
        let absent = said.contains("No module named 'yaml'");
        assert!(parsed || absent, "{said}");
    }
}

#[tokio::test]
async fn the_unit_is_one_that_systemd_takes() {
    let unit = read("systemd/sschat.service");
    for line in [
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "LimitNOFILE=1048576",
    ] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
    // The program is not installed here, but another is in its place.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sschat.service");
    std::fs::write(&path, unit.replace("/usr/bin/sschat", "/bin/true")).unwrap();
    let path = path.to_str().unwrap();
    if let Some((taken, said)) = tool("systemd-analyze", &["verify", "--man=no", path]).await {
        assert!(taken, "{said}");
    }
}

#[tokio::test]
async fn only_options_that_exist_are_set() {
    let help = options().await;
    for file in [
        "systemd/sschat.service",
        "container/compose.yaml",
        "container/Containerfile",
        "kubernetes/sschat.yaml",
    ] {
        let text = read(file);
        let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_' || it == '-'));
        for word in words.filter(|word| word.starts_with("SSCHAT_")) {
            assert!(help.contains(word), "{file} sets {word}");
        }
    }
}

/// The file that is shipped is what the binary prints, and a host that is started with it serves.
#[tokio::test]
async fn the_configuration_file_has_every_key_and_is_taken() {
    let terminal = Terminal::default();
    let example = terminal.run(&["config", "example"]).await.ok();
    assert_eq!(example, read("sschat.toml"));
    let file = terminal.file("sschat.toml", &example);
    let host = Host::start(Options::new().args(&["--config", &file])).await;
    drop(host);
    let text = "drain = \"1s\"\nhistory = \"memory\"\n[variables]\nregistration = \"closed\"\n";
    let file = terminal.file("own.toml", text);
    let host = Host::start(Options::new().env("SSCHAT_CONFIG", &file)).await;
    host.says("in memory").await;
    let rest = Rest::new(host.address());
    let refused = rest.send("POST", "/api/register", &[], "").await;
    refused.expect_error(403, "registration_closed");
    let typo = terminal.file("typo.toml", "histroy = \"memory\"\n");
    let (status, said) = Host::refused(Options::new().args(&["--config", &typo])).await;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean \"history\"?"), "{said}");
    let checked = terminal.run(&["check", "--config", &typo]).await;
    checked.refused(2, &["typo.toml: ", "did you mean \"history\"?"]);
}

#[test]
fn kubernetes_probes_ask_for_what_the_host_answers() {
    let text = read("kubernetes/sschat.yaml");
    for line in [
        "path: /healthz",
        "path: /readyz",
        "kind: PodDisruptionBudget",
        "readOnlyRootFilesystem: true",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn the_dashboard_s_panels_lie_apart() {
    let dashboard: Value = serde_json::from_str(&read("grafana/sschat.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let place = |panel: &Value| {
        let number = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        (number("x"), number("y"), number("w"), number("h"))
    };
    for (at, panel) in panels.iter().enumerate() {
        let (x, y, w, h) = place(panel);
        assert!(x + w <= 24, "{panel}");
        for other in &panels[at + 1..] {
            assert_ne!(panel["id"], other["id"]);
            let (ox, oy, ow, oh) = place(other);
            let apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
            assert!(apart, "{} and {}", panel["title"], other["title"]);
        }
    }
}
