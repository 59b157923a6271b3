//! `publish`, `tail`, `presence`.

use super::keys_and_ids::{made, registered};
use serde_json::Value;
use sschat_tests::{Chat, Host, Terminal};

/// A room with two members.
async fn room_of_two(terminal: &Terminal) -> (String, String, String) {
    let room = made(terminal, "room").await;
    let (alice, bob) = (made(terminal, "user").await, made(terminal, "user").await);
    terminal
        .run(&["member", "add", &room, &alice, &bob])
        .await
        .ok();
    (room, alice, bob)
}

#[tokio::test]
async fn what_is_published_is_tailed() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let (room, alice, bob) = room_of_two(&terminal).await;
    let line = ["tail", &room, "--user", &alice, "--count", "3"];
    let mut people = terminal.start(&line, "listening to 1 room").await;
    let line = ["tail", "--user", &alice, "--json", "-n", "1"];
    let mut programs = terminal.start(&line, "listening").await;
    let say = ["publish", &room, "hi\u{1b}[31m there", "--user", &bob];
    assert_eq!(terminal.run(&say).await.ok(), "1 publication\n");
    let wanted = format!("{room}  {bob}  hi\\u{{1b}}[31m there");
    assert_eq!(people.line().await, wanted);
    let frame: Value = serde_json::from_str(&programs.line().await).unwrap();
    assert_eq!(frame["data"], "hi\u{1b}[31m there");
    assert_eq!(programs.ended().await, 0);
    let say = ["publish", &room, "-", "--value", "--user", &bob, "--json"];
    let said = terminal.run_with(&say, "{\"a\":1}\n[2]\n").await.json();
    assert_eq!(said["published"], 2);
    assert_eq!(people.line().await, format!("{room}  {bob}  {{\"a\":1}}"));
    assert_eq!(people.line().await, format!("{room}  {bob}  [2]"));
    assert_eq!(people.ended().await, 0);
}

#[tokio::test]
async fn presence_is_asked() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let (_, alice, bob) = room_of_two(&terminal).await;
    let ask = ["presence", &bob, "--user", &alice];
    let out = terminal.run(&ask).await.ok();
    assert!(out.contains(&format!("{bob}  offline")), "{out}");
    let _bob = Chat::as_user(&host, &bob).await;
    let ask = ["presence", &bob, &alice, "--user", &alice, "--json"];
    let told = terminal.run(&ask).await.json();
    assert_eq!(told["data"][0]["state"], "online", "{told}");
    assert_eq!(told["data"][1]["state"], "online", "{told}");
    let stranger = made(&terminal, "user").await;
    let ask = ["presence", &stranger, "--user", &alice];
    terminal.run(&ask).await.refused(1, &["shares a room"]);
}

#[tokio::test]
async fn refusals_of_the_socket_are_told() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let (room, alice, _) = room_of_two(&terminal).await;
    let stranger = made(&terminal, "user").await;
    let refused = terminal
        .run(&["publish", &room, "hi", "--user", &stranger])
        .await;
    refused.refused(1, &["not_a_member"]);
    let refused = terminal.run(&["tail", &room, "--user", &stranger]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let refused = terminal
        .run(&["publish", &room, "hi", "--user", "user_none"])
        .await;
    refused.refused(
        1,
        &["the login was refused", "unknown_user", "sschat user list"],
    );
    let nobody = Terminal::at(&host).run(&["publish", &room, "hi"]).await;
    nobody.refused(2, &["--user USER", "--token-file"]);
    let no_json = ["publish", &room, "{", "--value", "--user", &alice];
    terminal.run(&no_json).await.refused(2, &["no JSON value"]);
    let token = terminal.file("token", "not.a.token");
    let refused = terminal
        .run(&["publish", &room, "hi", "--token-file", &token])
        .await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let down = ["tail", "--user", &alice, "--url", "http://127.0.0.1:9"];
    terminal
        .run(&down)
        .await
        .refused(3, &["can't be reached", "sschat up"]);
}

#[tokio::test]
async fn a_tail_tells_of_its_end() {
    let host = Host::plain().await;
    let terminal = registered(&host).await;
    let (room, alice, _) = room_of_two(&terminal).await;
    let mut tail = terminal
        .start(&["tail", "--user", &alice], "listening")
        .await;
    let removed = ["member", "remove", &room, &alice];
    terminal.run(&removed).await.ok();
    assert_eq!(tail.line().await, format!("* you hear {room} no more"));
    terminal.run(&["user", "delete", &alice]).await.ok();
    let complaint = tail.complaint().await;
    assert!(
        complaint.contains("the host closed the connection"),
        "{complaint}"
    );
    assert_eq!(tail.ended().await, 1);
}
