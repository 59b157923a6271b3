//! Clients that want but some publications of a channel, by their tags (`tf`).

use super::{Client, code, position};
use crate::hosts::Shared;
use serde_json::{Value, json};
use sschat_tests::{App, Chat, Host};

/// Filters of one room at once, on one shard.
const IN_A_ROOM: usize = 64;

fn kind(value: &str) -> Value {
    json!({"key": "kind", "cmp": "eq", "val": value})
}

/// A host with one shard, and an app that is open.
async fn open() -> (Host, App) {
    let host = Host::start(sschat_tests::Options::new().arg("--shards=1")).await;
    let app = App::register(&host).await;
    app.put_rule("open").await;
    (host, app)
}

async fn publish(app: &App, number: u64, tags: Value) {
    let body = json!({"channel": "news", "data": number, "tags": tags}).to_string();
    let headers = [("x-api-key", &app.key[..])];
    let answer = app.rest.send("POST", "/api/publish", &headers, body).await;
    assert_eq!(answer.expect(200).json()["result"]["offset"], number);
}

async fn subscribe(client: &mut Client, filter: Value) -> Value {
    let wanted = json!({"channel": "news", "tf": filter});
    client.ask(json!({"subscribe": wanted})).await
}

async fn subscribed(client: &mut Client, filter: Value) {
    let reply = subscribe(client, filter).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
}

/// Fails unless these are the next publications, each in its place.
async fn hears(client: &mut Client, numbers: &[u64]) {
    for number in numbers {
        let (_, push) = client.push().await;
        let heard = (&push["pub"]["data"], &push["pub"]["offset"]);
        assert_eq!(heard, (&json!(number), &json!(number)), "{push}");
    }
}

#[tokio::test]
async fn everybody_hears_what_their_filter_lets_through() {
    let (host, app) = open().await;
    let (mut all, _) = Client::of(&host, &app, "all").await;
    let plain = json!({"subscribe": {"channel": "news"}});
    assert!(all.ask(plain).await["subscribe"].is_object());
    let mut seed = Chat::open(
        host.address(),
        &format!("/websocket/polling?app={}", app.id),
        &[],
    )
    .await
    .unwrap();
    seed.log_in("seed").await;
    seed.send(&json!({"command": "join", "room": "news"})).await;
    seed.membership("news", "add").await;
    let mut filtering = Vec::new();
    for (name, filter, wanted) in [
        ("a", kind("sport"), [1, 4].as_slice()),
        ("b", kind("sport"), &[1, 4]),
        ("c", kind("weather"), &[2]),
        ("d", json!({"op": "not", "nodes": [kind("sport")]}), &[2, 3]),
        (
            "e",
            json!({"key": "heat", "cmp": "gt", "val": "20.5"}),
            &[2],
        ),
        ("f", json!({"key": "kind", "cmp": "ex"}), &[1, 2, 4]),
    ] {
        let (mut client, _) = Client::of(&host, &app, name).await;
        subscribed(&mut client, filter).await;
        filtering.push((client, wanted));
    }
    publish(&app, 1, json!({"kind": "sport"})).await;
    publish(&app, 2, json!({"kind": "weather", "heat": "21"})).await;
    publish(&app, 3, json!({})).await;
    publish(&app, 4, json!({"kind": "sport", "heat": "9"})).await;
    hears(&mut all, &[1, 2, 3, 4]).await;
    for number in 1..=4_u64 {
        seed.expect_message(number, "", "news").await;
    }
    for (client, wanted) in &mut filtering {
        hears(client, wanted).await;
    }
    // What a client says has no tags; it is itself among those who filter.
    let (first, _) = &mut filtering[3];
    let said = first
        .ask(json!({"publish": {"channel": "news", "data": 5}}))
        .await;
    assert_eq!(said["publish"]["offset"], 5);
    hears(first, &[5]).await;
    // Who subscribes again may want something else.
    let (client, _) = &mut filtering[0];
    client
        .ask(json!({"unsubscribe": {"channel": "news"}}))
        .await;
    subscribed(client, kind("weather")).await;
    publish(&app, 6, json!({"kind": "sport"})).await;
    publish(&app, 7, json!({"kind": "weather"})).await;
    hears(client, &[7]).await;
    let (client, _) = &mut filtering[1];
    hears(client, &[6]).await;
}

