//! History, and what who comes back is owed: everything that was missed, or to be told that something is.

use super::{Client, accepted, code, info, position};
use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{App, Chat, Host, Options};
use tokio::sync::Barrier;

/// Where a client was, as it says when it comes back.
fn was_at(epoch: &str, offset: u64) -> Value {
    json!({"recover": true, "epoch": epoch, "offset": offset})
}

/// Publishes the numbers one by one, each once the one before is acknowledged.
async fn say(client: &mut Client, room: &str, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let said = json!({"publish": {"channel": room, "data": n}});
        accepted(&client.ask(said).await);
    }
}

/// Offsets and messages of publications.
fn shown(publications: &Value) -> Vec<(u64, u64)> {
    let all = publications.as_array().map(Vec::as_slice);
    let shown = |it: &Value| (it["offset"].as_u64().unwrap(), it["data"].as_u64().unwrap());
    all.unwrap_or_default().iter().map(shown).collect()
}

#[tokio::test]
async fn history_is_read_in_pages_from_either_end() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let (mut a, connected) = Client::of(&host, &app, &alice).await;
    let (_, epoch) = position(&connected["subs"][&room]);
    say(&mut a, &room, 1..=5).await;
    let all = a
        .ask(json!({"history": {"channel": room, "limit": -1}}))
        .await;
    assert_eq!(
        (&all["history"]["offset"], &all["history"]["epoch"]),
        (&json!(5), &json!(epoch))
    );
    let numbers: Vec<_> = (1..=5).map(|n| (n, n)).collect();
    assert_eq!(shown(&all["history"]["publications"]), numbers);
    let by = info(&alice, &connected);
    assert_eq!(all["history"]["publications"][0]["info"], by);
    let top = a.ask(json!({"history": {"channel": room}})).await;
    assert_eq!(shown(&top["history"]["publications"]), []);
    assert_eq!(top["history"]["offset"], 5);
    let since = |offset: u64| json!({"epoch": epoch, "offset": offset});
    for (asked, wanted) in [
        (json!({"limit": 2, "since": since(2)}), vec![(3, 3), (4, 4)]),
        (json!({"limit": 2, "reverse": true}), vec![(5, 5), (4, 4)]),
        (
            json!({"limit": 9, "since": since(3), "reverse": true}),
            vec![(2, 2), (1, 1)],
        ),
        (json!({"limit": 9, "since": since(5)}), vec![]),
        (json!({"limit": 9, "since": {"offset": 4}}), vec![(5, 5)]),
    ] {
        let mut question = asked.clone();
        question["channel"] = json!(room);
        let page = a.ask(json!({"history": question})).await;
        assert_eq!(
            shown(&page["history"]["publications"]),
            wanted,
            "{asked}: {page}"
        );
    }
    let never = json!({"channel": room, "limit": 1, "since": {"epoch": "0123456789abcdef"}});
    assert_eq!(code(&a.ask(json!({"history": never})).await), 112);
}

#[tokio::test]
async fn what_was_said_is_kept_with_who_said_it_and_its_tags() {
    let state = tempfile::tempdir().unwrap();
    let options = || Options::new().state(state.path());
    let mut host = Host::start(options()).await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut b, _) = Client::of(&host, &app, &bob).await;
    let mut a = Client::open(&host, &app).await;
    let claims = json!({"sub": alice, "info": {"name": "Alice"}});
    let token = sign(&claims, &app.secret);
    let connected = a.ask(json!({"connect": {"token": token}})).await;
    say(&mut a, &room, 1..=1).await;
    let headers = [("x-api-key", &app.key[..])];
    let tagged = json!({"channel": room, "data": 2, "tags": {"kind": "news"}});
    let publish = app
        .rest
        .send("POST", "/api/publish", &headers, tagged.to_string());
    publish.await.expect(200);
    let client = &connected["connect"]["client"];
    let info = json!({"user": alice, "client": client, "conn_info": {"name": "Alice"}});
    let by = [(info, Value::Null), (Value::Null, json!({"kind": "news"}))];
    for (info, tags) in &by {
        let (_, push) = b.push().await;
        assert_eq!((&push["pub"]["info"], &push["pub"]["tags"]), (info, tags));
    }
    // Also once it comes off the disk.
    host.signal("TERM").await;
    host.ended().await;
    let host = Host::start(options()).await;
    let (mut b, _) = Client::of(&host, &app.at(&host), &bob).await;
    let asked = json!({"history": {"channel": room, "limit": 9}});
    let page = b.ask(asked).await["history"]["publications"].take();
    for (publication, (info, tags)) in page.as_array().unwrap().iter().zip(&by) {
        assert_eq!((&publication["info"], &publication["tags"]), (info, tags));
    }
    assert_eq!(shown(&page), [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn a_member_who_comes_back_is_given_what_was_missed() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut a, by) = Client::of(&host, &app, &alice).await;
    let (b, connected) = Client::of(&host, &app, &bob).await;
    let (_, epoch) = position(&connected["subs"][&room]);
    say(&mut a, &room, 1..=3).await;
    b.chat.close().await;
    say(&mut a, &room, 4..=6).await;
    let (mut b, connected) =
        Client::back(&host, &app, &bob, json!({&room: was_at(&epoch, 3)})).await;
    let sub = &connected["subs"][&room];
    assert_eq!(
        (&sub["recovered"], &sub["was_recovering"]),
        (&json!(true), &json!(true)),
        "{sub}"
    );
    assert_eq!(shown(&sub["publications"]), [(4, 4), (5, 5), (6, 6)]);
    assert_eq!(position(sub).0, 3, "the position before the first of them");
    say(&mut a, &room, 7..=7).await;
    b.expect_publication(&room, json!(7), info(&alice, &by))
        .await;
    // Who missed nothing has recovered, too.
    let (_, connected) = Client::back(&host, &app, &bob, json!({&room: was_at(&epoch, 7)})).await;
    let sub = &connected["subs"][&room];
    assert_eq!(
        (&sub["recovered"], position(sub).0),
        (&json!(true), 7),
        "{sub}"
    );
    assert_eq!(shown(&sub["publications"]), []);
}

