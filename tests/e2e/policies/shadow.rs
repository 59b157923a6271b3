//! A candidate runs beside the active policy: compared, never obeyed, then promoted.

use serde_json::json;
use sschat_tests::policy::on_command;
use sschat_tests::{App, Chat, Host};

#[tokio::test]
async fn a_candidate_is_compared_and_promoted() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    app.configure(&json!("deny")).await;
    let promoted = app.policy("POST", "/promote", "").await;
    promoted.expect_error(409, "no_candidate");
    let shown = app.policy("PUT", "?mode=shadow", on_command()).await;
    let shown = shown.expect(200).json();
    assert!(shown["active"].is_null(), "{shown}");
    assert!(shown["candidate"]["digest"].is_string(), "{shown}");
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    // Not obeyed.
    a.say(&room, "hello").await;
    b.expect_message("hello", &alice, &room).await;
    let shadow = loop {
        let shadow = app.figures().await["decisions"]["shadow"].clone();
        if shadow["different"].as_u64().unwrap() > 0 {
            break shadow;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(shadow["digest"], shown["candidate"]["digest"], "{shadow}");
    assert!(shadow["same"].as_u64().unwrap() > 0, "{shadow}");
    let sample = &shadow["samples"][0];
    assert_eq!(sample["active"], "allow", "{shadow}");
    assert!(
        sample["candidate"].as_str().unwrap().starts_with("deny"),
        "{shadow}"
    );
    let shown = app.policy("POST", "/promote", "").await.expect(200).json();
    assert!(shown["candidate"].is_null(), "{shown}");
    assert_eq!(shown["active"]["digest"], shadow["digest"]);
    a.say(&room, "refused now").await;
    assert_eq!(a.refusal().await["code"], "denied");
}

#[tokio::test]
async fn a_candidate_is_dropped() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let uploaded = app.policy("PUT", "?mode=shadow", on_command()).await;
    uploaded.expect(200);
    let shown = app.policy("DELETE", "/candidate", "").await.expect(200);
    assert!(shown.json()["candidate"].is_null());
    let promoted = app.policy("POST", "/promote", "").await;
    promoted.expect_error(409, "no_candidate");
}
