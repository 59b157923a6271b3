//! Why a decision is as it is: over HTTP and on the command line.

use serde_json::{Value, json};
use sschat_tests::policy::on_command;
use sschat_tests::{App, Chat, Host};

#[tokio::test]
async fn a_decision_is_explained() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, _]) = app.room_of().await;
    let ask = format!("action=publish&user={alice}&room={room}");
    let told = app.explain(&ask).await;
    assert_eq!(told["verdict"], "allow", "{told}");
    assert_eq!(told["decided_by"]["policy"], Value::Null, "{told}");
    let authority = told["decided_by"]["authority"].as_str().unwrap();
    assert_eq!(authority.len(), 64, "{told}");
    assert_eq!(told["memo"]["remembered"], false, "{told}");
    let member = format!("{}/member/{room}/{alice}", app.id);
    let version = |told: &Value| {
        let reads = told["reads"].as_array().unwrap();
        let read = reads.iter().find(|read| read["key"] == member);
        read.unwrap_or_else(|| panic!("{member}: {told}"))["version"].clone()
    };
    let before = version(&told);
    assert_eq!(before.as_str().unwrap().len(), 16, "{told}");
    let mut a = Chat::as_user(&host, &alice).await;
    a.say(&room, "remembered from now on").await;
    a.ping(&alice).await;
    assert_eq!(app.explain(&ask).await["memo"]["remembered"], true);
    app.remove(&room, &alice).await;
    let told = app.explain(&ask).await;
    assert_eq!(told["verdict"], "deny", "{told}");
    assert_eq!(told["detail"]["code"], "not_a_member", "{told}");
    assert_eq!(told["memo"]["remembered"], false, "{told}");
    assert_ne!(version(&told), before);
}

#[tokio::test]
async fn a_policy_s_part_is_explained() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, _]) = app.room_of().await;
    let shown = app.rule_by(on_command()).await;
    app.configure(&json!("payload")).await;
    let ask = format!("action=publish&user={alice}&room={room}&payload=%22yes%20please%22");
    let told = app.explain(&ask).await;
    assert_eq!(told["verdict"], "allow", "{told}");
    assert_eq!(told["decided_by"]["policy"], shown["active"]["digest"]);
    assert_eq!(told["looked_at"]["payload"], true, "{told}");
    assert_eq!(told["memo"]["can_be"], false, "{told}");
    app.configure(&json!("clock-until")).await;
    let told = app.explain(&ask).await;
    assert_eq!(told["verdict"], "deny", "{told}");
    assert!(told["memo"]["until"].is_u64(), "{told}");
    assert_eq!(told["memo"]["can_be"], true, "{told}");
    app.configure(&json!("trap")).await;
    let told = app.explain(&ask).await;
    assert_eq!(told["verdict"], "undecided", "{told}");
}

#[tokio::test]
async fn explaining_is_for_the_owner_and_wants_its_parameters() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let rest = &app.rest;
    let get = async |query: String| rest.get(&format!("/api/explain?{query}")).await;
    get("action=publish".to_owned())
        .await
        .expect_error(401, "unauthorized");
    let key = format!("apikey={}", app.key);
    get(format!("{key}&action=publish"))
        .await
        .expect_error(400, "missing_parameter");
    get(format!("{key}&action=fly&user=u"))
        .await
        .expect_error(400, "unknown_action");
    rest.call("POST", "/api/explain").await.expect(405);
}

#[tokio::test]
async fn the_command_line_explains_too() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, _]) = app.room_of().await;
    let url = format!("http://{}", host.address());
    let mut line = vec!["explain", "--url", &url, "--apikey", &app.key];
    line.extend(["--user", &alice, "--room", &room, "publish"]);
    let (status, said) = Host::run(&line).await;
    assert!(status.success(), "{said}");
    assert!(said.contains("verdict      allow"), "{said}");
    let key = format!("{}/member/{room}/{alice}", app.id);
    assert!(said.contains(&key), "{said}");
    line.push("--json");
    let (_, said) = Host::run(&line).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(told["verdict"], "allow");
    line[4] = "apikey_none";
    let (status, said) = Host::run(&line).await;
    assert!(!status.success());
    assert!(said.contains("no such API key"), "{said}");
}