#[tokio::test]
async fn what_was_missed_is_filtered_too() {
    let (host, app) = open().await;
    let (mut client, _) = Client::of(&host, &app, "a").await;
    let subscription = subscribe(&mut client, kind("sport")).await;
    let (_, epoch) = position(&subscription["subscribe"]);
    drop(client);
    for number in 1..=6 {
        let kind = ["sport", "weather"][number as usize % 2];
        publish(&app, number, json!({"kind": kind})).await;
    }
    let (mut client, _) = Client::of(&host, &app, "a").await;
    for (filter, wanted, offset) in [
        (kind("sport"), vec![2, 4, 6], 1),
        (kind("weather"), vec![3, 5], 2),
        (kind("nothing"), vec![], 6),
    ] {
        let wish =
            json!({"channel": "news", "tf": filter, "recover": true, "epoch": epoch, "offset": 1});
        let reply = client.ask(json!({"subscribe": wish})).await["subscribe"].take();
        assert_eq!(reply["recovered"], true, "{reply}");
        let given = reply["publications"].as_array().cloned();
        let given: Vec<_> = given.unwrap_or_default();
        let given: Vec<_> = given
            .iter()
            .map(|it| it["offset"].as_u64().unwrap())
            .collect();
        assert_eq!((given, position(&reply).0), (wanted, offset), "{reply}");
        client
            .ask(json!({"unsubscribe": {"channel": "news"}}))
            .await;
    }
}

#[tokio::test]
async fn filters_that_make_no_sense_are_refused() {
    let (host, app) = open().await;
    let (mut witness, _) = Client::of(&host, &app, "witness").await;
    subscribed(&mut witness, kind("sport")).await;
    let (mut client, _) = Client::of(&host, &app, "a").await;
    let many = |number: usize| vec![kind("x"); number];
    for wrong in [
        json!({}),
        json!({"key": "kind", "cmp": "like", "val": "x"}),
        json!({"key": "kind", "cmp": "eq"}),
        json!({"op": "and", "nodes": []}),
        json!({"op": "not", "nodes": many(2)}),
        json!({"op": "xor", "nodes": many(2)}),
        // More than 64 altogether.
        json!({"op": "or", "nodes": many(64)}),
    ] {
        let reply = subscribe(&mut client, wrong.clone()).await;
        assert_eq!(code(&reply), 107, "{wrong}: {reply}");
    }
    subscribed(&mut client, json!({"op": "or", "nodes": many(63)})).await;
    // More side by side, or deeper, than any message may hold.
    let deep = (0..1_000).fold(kind("x"), |inner, _| json!({"op": "not", "nodes": [inner]}));
    for wrong in [json!({"op": "or", "nodes": many(65)}), deep] {
        let (mut client, _) = Client::of(&host, &app, "b").await;
        client
            .send(json!({"subscribe": {"channel": "news", "tf": wrong}}))
            .await;
        client.expect_close(3501).await;
    }
    publish(&app, 1, json!({"kind": "sport"})).await;
    hears(&mut witness, &[1]).await;
}

#[tokio::test]
async fn a_room_has_so_many_filters_and_no_more() {
    let (host, app) = open().await;
    let mut clients = Vec::new();
    for number in 0..IN_A_ROOM {
        let (mut client, _) = Client::of(&host, &app, "a").await;
        subscribed(&mut client, kind(&number.to_string())).await;
        clients.push(client);
    }
    let (mut late, _) = Client::of(&host, &app, "late").await;
    assert_eq!(code(&subscribe(&mut late, kind("one more")).await), 106);
    // One that is there already costs nothing, nor does another room.
    subscribed(&mut late, kind("7")).await;
    let elsewhere = json!({"channel": "other", "tf": kind("one more")});
    assert!(late.ask(json!({"subscribe": elsewhere})).await["subscribe"].is_object());
    publish(&app, 1, json!({"kind": "7"})).await;
    hears(&mut late, &[1]).await;
    hears(&mut clients[7], &[1]).await;
    // Whose time is over makes room.
    let mut gone = clients.pop().unwrap();
    gone.ask(json!({"unsubscribe": {"channel": "news"}})).await;
    let (mut next, _) = Client::of(&host, &app, "next").await;
    subscribed(&mut next, kind("one more")).await;
    publish(&app, 2, json!({"kind": "one more"})).await;
    hears(&mut next, &[2]).await;
}

