//! Components that trap, loop or take what they were not given.

use serde_json::{Value, json};
use sschat_tests::host::guests;
use sschat_tests::{Chat, Host, Options, Rest, within};

async fn hostile() -> Host {
    Host::start(Options::new().from(guests())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_component_that_fails() {
    let host = hostile().await;
    let rest = std::sync::Arc::new(Rest::new(host.address()));
    assert_eq!(rest.get("/hostile/ok").await.expect(200).text(), "ok");
    for fault in ["trap", "memory", "stack", "loop"] {
        let failing = tokio::spawn({
            let rest = std::sync::Arc::clone(&rest);
            async move { rest.get(&format!("/hostile/{fault}")).await }
        });
        // Meanwhile others are served.
        for _ in 0..20 {
            rest.get("/hostile/ok").await.expect(200);
        }
        let answer = within("the budget ends it", failing).await.unwrap();
        assert!(
            matches!(answer.status, 500 | 504),
            "{fault}: {}",
            answer.status
        );
        let body = answer.json();
        assert_eq!(body["status"], "error", "{fault}: {body}");
        assert!(
            !answer.text().contains("told to"),
            "{fault}: the answer shows the component's inside"
        );
        rest.get("/hostile/ok").await.expect(200);
    }
}

#[tokio::test]
async fn a_component_gets_only_what_it_is_granted() {
    let host = hostile().await;
    let rest = Rest::new(host.address());
    let answer = rest.get("/hostile/ungranted").await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    rest.get("/hostile/print").await.expect(200);
    rest.get("/hostile/trap").await;
    host.says("a line on standard output").await;
    host.says("a line on standard error").await;
    let said = host.said();
    let line = said
        .lines()
        .find(|line| line.contains("a line on standard output"))
        .expect("the log has what was printed");
    assert!(line.contains("hostile"), "{line}: which component?");
    assert!(said.contains("a line on standard error"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_fails_denies_that_one_call() {
    let host = hostile().await;
    let mut a = Chat::as_user(&host, "alice").await;
    let mut b = Chat::as_user(&host, "bob").await;
    a.presence("bob", "online").await;
    for fault in ["trap", "memory", "loop"] {
        let mut failing = Chat::connect(&host).await;
        failing
            .send(&json!({"command": "login", "user": fault}))
            .await;
        a.say("calm", fault).await;
        b.expect_message(fault, "alice", "calm").await;
        assert_eq!(
            failing.refusal().await["code"],
            "temporary",
            "login: {fault}"
        );
        // The same connection may try again, and others log in at any time.
        failing.log_in(&format!("after-{fault}")).await;

        for turn in 0..2 {
            failing.say(fault, "x").await;
            let refusal = failing.refusal().await;
            assert_eq!(refusal["code"], "temporary", "publish {turn}: {refusal}");
            failing
                .send(&json!({"command": "ping", "user": fault}))
                .await;
            assert_eq!(
                failing.refusal().await["code"],
                "temporary",
                "ping {turn}: {fault}"
            );
        }
        failing.say("calm", "recovered").await;
        let from: Value = format!("after-{fault}").into();
        let heard = b
            .until("the message", |frame| frame["data"] == "recovered")
            .await;
        assert_eq!(heard["from"], from);
        a.until("the message", |frame| frame["data"] == "recovered")
            .await;
    }
}

/// Invariant 2: nothing that it sees differs from call to call, so nothing unrecorded can be in a verdict.
#[tokio::test]
async fn an_authority_sees_nothing_but_its_arguments_and_what_is_noted() {
    let host = hostile().await;
    let mut seen = Vec::new();
    for user in ["probe-1", "probe-2", "probe-3"] {
        let mut chat = Chat::connect(&host).await;
        chat.send(&json!({"command": "login", "user": user})).await;
        let refusal = chat.refusal().await;
        assert_eq!(refusal["code"], "probed", "{refusal}");
        seen.push(refusal["data"].as_str().unwrap().to_owned());
    }
    assert!(seen.iter().all(|line| *line == seen[0]), "{seen:#?}");
    assert!(seen[0].starts_with("calls=1 random="), "{seen:#?}");
    assert!(
        seen[0].ends_with("variables=0 arguments=0 files=false"),
        "{seen:#?}"
    );
}
