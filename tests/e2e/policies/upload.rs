//! What is taken as a policy, how long it stays, and what takes its place.

use serde_json::{Value, json};
use sschat_tests::policy::{component, on_command};
use sschat_tests::{App, Chat, Host, Options};

#[tokio::test]
async fn a_policy_is_uploaded_shown_and_taken_back() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let bare = app.policy("GET", "", "").await.expect(200).json();
    assert_eq!(bare["rule"], "members", "{bare}");
    assert_eq!(bare["active"], Value::Null, "{bare}");
    let shown = app.rule_by(on_command()).await;
    assert_eq!(shown["active"]["size"], on_command().len(), "{shown}");
    let digest = shown["active"]["digest"].as_str().unwrap();
    assert_eq!(digest.len(), 64, "{shown}");
    let shown = app.policy("GET", "", "").await.expect(200).json();
    assert_eq!(shown["active"]["digest"], digest, "{shown}");
    assert!(shown["limits"]["component_bytes"].is_u64(), "{shown}");
    assert!(shown["figures"]["calls"].is_u64(), "{shown}");
    app.configure(&json!({"mode": "deny"})).await;
    let kept = app.policy("GET", "/config", "").await.expect(200).json();
    assert_eq!(kept, json!({"mode": "deny"}));
    let bare = app.policy("DELETE", "", "").await.expect(200).json();
    assert_eq!(bare["active"], Value::Null, "{bare}");
    app.policy("DELETE", "", "").await.expect(200);
}

#[tokio::test]
async fn what_is_no_policy_is_refused_and_changes_nothing() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.rule_by(on_command()).await;
    let before = app.policy("GET", "", "").await.json()["active"].clone();
    let refusals = [
        ("not WebAssembly", "not_a_component"),
        ("", "not_a_component"),
        ("\0asm\x01\0\0\0", "unfit_policy"),
        ("\0asm\x0d\0\x01\0 and more", "unfit_policy"),
    ];
    for (body, code) in refusals {
        app.policy("PUT", "", body).await.expect_error(400, code);
    }
    // Components, but of other worlds.
    for (name, reason) in [
        ("sschat_room", "component model async"),
        ("sschat_guest_authority", "sschat:policy/hooks"),
    ] {
        let refused = app.policy("PUT", "", component(name)).await;
        let refused = refused.expect_error(400, "unfit_policy").text();
        assert!(refused.contains(reason), "{refused}");
    }
    app.policy("PUT", "/config", "{")
        .await
        .expect_error(400, "invalid_json");
    let other = App::register(&host).await;
    let path = "/api/policy?apikey=apikey_00000000000040008000000000000000";
    let stranger = other.rest.send("PUT", path, &[], on_command()).await;
    stranger.expect_error(401, "unauthorized");
    let after = app.policy("GET", "", "").await.json()["active"].clone();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_policy_survives_the_host() {
    let state = tempfile::TempDir::new().unwrap();
    let options = || Options::new().state(state.path());
    let host = Host::start(options()).await;
    let app = App::register(&host).await;
    let (room, [alice, _bob]) = app.room_of().await;
    app.rule_by(on_command()).await;
    app.configure(&json!("deny")).await;
    host.kill().await;
    let host = Host::start(options()).await;
    let mut a = Chat::as_user(&host, &alice).await;
    a.say(&room, "still refused?").await;
    assert_eq!(a.refusal().await["code"], "denied");
}

/// Deleting the key takes the policy with it, and nobody else's.
#[tokio::test]
async fn a_policy_goes_with_its_key() {
    let host = Host::plain().await;
    let (one, other) = (App::register(&host).await, App::register(&host).await);
    one.rule_by(on_command()).await;
    other.rule_by(on_command()).await;
    let path = format!("/api/register/{}", one.key);
    one.rest.call("DELETE", &path).await.expect(200);
    one.policy("GET", "", "")
        .await
        .expect_error(401, "unauthorized");
    let shown = other.policy("GET", "", "").await.expect(200).json();
    assert!(shown["active"]["digest"].is_string(), "{shown}");
    let (room, [alice, bob]) = other.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    a.say(&room, "hello").await;
    b.expect_message("hello", &alice, &room).await;
}