#[tokio::test]
async fn who_cannot_recover_is_told() {
    let host = Host::start(Options::new().arg("--history-size=4")).await;
    let app = App::register(&host).await;
    app.put_rule("open").await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut a, connected) = Client::of(&host, &app, &alice).await;
    let (_, epoch) = position(&connected["subs"][&room]);
    say(&mut a, &room, 1..=9).await;
    let other = "0123456789abcdef";
    for was in [
        was_at(&epoch, 2),
        was_at(&epoch, 10),
        was_at(&epoch, u64::MAX),
        was_at(other, 9),
        was_at("?", 9),
    ] {
        let (_, connected) = Client::back(&host, &app, &bob, json!({&room: was})).await;
        let sub = &connected["subs"][&room];
        assert_eq!(sub["was_recovering"], true, "{was}: {sub}");
        assert_ne!(sub["recovered"], true, "{was}: {sub}");
        assert_eq!(position(sub), (9, epoch.clone()), "{was}");
        assert_eq!(shown(&sub["publications"]), []);
    }
    // On request it is refused instead, and the client does not hear the channel.
    say(&mut a, "news", 1..=9).await;
    let (mut b, _) = Client::of(&host, &app, &bob).await;
    let strict =
        json!({"channel": "news", "recover": true, "epoch": other, "offset": 1, "flag": 2});
    assert_eq!(code(&b.ask(json!({"subscribe": strict})).await), 112);
    say(&mut a, "news", 10..=10).await;
    let refused = b.ask(json!({"history": {"channel": "news"}})).await;
    assert_eq!(code(&refused), 103);
    let lenient = json!({"channel": "news", "recover": true, "epoch": other, "offset": 1});
    let subscribed = b.ask(json!({"subscribe": lenient})).await;
    assert_eq!(position(&subscribed["subscribe"]).0, 10, "{subscribed}");
    assert!(b.came.is_empty(), "{:?}", b.came);
}

#[tokio::test]
async fn a_host_without_history_promises_none() {
    let host = Host::start(Options::new().arg("--history=none")).await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let back = json!({&room: was_at("0123456789abcdef", 3)});
    let (mut a, connected) = Client::back(&host, &app, &alice, back).await;
    assert_eq!(connected["subs"][&room], json!({"was_recovering": true}));
    assert_eq!(
        code(&a.ask(json!({"history": {"channel": room}})).await),
        108
    );
    let said = json!({"publish": {"channel": room, "data": 1}});
    assert_eq!(a.ask(said).await["publish"], json!({}));
    let (_, push) = a.push().await;
    assert_eq!(push["pub"].get("offset"), None, "{push}");
}

