//! `sschat up --dev-app`: those who name no app belong to one that is open to all.

use super::streams::Session;
use super::{Client, PATH, accepted};
use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{App, Chat, Host, Options, Rest};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn options(state: &Path) -> Options {
    Options::new().state(state).arg("--dev-app")
}

/// The app, as the host keeps it.
fn kept(state: &Path) -> Value {
    let bytes = std::fs::read(state.join("dev-app.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn anonymous(host: &Host) -> Client {
    let mut client = Client::open_at(host, PATH).await;
    let connected = client.ask(json!({"connect": {}})).await;
    assert!(connected["connect"]["client"].is_string(), "{connected}");
    client
}

#[tokio::test]
async fn who_names_no_app_talks_in_any_channel() {
    let state = TempDir::new().unwrap();
    let host = Host::start(options(state.path())).await;
    let app = kept(state.path());
    for shown in ["app_id", "api_key", "secret"] {
        host.says(app[shown].as_str().unwrap()).await;
    }
    let mut a = anonymous(&host).await;
    let channel = "chat:index/#42,43";
    let subscribed = a.ask(json!({"subscribe": {"channel": channel}})).await;
    assert!(subscribed["subscribe"].is_object(), "{subscribed}");
    let token = sign(&json!({"sub": "42"}), app["secret"].as_str().unwrap());
    let mut b = Client::open_at(&host, PATH).await;
    let connected = b.ask(json!({"connect": {"token": token}})).await;
    assert!(connected["connect"].is_object(), "{connected}");
    let said = json!({"publish": {"channel": channel, "data": "hello"}});
    accepted(&b.ask(said).await);
    let (from, push) = a.push().await;
    assert_eq!(
        (&from, &push["pub"]["data"]),
        (&json!(channel), &json!("hello"))
    );
    assert_eq!(push["pub"]["info"]["user"], "42");
    let history = a
        .ask(json!({"history": {"channel": channel, "limit": 1}}))
        .await;
    assert_eq!(history["history"]["publications"][0]["data"], "hello");

    // Its key manages it like any other.
    let key = app["api_key"].as_str().unwrap();
    let shown = Rest::new(host.address())
        .get(&format!("/api/policy?apikey={key}"))
        .await;
    assert_eq!(shown.expect(200).json()["rule"], "open");
}

#[tokio::test]
async fn those_who_name_an_app_belong_to_that_one() {
    let state = TempDir::new().unwrap();
    let host = Host::start(options(state.path())).await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    // By a claim of the token, and by the address.
    let token = sign(&json!({"sub": alice, "app": app.id}), &app.secret);
    let mut by_token = Client::open_at(&host, PATH).await;
    let connected = by_token.ask(json!({"connect": {"token": token}})).await;
    assert!(
        connected["connect"]["subs"][&room].is_object(),
        "{connected}"
    );
    let (_, connected) = Client::of(&host, &app, &alice).await;
    assert!(connected["subs"][&room].is_object(), "{connected}");
    // Its secret opens no other app, and no other's opens it.
    let mut wrong = Client::open_at(&host, PATH).await;
    let token = sign(&json!({"sub": alice}), &app.secret);
    wrong.send(json!({"connect": {"token": token}})).await;
    wrong.expect_close(3500).await;
    // The original protocol names users, who lead to their apps.
    let mut polling = Chat::as_user(&host, &alice).await;
    polling.say(&room, "hello").await;
    let mut stranger = Chat::connect(&host).await;
    let nobody = "user_00000000000000000000000000000000";
    stranger
        .send(&json!({"command": "login", "user": nobody}))
        .await;
    assert_eq!(stranger.refusal().await["code"], "unknown_user");
}

#[tokio::test]
async fn the_other_transports_need_no_app_either() {
    let state = TempDir::new().unwrap();
    let host = Host::start(options(state.path())).await;
    let mut a =
        Session::open_at(&host, "/connection/http_stream", r#"{"id":1,"connect":{}}"#).await;
    let subscribed = a.ask(json!({"subscribe": {"channel": "news"}})).await;
    assert!(subscribed["subscribe"].is_object(), "{subscribed}");
}

#[tokio::test]
async fn the_app_is_the_same_after_a_restart() {
    let state = TempDir::new().unwrap();
    let host = Host::start(options(state.path())).await;
    let first = kept(state.path());
    host.kill().await;
    let again = options(state.path())
        .arg("--dev-secret=secret")
        .arg("--dev-api-key=my_api_key");
    let host = Host::start(again).await;
    let second = kept(state.path());
    for same in ["app_id", "api_key"] {
        assert_eq!(first[same], second[same]);
    }
    assert_eq!(second["secret"], "secret");
    let file = std::fs::metadata(state.path().join("dev-app.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    // What the first secret signed is taken beside the second.
    for secret in [first["secret"].as_str().unwrap(), "secret"] {
        let mut client = Client::open_at(&host, PATH).await;
        let token = sign(&json!({"sub": "42"}), secret);
        let connected = client.ask(json!({"connect": {"token": token}})).await;
        assert!(connected["connect"].is_object(), "{connected}");
    }
    // Both are keys of the server API.
    let rest = Rest::new(host.address());
    for key in ["my_api_key", first["api_key"].as_str().unwrap()] {
        let headers = [("x-api-key", key)];
        let answer = rest.send("POST", "/api/info", &headers, "{}").await;
        assert!(answer.expect(200).json()["result"]["nodes"].is_array());
    }
    let wrong = [("x-api-key", "their_api_key")];
    let answer = rest.send("POST", "/api/info", &wrong, "{}").await;
    answer.expect_error(401, "unauthorized");

    // A key that was deleted meanwhile is followed by another.
    let path = format!("/api/register/{}", first["api_key"].as_str().unwrap());
    rest.call("DELETE", &path).await.expect(200);
    let mut late = Client::open_at(&host, PATH).await;
    late.send(json!({"connect": {}})).await;
    late.expect_close(3507).await;
    host.kill().await;
    let host = Host::start(options(state.path())).await;
    assert_ne!(kept(state.path())["app_id"], first["app_id"]);
    anonymous(&host).await;
}

#[tokio::test]
async fn pages_of_this_machine_may_connect() {
    let state = TempDir::new().unwrap();
    let host = Host::start(options(state.path())).await;
    for (origin, allowed) in [
        ("http://localhost:5173", true),
        ("http://127.0.0.1:8080", true),
        ("http://evil.example", false),
        ("null", false),
    ] {
        let headers = [("Origin", origin)];
        let opened = Chat::open(host.address(), PATH, &headers).await;
        assert_eq!(opened.is_ok(), allowed, "{origin}");
    }
}

#[tokio::test]
async fn without_the_option_nobody_is_let_in_without_an_app() {
    let host = Host::plain().await;
    let mut client = Client::open_at(&host, PATH).await;
    client.send(json!({"connect": {}})).await;
    client.expect_close(3507).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let refused = async |arguments: &[&str]| {
        let options = arguments
            .iter()
            .fold(Options::new(), |options, it| options.arg(*it));
        let (status, said) = Host::refused(options).await;
        assert!(!status.success());
        said
    };
    let said = refused(&["--dev-app", "--variable", "registration=closed"]).await;
    assert!(
        said.contains("--dev-app: this server takes no registrations"),
        "{said}"
    );
    let said = refused(&["--dev-app", "--dev-secret", ""]).await;
    assert!(said.contains("--dev-app: a secret has"), "{said}");
    let said = refused(&["--dev-secret", "secret"]).await;
    assert!(said.contains("--dev-app"), "{said}");
    let token = [
        "--variable",
        "registration=token",
        "--variable",
        "admin_token=sesame",
    ];
    let options = token
        .iter()
        .fold(Options::new(), |options, it| options.arg(*it));
    let host = Host::start(options.arg("--dev-app")).await;
    anonymous(&host).await;
}

#[tokio::test]
async fn a_file_that_is_none_is_told() {
    let state = TempDir::new().unwrap();
    std::fs::write(state.path().join("dev-app.json"), "{").unwrap();
    let (status, said) = Host::refused(options(state.path())).await;
    assert!(!status.success());
    assert!(said.contains("dev-app.json: remove it"), "{said}");
}
