//! A change over REST takes effect on open connections before its answer arrives.

use serde_json::{Value, json};
use sschat_tests::chat::End;
use sschat_tests::{App, Chat, Host, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// The documented close code of a session whose user, app or key is gone.
const REVOKED: u16 = 4501;

/// How often the race between a revocation and publications is run.
const ROUNDS: usize = 300;

#[tokio::test]
async fn an_added_member_hears_the_next_message() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let bob = app.user().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::connect(&host).await;
    assert_eq!(b.log_in(&bob).await["rooms"], json!([]));
    for round in 0..50 {
        app.add(&room, &bob).await;
        a.say(&room, round).await;
        b.membership(&room, "add").await;
        b.expect_message(round, &alice, &room).await;
        b.say(&room, round).await;
        a.expect_message(round, &bob, &room).await;
        app.remove(&room, &bob).await;
        b.membership(&room, "remove").await;
        b.say(&room, "not from me").await;
        assert_eq!(b.refusal().await["code"], "not_a_member");
    }
}

/// How many publications a round has.
const ROUND: usize = 100;

/// Publishers that never stop count up; the counter is read after the answer to `remove`.
/// What the removed member receives was published before that reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_receives_nothing_published_after_the_answer() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob, carol]) = app.room_of().await;
    let (witness_room, [witness]) = app.room_of().await;
    app.add(&witness_room, &bob).await;
    let next = Arc::new(AtomicU64::new(0));
    // A round's worth of publications: enough to be under way during the removal, few
    // enough that nobody falls behind.
    let budget = Arc::new(Semaphore::new(0));
    let mut publishers = tokio::task::JoinSet::new();
    for user in [alice.clone(), carol] {
        let mut chat = Chat::as_user(&host, &user).await;
        let (room, next, budget) = (room.clone(), Arc::clone(&next), Arc::clone(&budget));
        publishers.spawn(async move {
            let mut said = 0_u64;
            while let Ok(permit) = budget.acquire().await {
                permit.forget();
                // Taken before it is sent: a number above the mark is sent after the mark was read.
                let number = next.fetch_add(1, Ordering::SeqCst);
                chat.say(&room, number).await;
                said += 1;
                if said.is_multiple_of(16) {
                    // Reads what the other said, and waits for what was sent.
                    chat.ping(&user).await;
                }
            }
            said
        });
    }
    let mut b = Chat::as_user(&host, &bob).await;
    let mut w = Chat::as_user(&host, &witness).await;
    let mut heard = 0_u64;
    for round in 0..ROUNDS {
        budget.add_permits(ROUND);
        // Sure to be hearing before it is removed.
        let frame = b
            .until("a publication", |frame| frame["to"] == room.as_str())
            .await;
        assert!(frame["data"].is_u64(), "{frame}");
        app.remove(&room, &bob).await;
        let mark = next.load(Ordering::SeqCst);
        // A message by way of another room ends what there is to read.
        w.say(&witness_room, format!("end of round {round}")).await;
        loop {
            let frame = b.message().await;
            if frame["to"] == witness_room.as_str() {
                assert_eq!(frame["data"], format!("end of round {round}"));
                break;
            }
            let number = frame["data"].as_u64().unwrap();
            assert!(
                number < mark,
                "round {round}: {number} was published after the answer, at {mark}"
            );
            heard += 1;
        }
        app.add(&room, &bob).await;
    }
    budget.close();
    let said = within("the publishers end", publishers.join_all()).await;
    assert!(said.iter().all(|said| *said > ROUNDS as u64), "{said:?}");
    // Without any message in flight at a removal, the race was never run.
    assert!(heard > 0, "no round had a publication in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_can_say_nothing_after_the_answer() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    for round in 0..ROUNDS {
        b.say(&room, json!({"before": round})).await;
        a.expect_message(json!({"before": round}), &bob, &room)
            .await;
        app.remove(&room, &bob).await;
        b.say(&room, json!({"after": round})).await;
        assert_eq!(b.refusal().await["code"], "not_a_member");
        app.add(&room, &bob).await;
    }
    b.say(&room, "last").await;
    a.expect_message("last", &bob, &room).await;
}

