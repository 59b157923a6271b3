//! `deploy/`: that its files are what their readers take, as far as the tools here reach.

use serde_json::Value;
use sschat_tests::host::repository;
use sschat_tests::within;
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
    let (status, help) = sschat_tests::Host::run(&["up", "--help"]).await;
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
