//! The official JavaScript SDK, unmodified, against the real host.
//!
//! It comes from npm's registry by npm itself, once, below `target/artifacts/sdk`.

use sschat_tests::host::{artifacts, repository};
use sschat_tests::{Host, within};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Three small packages, from a registry that may be far away.
const INSTALLATION: Duration = Duration::from_secs(120);

static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();

#[tokio::test]
async fn the_javascript_sdk_in_json() {
    converse("json").await;
}

#[tokio::test]
async fn the_javascript_sdk_in_protobuf() {
    converse("protobuf").await;
}

/// Runs `tests/sdk/session.mjs` against a host of its own.
async fn converse(format: &str) {
    let folder = FOLDER.get_or_init(install).await;
    let host = Host::plain().await;
    let ended = Command::new("node")
        .arg(repository().join("tests/sdk/session.mjs"))
        .arg(host.address().to_string())
        .arg(folder)
        .arg(format)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = within("the SDK's session ends", ended).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}

/// Installs what `tests/sdk/package.json` names, unless that was done before.
async fn install() -> PathBuf {
    let folder = artifacts("sdk");
    let wanted = std::fs::read(repository().join("tests/sdk/package.json")).unwrap();
    let manifest = folder.join("package.json");
    let done = folder.join("installed.json");
    if std::fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return folder;
    }
    std::fs::write(&manifest, &wanted).unwrap();
    let npm = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--no-package-lock"])
        .arg("--ignore-scripts")
        .current_dir(&folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(INSTALLATION, npm)
        .await
        .expect("npm ends")
        .expect("npm is missing; install it with: sudo apt-get install -y nodejs npm");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm install failed: {said}");
    std::fs::write(done, wanted).unwrap();
    folder
}
