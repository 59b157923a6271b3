//! `history`, and `publish` as the app's backend.

use super::keys_and_ids::{made, registered};
use sschat_tests::{Chat, Host, Options, Terminal};

#[tokio::test]
async fn what_a_backend_says_is_heard_and_kept() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let (room, user) = (made(&terminal, "room").await, made(&terminal, "user").await);
    terminal.run(&["member", "add", &room, &user]).await.ok();
    let mut member = Chat::as_user(&host, &user).await;
    let said = terminal.run(&["publish", &room, "from nobody"]).await.ok();
    assert_eq!(said, "1 publication, up to offset 1\n");
    assert_eq!(member.next().await["data"], "from nobody");
    let again = ["publish", &room, "{\"a\":1}", "--value", "--from", "robot"];
    let again = [&again[..], &["--idempotency-key", "k 1", "--json"]].concat();
    let first = terminal.run(&again).await.json();
    let second = terminal.run(&again).await.json();
    assert_eq!(first["offset"], 2, "{first}");
    assert_eq!(first, second, "the key makes it the same message");
    assert_eq!(member.next().await["from"], "robot");
    let lines = ["publish", &room, "-", "--from", &user];
    let said = terminal
        .run_with(&lines, "three\nfour\u{1b}[2J\n")
        .await
        .ok();
    assert_eq!(said, "2 publications, up to offset 4\n");
    let shown = terminal.run(&["history", &room]).await;
    assert_eq!(shown.err, "", "{shown:?}");
    let table = shown.ok();
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("OFFSET  TIME"), "{table}");
    assert_eq!(rows.len(), 5, "{table}");
    assert!(rows[1].contains("from nobody"), "{table}");
    assert!(
        rows[2].contains("robot") && rows[2].ends_with("{\"a\":1}"),
        "{table}"
    );
    assert!(rows[4].ends_with("four\\u{1b}[2J"), "{table}");
}

#[tokio::test]
async fn history_is_read_page_by_page_and_backwards() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let room = made(&terminal, "room").await;
    let lines = ["publish", &room, "-"];
    terminal.run_with(&lines, "a\nb\nc\n").await.ok();
    let page = terminal.run(&["history", &room, "-n", "2"]).await;
    assert!(
        page.err.contains("there is more: --since 2 --epoch "),
        "{page:?}"
    );
    let epoch = page.err.trim().rsplit(' ').next().unwrap().to_owned();
    let rest = [
        "history", &room, "--since", "2", "--epoch", &epoch, "--json",
    ];
    let rest = terminal.run(&rest).await.json();
    let data = &rest["data"];
    assert_eq!(data["publications"][0]["data"], "c", "{rest}");
    assert_eq!(data["complete"], true, "{rest}");
    let newest = ["history", &room, "--reverse", "-n", "1"];
    let newest = terminal.run(&newest).await;
    assert_eq!(newest.err, "", "{newest:?}");
    assert!(newest.ok().ends_with("  c\n"));
    let anew = [
        "history",
        &room,
        "--since",
        "1",
        "--epoch",
        "0000000000000001",
    ];
    let anew = terminal.run(&anew).await;
    anew.refused(1, &["wrong_epoch", "leave --since and --epoch away"]);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let host = Host::start(Options::new().arg("--history").arg("none")).await;
    let terminal = registered(&host).await;
    let room = made(&terminal, "room").await;
    let said = terminal.run(&["publish", &room, "unkept"]).await.ok();
    assert_eq!(said, "1 publication\n");
    let none = terminal.run(&["history", &room]).await;
    none.refused(1, &["no_history", "--history durable"]);
    let unknown = terminal.run(&["publish", "room_none", "x"]).await;
    unknown.refused(1, &["sschat room list"]);
    let all = ["publish", &room, "-", "--idempotency-key", "k"];
    terminal.run(&all).await.refused(2, &["--idempotency-key"]);
    let both = ["publish", &room, "x", "--from", "a", "--user", "b"];
    terminal.run(&both).await.refused(2, &["--from", "--user"]);
    let keyless = Terminal::at(&host);
    let from = keyless.run(&["publish", &room, "x", "--from", "a"]).await;
    from.refused(2, &["no API key"]);
    let keyless = keyless.run(&["history", &room]).await;
    keyless.refused(2, &["no API key"]);
}