#[tokio::test]
async fn a_host_that_stopped_in_order_recovers_rooms_and_one_that_was_killed_tells() {
    for (signal, recovers) in [("TERM", true), ("KILL", false)] {
        let state = tempfile::tempdir().unwrap();
        let options = || Options::new().state(state.path());
        let mut host = Host::start(options()).await;
        let app = App::register(&host).await;
        let (room, [alice, bob]) = app.room_of().await;
        let (mut a, connected) = Client::of(&host, &app, &alice).await;
        let (_, epoch) = position(&connected["subs"][&room]);
        say(&mut a, &room, 1..=3).await;
        host.signal(signal).await;
        host.ended().await;
        let host = Host::start(options()).await;
        let app = app.at(&host);
        let back = json!({&room: was_at(&epoch, 1)});
        let (mut b, connected) = Client::back(&host, &app, &bob, back).await;
        let sub = &connected["subs"][&room];
        if recovers {
            assert_eq!(sub["recovered"], true, "{sub}");
            assert_eq!(shown(&sub["publications"]), [(2, 2), (3, 3)]);
        } else {
            // Members may have heard more than the disk has.
            assert_ne!(sub["recovered"], true, "{sub}");
            assert!(position(sub).0 > 3, "no offset is given twice: {sub}");
        }
        // What was acknowledged is there either way.
        let all = b
            .ask(json!({"history": {"channel": room, "limit": 9}}))
            .await;
        let kept = shown(&all["history"]["publications"]);
        assert_eq!(kept, [(1, 1), (2, 2), (3, 3)]);
    }
}

#[tokio::test]
async fn who_was_removed_recovers_nothing() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut a, connected) = Client::of(&host, &app, &alice).await;
    let (_, epoch) = position(&connected["subs"][&room]);
    app.remove(&room, &bob).await;
    say(&mut a, &room, 1..=3).await;
    let (mut b, connected) =
        Client::back(&host, &app, &bob, json!({&room: was_at(&epoch, 0)})).await;
    assert_eq!(connected.get("subs"), None, "{connected}");
    let subscribe = json!({"channel": room, "recover": true, "epoch": epoch, "offset": 0});
    assert_eq!(code(&b.ask(json!({"subscribe": subscribe})).await), 103);
}

/// Members who come and go in the middle of it hear each publication once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_said_twice_by_coming_back_in_the_middle_of_it() {
    const SAID: u64 = 3_000;
    const PUBLISHERS: u64 = 3;
    let arguments = ["--shards=3", "--history-size=100000"];
    let host = Host::start(arguments.into_iter().fold(Options::new(), Options::arg)).await;
    let app = App::register(&host).await;
    let (room, [alice, bob, carol, dave, erin, frank]) = app.room_of().await;
    let everybody = Barrier::new(6);
    let speak = async |user: &str, which: u64| {
        let mut chat = Chat::as_user(&host, user).await;
        everybody.wait().await;
        for n in 0..SAID {
            chat.say(&room, json!([which, n])).await;
            // As many on their way as the others' queues take.
            if n % 50 == 49 {
                chat.ping(user).await;
            }
        }
    };
    let hear = async |user: &str, after: usize| {
        let (mut client, connected) = Client::of(&host, &app, user).await;
        let (mut offset, epoch) = position(&connected["subs"][&room]);
        let (mut next, mut returns) = ([0; PUBLISHERS as usize], 0);
        everybody.wait().await;
        let mut take = |publication: &Value| {
            offset += 1;
            assert_eq!(publication["offset"], offset, "without a gap, each once");
            let which = publication["data"][0].as_u64().unwrap() as usize;
            assert_eq!(
                publication["data"][1], next[which],
                "in its publisher's order"
            );
            next[which] += 1;
            (offset, next.iter().sum::<u64>())
        };
        let mut heard = 0;
        while heard < SAID * PUBLISHERS {
            let mut at = 0;
            for _ in 0..after {
                let line = client.line().await;
                (at, heard) = take(&line["push"]["pub"]);
                if heard == SAID * PUBLISHERS {
                    return returns;
                }
            }
            drop(client);
            let connected;
            (client, connected) =
                Client::back(&host, &app, user, json!({&room: was_at(&epoch, at)})).await;
            returns += 1;
            let sub = &connected["subs"][&room];
            assert_eq!(sub["recovered"], true, "{sub}");
            for publication in sub["publications"].as_array().into_iter().flatten() {
                (_, heard) = take(publication);
            }
        }
        returns
    };
    let (_, _, _, dave, erin, frank) = tokio::join!(
        speak(&alice, 0),
        speak(&bob, 1),
        speak(&carol, 2),
        hear(&dave, 7),
        hear(&erin, 100),
        hear(&frank, 1),
    );
    println!("{PUBLISHERS} x {SAID} publications; came back {dave}, {erin} and {frank} times");
    assert!(
        dave > 10 && erin > 10 && frank > 10,
        "{dave} {erin} {frank}"
    );
}
