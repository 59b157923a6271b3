//! `register`, `room`, `user`, `member`, `policy`, `status`.

use serde_json::{Value, json};
use sschat_tests::{Host, Options, Terminal};

/// A registered key at `host`, in the environment of the terminal that is given back.
pub(super) async fn registered(host: &Host) -> Terminal {
    let terminal = Terminal::at(host);
    let made = terminal.run(&["register", "--json"]).await.json();
    let key = made["api_key"].as_str().unwrap().to_owned();
    terminal.with("SSCHAT_APIKEY", &key)
}

/// The one line that a command printed.
pub(super) async fn made(terminal: &Terminal, what: &str) -> String {
    let out = terminal.run(&[what, "create"]).await.ok();
    assert!(out.starts_with(&format!("{what}_")), "{out}");
    out.trim_end().to_owned()
}

#[tokio::test]
async fn a_key_is_registered_shown_and_deleted() {
    let host = Host::plain().await;
    let terminal = Terminal::at(&host);
    let said = terminal.run(&["register", "--label", "a shop"]).await;
    assert!(said.err.contains("shown this once"), "{said:?}");
    let out = said.ok();
    let field = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let terminal = terminal.with("SSCHAT_APIKEY", &field("api_key"));
    let shown = terminal.run(&["register", "show"]).await.ok();
    assert!(
        shown.contains(&format!("app_id         {}", field("app_id"))),
        "{shown}"
    );
    assert!(shown.contains("label          a shop"), "{shown}");
    let shown = terminal.run(&["register", "show", "--json"]).await.json();
    assert_eq!(shown["require_token"], false);
    let unsure = terminal.run(&["register", "delete"]).await;
    unsure.refused(2, &["add --yes"]);
    terminal.run(&["register", "delete", "--yes"]).await.ok();
    let gone = terminal.run(&["room", "list"]).await;
    gone.refused(
        1,
        &[
            "no such API key (unauthorized)",
            "sschat register --save-as",
        ],
    );
}

#[tokio::test]
async fn rooms_users_and_members_are_managed() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let (room, user) = (made(&terminal, "room").await, made(&terminal, "user").await);
    let said = terminal.run(&["member", "add", &room, &user]).await.ok();
    assert_eq!(said, format!("{user} is a member of {room}\n"));
    let listed = terminal.run(&["member", "list", &room]).await.ok();
    assert_eq!(listed, format!("MEMBER\n{user}\n"));
    let shown = terminal
        .run(&["user", "show", &user, "--json"])
        .await
        .json();
    assert_eq!(shown["data"]["rooms"], json!([room]));
    let said = terminal
        .run(&["member", "remove", &room, &user, "--json"])
        .await;
    assert_eq!(said.json()["action"], "remove");
    let shown = terminal.run(&["room", "show", &room]).await.ok();
    assert_eq!(shown, "MEMBERS\n");
    terminal.run(&["room", "delete", &room]).await.ok();
    let gone = terminal.run(&["room", "show", &room]).await;
    gone.refused(1, &["no such room (not_found)", "sschat room list"]);
    let status = terminal.run(&["status"]).await.ok();
    for line in [
        "ready          yes",
        "rule           members",
        "rooms          0",
        "users          1",
        "HOST ",
        " LAG ",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let status = terminal.run(&["status", "--json"]).await.json();
    assert_eq!(status["key"]["users"], 1, "{status}");
    assert_eq!(status["key"]["hosts"].as_array().map(Vec::len), Some(1));
    // There is nobody to be behind.
    assert!(status["key"]["hosts"][0]["lag"].is_null(), "{status}");
}

#[tokio::test]
async fn long_listings_come_in_pages_or_whole() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let made = terminal
        .run(&["room", "create", "--count", "5", "--json"])
        .await
        .json();
    assert_eq!(made.as_array().unwrap().len(), 5);
    let page = terminal.run(&["room", "list", "--limit", "2"]).await;
    assert_eq!(page.out.lines().count(), 3, "{page:?}");
    let cursor = page
        .err
        .split("--cursor ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let rest = terminal
        .run(&["room", "list", "--cursor", &cursor, "--json"])
        .await
        .json();
    assert_eq!(rest["data"]["rooms"].as_array().unwrap().len(), 3, "{rest}");
    let all = terminal
        .run(&["room", "list", "--limit", "2", "--all", "--json"])
        .await
        .json();
    assert_eq!(all["data"]["rooms"].as_array().unwrap().len(), 5, "{all}");
    assert_eq!(all["data"]["next"], Value::Null);
}

#[tokio::test]
async fn a_rule_is_chosen_and_a_component_brought() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let shown = terminal.run(&["policy", "rule", "open"]).await.ok();
    assert!(shown.contains("rule       open"), "{shown}");
    let wrong = terminal.file("no.wasm", "no component");
    let refused = terminal.run(&["policy", "upload", &wrong]).await;
    refused.refused(1, &["not_a_component"]);
    terminal
        .run(&["policy", "upload", "/nowhere"])
        .await
        .refused(2, &["/nowhere"]);
    let config = terminal.file("config.json", "{\"a\":1}");
    terminal.run(&["policy", "config", &config]).await.ok();
    let shown = terminal.run(&["policy", "config"]).await.ok();
    assert_eq!(shown, "{\"a\":1}\n");
    terminal.run(&["policy", "reset"]).await.ok();
    let shown = terminal.run(&["policy", "show", "--json"]).await.json();
    assert_eq!(shown["rule"], "members", "{shown}");
}

#[tokio::test]
async fn refusals_say_what_to_do_next() {
    let host = Host::plain().await;
    let terminal = Terminal::at(&host);
    let no_key = terminal.run(&["room", "list"]).await;
    no_key.refused(2, &["no API key", "--apikey-file", "sschat register"]);
    let wrong = terminal
        .run(&["room", "list", "--apikey", "apikey_none"])
        .await;
    wrong.refused(1, &["no such API key", "sschat config show"]);
    let two_words = terminal.file("key", "apikey_1 apikey_2");
    let refused = terminal
        .run(&["room", "list", "--apikey-file", &two_words])
        .await;
    assert!(!refused.err.contains("apikey_1"), "{refused:?}");
    refused.refused(2, &["more than one word"]);
    let absent = terminal
        .run(&["room", "list", "--apikey-file", "/nowhere"])
        .await;
    absent.refused(2, &["/nowhere can't be read"]);
    // Port 9 is nobody's here.
    for arguments in [
        &["room", "list", "--url", "http://127.0.0.1:9"][..],
        &["status", "--url", "http://127.0.0.1:9"],
    ] {
        let down = [arguments, &["--apikey", "apikey_none"]].concat();
        let down = terminal.run(&down).await;
        down.refused(3, &["http://127.0.0.1:9 can't be reached", "sschat up"]);
    }
    terminal
        .run(&["status", "--url", "nonsense"])
        .await
        .refused(2, &["is no address"]);
}

#[tokio::test]
async fn the_admin_token_opens_a_closed_host() {
    let token = Options::new()
        .arg("--variable")
        .arg("registration=token")
        .arg("--variable")
        .arg("admin_token=sesame");
    let host = Host::start(token).await;
    let terminal = Terminal::at(&host);
    let refused = terminal.run(&["register"]).await;
    refused.refused(1, &["--admin-token-file"]);
    let made = ["register", "--admin-token-file", "-", "--json"];
    let made = terminal.run_with(&made, "sesame\n").await.json();
    assert!(made["api_key"].is_string());
}