#[tokio::test]
async fn a_deleted_room_is_silent_at_once() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (other, [_]) = app.room_of().await;
    app.add(&other, &alice).await;
    app.add(&other, &bob).await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    app.delete_room(&room).await;
    a.say(&room, "anyone?").await;
    assert_eq!(a.refusal().await["code"], "not_a_member");
    a.say(&other, "here").await;
    b.expect_message("here", &alice, &other).await;
    b.say(&room, "no").await;
    assert_eq!(b.refusal().await["code"], "not_a_member");
    let again = Chat::connect(&host).await.log_in(&alice).await;
    assert_eq!(again["rooms"], json!([other]));
}

#[tokio::test]
async fn deleting_a_user_closes_their_connections() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut first = Chat::as_user(&host, &bob).await;
    let mut second = Chat::as_user(&host, &bob).await;
    a.presence(&bob, "online").await;
    app.delete_user(&bob).await;
    a.say(&room, "after").await;
    for connection in [&mut first, &mut second] {
        let (frames, how) = connection.end().await;
        assert!(matches!(how, End::Closed(REVOKED, _)), "{how:?}");
        assert!(
            !frames.iter().any(|frame| frame.contains("after")),
            "{frames:?}"
        );
    }
    a.presence(&bob, "offline").await;
    let mut late = Chat::connect(&host).await;
    late.send(&json!({"command": "login", "user": bob})).await;
    assert_eq!(late.refusal().await["code"], "unknown_user");
}

#[tokio::test]
async fn deleting_the_key_closes_its_connections_and_no_others() {
    let host = Host::plain().await;
    let (app, other) = (App::register(&host).await, App::register(&host).await);
    let (_, [alice, bob]) = app.room_of().await;
    let (other_room, [carol, dave]) = other.room_of().await;
    let mut mine = [
        Chat::as_user(&host, &alice).await,
        Chat::as_user(&host, &bob).await,
    ];
    let mut c = Chat::as_user(&host, &carol).await;
    let mut d = Chat::as_user(&host, &dave).await;
    app.delete().await;
    for connection in &mut mine {
        connection.expect_close(REVOKED).await;
    }
    c.say(&other_room, "still here").await;
    d.expect_message("still here", &carol, &other_room).await;
    let mut late = Chat::connect(&host).await;
    late.send(&json!({"command": "login", "user": alice})).await;
    assert_eq!(late.refusal().await["code"], "unknown_user");
}

/// A connection that has not logged in has no session that could be revoked.
#[tokio::test]
async fn a_change_of_a_user_who_is_not_here_disturbs_nobody() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    for _ in 0..20 {
        let user = app.user().await;
        app.add(&room, &user).await;
        app.delete_user(&user).await;
        a.say(&room, user.clone()).await;
        b.expect_message(user, &alice, &room).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_neither_lost_nor_doubled_for_those_who_stay() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let stop = Arc::new(AtomicBool::new(false));
    let churn = {
        let (app, room, stop, bob) = (app.clone(), room.clone(), Arc::clone(&stop), bob.clone());
        tokio::spawn(async move {
            let mut turns = 0;
            while !stop.load(Ordering::Relaxed) {
                let other = app.room().await;
                // Every one of these puts Bob's session on hold and re-evaluates it.
                app.add(&other, &bob).await;
                let user = app.user().await;
                app.add(&room, &user).await;
                app.delete_room(&other).await;
                app.delete_user(&user).await;
                turns += 1;
            }
            turns
        })
    };
    for number in 0..2_000 {
        a.say(&room, number).await;
        let frame = b.message().await;
        assert_eq!(frame["data"], number);
    }
    stop.store(true, Ordering::Relaxed);
    let turns = within("the churn ends", churn).await.unwrap();
    assert!(turns > 0);
    let rooms: Value = app.get(&format!("/api/user/{bob}")).await["data"]["rooms"].clone();
    assert_eq!(rooms, json!([room]));
}
