//! Consumers that never read, in a room that goes on: each is closed at the bound of its
//! queue, and what they hold back together is held once.

use super::Bystanders;
use serde_json::json;
use sschat_tests::chat::POLLING;
use sschat_tests::raw::opcode;
use sschat_tests::{Chat, Frame, Host, Options, RawSocket, within};
use std::collections::HashSet;

/// Members that log in and then read nothing.
async fn stall(host: &Host, others: &mut Bystanders, count: usize) -> Vec<(String, RawSocket)> {
    let mut stalled = Vec::new();
    for _ in 0..count {
        let user = others.app.user().await;
        others.app.add(&others.room, &user).await;
        let mut raw = RawSocket::open(host, POLLING).await;
        let login = json!({"command": "login", "user": user}).to_string();
        raw.send(Frame::new(opcode::TEXT, login)).await;
        raw.expect().await;
        stalled.push((user, raw));
    }
    stalled
}

/// Says `text` again and again until the host has closed all of `waiting`. Whoever reads hears
/// everything, in order. Gives back the most that the host grew by, in bytes.
async fn speak_until_gone(
    host: &Host,
    others: &mut Bystanders,
    mut waiting: HashSet<String>,
    text: &str,
) -> u64 {
    let before = host.resident();
    let (mut said, mut heard, mut most) = (0_u64, 0_u64, 0);
    within("everybody who stalls is closed", async {
        while !waiting.is_empty() || heard < said {
            if !waiting.is_empty() {
                others.a.say(&others.room, format!("{said} {text}")).await;
                said += 1;
            }
            let frame = others.b.next().await;
            if frame["type"] == "message" {
                let data = frame["data"].as_str().unwrap();
                assert!(
                    data.starts_with(&format!("{heard} ")),
                    "{data:.20} after {heard}"
                );
                heard += 1;
            } else if frame["data"] == "offline" {
                waiting.remove(frame["from"].as_str().unwrap());
            }
            most = most.max(host.resident().saturating_sub(before));
            assert!(
                said < 20_000,
                "{} of those who stall are not closed",
                waiting.len()
            );
        }
    })
    .await;
    most
}

/// One shard, and no history: what grows here is queues.
fn queues_alone() -> Options {
    let arguments = ["--shards", "1", "--history", "none"];
    arguments.into_iter().fold(Options::new(), Options::arg)
}

/// Fails unless what a stalled connection finds ends with the documented code.
async fn ended_as_slow(raw: &mut RawSocket) {
    let mut frame = raw.expect().await;
    while frame.opcode != opcode::CLOSE {
        frame = raw.expect().await;
    }
    assert_eq!(frame.close_code(), 3008);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_stall_hold_back_the_same_bytes() {
    let host = Host::start(queues_alone()).await;
    let mut others = Bystanders::meet(&host).await;
    let mut stalled = stall(&host, &mut others, 100).await;
    let waiting = stalled.iter().map(|(user, _)| user.clone()).collect();
    let text = "x".repeat(20_000);
    let grown = speak_until_gone(&host, &mut others, waiting, &text).await;
    println!(
        "a hundred queues of 1 MiB: the host grew by {} KiB",
        grown >> 10
    );
    // The queues' bounds add up to 100 MiB.
    assert!(grown < 16 << 20, "the host grew by {grown} bytes");
    for (_, raw) in &mut stalled {
        ended_as_slow(raw).await;
    }
    others.still_talk().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_is_the_setting() {
    let mut most = Vec::new();
    for limit in ["64KiB", "4MiB"] {
        let options = queues_alone().arg("--queue-limit").arg(limit);
        let host = Host::start(options).await;
        let mut others = Bystanders::meet(&host).await;
        let mut stalled = stall(&host, &mut others, 1).await;
        let waiting = HashSet::from([stalled[0].0.clone()]);
        let text = "x".repeat(20_000);
        most.push(speak_until_gone(&host, &mut others, waiting, &text).await);
        ended_as_slow(&mut stalled[0].1).await;
        others.still_talk().await;
    }
    println!("queues of 64 KiB and 4 MiB: the host grew by {most:?} bytes");
    assert!(most[0] < 2 << 20 && most[0] < most[1], "{most:?}");
    assert!((1 << 20..8 << 20).contains(&most[1]), "{most:?}");
}

/// A log that one room's burst made large carries another room's few bytes next. Whoever falls
/// behind in that other room must not keep the burst's memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_do_not_keep_large_logs() {
    // So much that the one who stalls is not closed.
    let bounds = ["--message-limit", "256KiB", "--queue-limit", "64MiB"];
    let host = Host::start(bounds.into_iter().fold(queues_alone(), Options::arg)).await;
    let mut others = Bystanders::meet(&host).await;
    let (loud, [shouter, listener]) = others.app.room_of().await;
    let mut shouter = Chat::as_user(&host, &shouter).await;
    let mut listener = Chat::as_user(&host, &listener).await;
    let mut stalled = stall(&host, &mut others, 1).await;
    // Fills what lies between the host and the one who stalls.
    let filling = "x".repeat(20_000);
    for _ in 0..600 {
        others.a.say(&others.room, filling.as_str()).await;
        others
            .b
            .until("a message", |frame| frame["type"] == "message")
            .await;
    }
    let shout = "x".repeat(200_000);
    let before = host.resident();
    for _ in 0..400 {
        shouter.say(&loud, shout.as_str()).await;
        listener.message().await;
        others.a.say(&others.room, "few").await;
        others
            .b
            .until("a message", |frame| frame["type"] == "message")
            .await;
    }
    let grown = host.resident().saturating_sub(before);
    println!(
        "400 short messages after bursts: the host grew by {} KiB",
        grown >> 10
    );
    assert!(grown < 8 << 20, "the host grew by {grown} bytes");
    drop(stalled.pop());
    others.still_talk().await;
}
