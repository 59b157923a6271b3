//! The official SDKs for JavaScript and Python and Centrifugo's server library, unmodified, against the real host.
//!
//! They come from their registries by npm and pip themselves, once, below `target/artifacts`.

use serde_json::json;
use sschat_tests::host::{artifacts, repository};
use sschat_tests::policy::on_command;
use sschat_tests::token::sign;
use sschat_tests::{App, Host, Options, within};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// A few small packages, from a registry that may be far away.
const INSTALLATION: Duration = Duration::from_secs(300);

/// How long a session with an SDK may take.
const PATIENCE: Duration = Duration::from_secs(60);

static NODE: OnceCell<PathBuf> = OnceCell::const_new();
static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();

#[tokio::test]
async fn the_javascript_sdk_in_json() {
    javascript("json", "websocket").await;
}

#[tokio::test]
async fn the_javascript_sdk_in_protobuf() {
    javascript("protobuf", "websocket").await;
}

#[tokio::test]
async fn the_javascript_sdk_by_http_streams() {
    javascript("json", "http_stream").await;
}

#[tokio::test]
async fn the_javascript_sdk_by_http_streams_in_protobuf() {
    javascript("protobuf", "http_stream").await;
}

#[tokio::test]
async fn the_javascript_sdk_by_server_sent_events() {
    javascript("json", "sse").await;
}

#[tokio::test]
async fn the_javascript_sdk_hears_differences_in_json() {
    differences("json").await;
}

#[tokio::test]
async fn the_javascript_sdk_hears_differences_in_protobuf() {
    differences("protobuf").await;
}

#[tokio::test]
async fn the_javascript_sdk_hears_what_its_filter_lets_through() {
    let folder = NODE.get_or_init(install_for_node).await;
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.put_rule("open").await;
    let token = sign(&json!({"sub": "alice"}), &app.secret);
    for format in ["json", "protobuf"] {
        let mut session = Command::new("node");
        session
            .arg(repository().join("tests/sdk/filters.mjs"))
            .arg(host.address().to_string())
            .arg(folder)
            .args([format, &app.id, &app.key, &token]);
        run(session, "the JavaScript session", PATIENCE).await;
    }
}

#[tokio::test]
async fn the_python_sdk_and_the_server_library_in_json() {
    python("json").await;
}

#[tokio::test]
async fn the_python_sdk_and_the_server_library_in_protobuf() {
    python("protobuf").await;
}

async fn javascript(format: &str, transport: &str) {
    let folder = NODE.get_or_init(install_for_node).await;
    let host = Host::plain().await;
    let mut session = Command::new("node");
    session
        .arg(repository().join("tests/sdk/session.mjs"))
        .arg(host.address().to_string())
        .arg(folder)
        .arg(format)
        .arg(transport);
    run(session, "the JavaScript session", PATIENCE).await;
}

async fn differences(format: &str) {
    let folder = NODE.get_or_init(install_for_node).await;
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.put_rule("open").await;
    let token = |user: &str| sign(&json!({"sub": user}), &app.secret);
    let mut session = Command::new("node");
    session
        .arg(repository().join("tests/sdk/deltas.mjs"))
        .arg(host.address().to_string())
        .arg(folder)
        .args([format, &app.id, &token("alice"), &token("bob")]);
    run(session, "the JavaScript session", PATIENCE).await;
}

async fn python(format: &str) {
    let folder = PYTHON.get_or_init(install_for_python).await;
    let host = Host::plain().await;
    let mut session = Command::new(folder.join("bin/python"));
    session
        .arg(repository().join("tests/sdk/session.py"))
        .arg(host.address().to_string())
        .arg(format);
    run(session, "the Python session", PATIENCE).await;
}

/// Calls methods of the app's policy.
#[tokio::test]
async fn the_javascript_sdk_calls_methods() {
    let folder = NODE.get_or_init(install_for_node).await;
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.rule_by(on_command()).await;
    let user = app.user().await;
    let token = sign(&json!({"sub": user}), &app.secret);
    for format in ["json", "protobuf"] {
        let mut session = Command::new("node");
        session
            .arg(repository().join("tests/sdk/calls.mjs"))
            .arg(host.address().to_string())
            .arg(folder)
            .args([format, &app.id, &user, &token]);
        run(session, "the JavaScript calls", PATIENCE).await;
    }
}

/// First steps, as the documentation of SDK and server library shows them, which knows of no apps.
#[tokio::test]
async fn examples_that_know_no_apps() {
    let node = NODE.get_or_init(install_for_node).await;
    let python = PYTHON.get_or_init(install_for_python).await;
    let options = [
        "--dev-app",
        "--dev-secret=secret",
        "--dev-api-key=my_api_key",
    ];
    let options = options.into_iter().fold(Options::new(), Options::arg);
    let host = Host::start(options).await;
    let address = host.address().to_string();
    let mut example = Command::new("node")
        .arg(repository().join("tests/sdk/example.mjs"))
        .arg(&address)
        .arg(node)
        .arg(sign(&json!({"sub": "42"}), "secret"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(example.stdout.take().unwrap()).lines();
    let ready = within("the example is ready", said.next_line())
        .await
        .unwrap();
    assert_eq!(ready.as_deref(), Some("ready"));
    let mut backend = Command::new(python.join("bin/python"));
    backend
        .arg(repository().join("tests/sdk/example.py"))
        .args([&address, "my_api_key"]);
    run(backend, "the backend", PATIENCE).await;
    let ended = within("the example ends", example.wait()).await.unwrap();
    assert!(ended.success(), "{ended}");
}

/// Runs a program; fails with what it said unless it succeeds in time.
async fn run(mut program: Command, what: &str, patience: Duration) {
    let ended = program.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(patience, ended)
        .await
        .unwrap_or_else(|_| panic!("{what} does not end"))
        .unwrap_or_else(|error| panic!("{what} can't be begun: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{what} failed: {said}");
}

/// Whether what a file names is installed in a folder; where it is not, what it names.
fn missing(folder: &Path, named: &str) -> Option<Vec<u8>> {
    let wanted = std::fs::read(repository().join("tests/sdk").join(named)).unwrap();
    let installed = std::fs::read(folder.join("installed"));
    (!installed.is_ok_and(|installed| installed == wanted)).then_some(wanted)
}

/// Installs what `tests/sdk/package.json` names, unless that was done before.
async fn install_for_node() -> PathBuf {
    let folder = artifacts("sdk");
    if let Some(wanted) = missing(&folder, "package.json") {
        std::fs::write(folder.join("package.json"), &wanted).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock"])
            .arg("--ignore-scripts")
            .current_dir(&folder);
        run(npm, "npm install", INSTALLATION).await;
        std::fs::write(folder.join("installed"), wanted).unwrap();
    }
    folder
}

/// Installs what `tests/sdk/requirements.txt` names in an environment of its own, unless that was done before.
async fn install_for_python() -> PathBuf {
    let folder = artifacts("sdk-python");
    if let Some(wanted) = missing(&folder, "requirements.txt") {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        run(venv, "python3 -m venv", INSTALLATION).await;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(repository().join("tests/sdk/requirements.txt"));
        run(pip, "pip install", INSTALLATION).await;
        std::fs::write(folder.join("installed"), wanted).unwrap();
    }
    folder
}