#[tokio::test]
async fn who_recovers_counts_too() {
    const AT_ONCE: usize = IN_A_ROOM + 16;
    let (host, app) = open().await;
    let (mut witness, _) = Client::of(&host, &app, "witness").await;
    let plain = json!({"subscribe": {"channel": "news"}});
    let (_, epoch) = position(&witness.ask(plain.clone()).await["subscribe"]);
    publish(&app, 1, json!({"kind": "1"})).await;
    publish(&app, 2, json!({"kind": "2"})).await;
    let mut clients = Vec::new();
    for _ in 0..AT_ONCE {
        clients.push(Client::of(&host, &app, "a").await.0);
    }
    // None has its answer before all have asked.
    let mut asked = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let filter = kind(&number.to_string());
        let wish =
            json!({"channel": "news", "tf": filter, "recover": true, "epoch": epoch, "offset": 0});
        asked.push(client.send(json!({"subscribe": wish})).await);
    }
    let mut refused = Vec::new();
    for (client, id) in clients.iter_mut().zip(asked) {
        let reply = client.reply(id).await;
        match reply["error"]["code"].as_u64() {
            Some(106) => refused.push(client),
            _ => assert_eq!(reply["subscribe"]["recovered"], true, "{reply}"),
        }
    }
    assert_eq!(refused.len(), AT_ONCE - IN_A_ROOM);
    // Who was refused hears nothing, but may hear all.
    publish(&app, 3, json!({})).await;
    let late = refused.pop().unwrap();
    let reply = late.ask(plain).await;
    assert_eq!(position(&reply["subscribe"]).0, 3, "{reply}");
    publish(&app, 4, json!({})).await;
    hears(late, &[4]).await;
}

#[tokio::test]
async fn who_filters_hears_no_differences() {
    let (host, app) = open().await;
    let (mut client, _) = Client::of(&host, &app, "a").await;
    let wanted = json!({"channel": "news", "tf": kind("sport"), "delta": "fossil"});
    let reply = client.ask(json!({"subscribe": wanted})).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    assert_ne!(reply["subscribe"]["delta"], true);
    publish(&app, 1, json!({"kind": "sport"})).await;
    hears(&mut client, &[1]).await;
}

#[tokio::test]
async fn tags_reach_those_at_other_hosts() {
    let shared = Shared::start();
    let (a, b) = (shared.host().await, shared.host().await);
    let app = App::register(&a).await;
    app.put_rule("open").await;
    let (mut client, _) = Client::of(&b, &app, "a").await;
    let subscription = subscribe(&mut client, kind("sport")).await;
    let (_, epoch) = position(&subscription["subscribe"]);
    for number in 1..=6 {
        let kind = ["sport", "weather"][number as usize % 2];
        publish(&app, number, json!({"kind": kind})).await;
    }
    hears(&mut client, &[2, 4, 6]).await;
    // What was missed is read from Redis.
    let (mut late, _) = Client::of(&b, &app, "late").await;
    let wish = json!({"channel": "news", "tf": kind("weather"), "recover": true, "epoch": epoch, "offset": 0});
    let reply = late.ask(json!({"subscribe": wish})).await["subscribe"].take();
    assert_eq!(reply["recovered"], true, "{reply}");
    let given = reply["publications"].as_array().unwrap();
    let given: Vec<_> = given.iter().map(|it| &it["offset"]).collect();
    assert_eq!(given, [1, 3, 5], "{reply}");
}
