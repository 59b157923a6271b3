//! What others write: it reaches the listener, and ends what was read before.

use super::{Ear, Server, hears, is_proven, open, read, settings};
use crate::store::{Meanwhile, entry, get, owned, set};
use sschat_store::redis::{BEAT_PREFIX, LEASE, RedisStore};
use sschat_store::{Change, ChangeListener, Store, StoreError};
use sschat_tests::{Redis, within};
use std::sync::Arc;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_another_program_ends_a_cached_read() {
    let server = Server::start();
    let store = server.space();
    let mut changes = Ear::at(server.store());
    assert_eq!(read(&store, &["a"]).await.unwrap(), [None]);
    let before = server.redis.calls("mget");
    assert_eq!(read(&store, &["a"]).await.unwrap(), [None]);
    assert_eq!(server.redis.calls("mget"), before, "it is cached");
    server.redis.run(&["SET", "a", "1"]);
    hears(&mut changes, &["a"]).await;
    assert_eq!(
        read(&store, &["a"]).await.unwrap()[0].as_deref(),
        Some(&b"1"[..])
    );
    assert!(server.redis.calls("mget") > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_changing_a_key_is_told() {
    let server = Server::start();
    let mut changes = Ear::at(server.store());
    let mut other = server.redis.client();
    for command in [
        &["SET", "k", "1"][..],
        &["MSET", "k", "2", "l", "2"],
        &["INCRBY", "k", "5"],
        &["SETNX", "n", "1"],
        &["GETSET", "k", "3"],
        &["APPEND", "k", "x"],
        &[
            "EVAL",
            "return redis.call('SET', KEYS[1], 'script')",
            "1",
            "k",
        ],
        &["RENAME", "l", "m"],
        &["DEL", "k", "n"],
        &["UNLINK", "m"],
    ] {
        let reply = other.run(command);
        assert!(
            !matches!(reply, sschat_tests::redis::Reply::Error(_)),
            "{reply:?}"
        );
        let named = match command[0] {
            "MSET" => vec!["k", "l"],
            "SETNX" => vec!["n"],
            "RENAME" => vec!["l", "m"],
            "DEL" => vec!["k", "n"],
            "UNLINK" => vec!["m"],
            _ => vec!["k"],
        };
        hears(&mut changes, &named).await;
    }
    other.run(&["SET", "k", "1", "PX", "20"]);
    hears(&mut changes, &["k"]).await;
    hears(&mut changes, &["k"]).await;
    assert_eq!(get(&*server.space(), "k").await, None, "it has expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_writes_are_told_once() {
    let server = Server::start();
    let store = server.space();
    let mut changes = Ear::at(server.store());
    set(&*store, "a", "1").await;
    store.increment("n".to_owned(), 1).await.unwrap();
    assert!(store.swap("s".to_owned(), None, "1".into()).await.unwrap());
    assert!(
        store
            .swap("s".to_owned(), Some("1".into()), "2".into())
            .await
            .unwrap()
    );
    set(&*store, "odd", "007").await;
    assert_eq!(store.increment("odd".to_owned(), 1).await.unwrap(), 8);
    store.delete_many(owned(&["a"])).await.unwrap();
    // By now, what the feed had to say of them would have come.
    server.redis.run(&["SET", "end", "1"]);
    let mut told = Vec::new();
    while told.last().map(String::as_str) != Some("end") {
        match within("the end is told", changes.recv()).await.unwrap() {
            Change::Keys(keys) => told.extend(keys.iter().cloned()),
            Change::Lost => panic!("nothing was lost"),
        }
    }
    assert_eq!(told, ["a", "n", "s", "s", "odd", "odd", "a", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_is_told_of_every_write() {
    let server = Server::start();
    let (store, other) = (server.space(), open(&server.redis));
    let mut changes = Ear::at(&other);
    store
        .set_many(vec![entry("a", "1"), entry("b", "1")])
        .await
        .unwrap();
    hears(&mut changes, &["a", "b"]).await;
    store.increment("n".to_owned(), 1).await.unwrap();
    hears(&mut changes, &["n"]).await;
    assert!(
        store
            .swap("a".to_owned(), Some("1".into()), "2".into())
            .await
            .unwrap()
    );
    hears(&mut changes, &["a"]).await;
    store.delete_many(owned(&["a"])).await.unwrap();
    hears(&mut changes, &["a"]).await;
    assert_eq!(get(&*other.space(), "a").await, None);
}

/// Batches that two others write in turn are never seen torn, cached or not, and no value is
/// believed for good that was read before the change to it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn decisions_see_batches_whole_and_catch_up() {
    let server = Server::start();
    let (store, other) = (server.space(), open(&server.redis));
    let reader = Arc::clone(&store);
    let reading = Meanwhile::start(3, move || {
        let store = Arc::clone(&reader);
        async move {
            let seen = read(&store, &["a", "b", "c"]).await.unwrap();
            assert!(seen.iter().all(|value| *value == seen[0]), "torn: {seen:?}");
            for key in ["a", "b", "c"] {
                read(&store, &[key]).await.unwrap();
            }
        }
    })
    .await;
    let mut changes = Ear::at(server.store());
    let writer = other.space();
    for round in 0..300 {
        let by = if round % 3 == 0 { &store } else { &writer };
        let value = round.to_string();
        let batch = ["a", "b", "c"].map(|key| entry(key, value.clone()));
        by.set_many(batch.to_vec()).await.unwrap();
        hears(&mut changes, &["a"]).await;
        let seen = read(&store, &["a"]).await.unwrap();
        assert_eq!(seen[0].as_deref(), Some(value.as_bytes()), "round {round}");
    }
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keys_are_cached_together_once_a_beat_has_passed() {
    let server = Server::start();
    let store = server.space();
    server.redis.run(&["MSET", "a", "1", "b", "1"]);
    let from_redis = || server.redis.calls("mget");
    let mut last = from_redis();
    within("both are recalled", async {
        loop {
            read(&store, &["a", "b"]).await.unwrap();
            let now = from_redis();
            if now == last {
                return;
            }
            last = now;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beats_are_nobodys_keys() {
    let server = Server::start();
    let store = server.space();
    let mut changes = Ear::at(server.store());
    let before = store.proven_until().unwrap();
    within("the lease moves on", async {
        while store.proven_until().unwrap() <= before {
            set(&*store, "a", "1").await;
        }
    })
    .await;
    assert!(is_proven(&*store));
    assert!(store.proven_until().unwrap() <= Instant::now() + LEASE);
    assert_eq!(store.keys(None, 100).await.unwrap(), ["a"]);
    server.redis.run(&["SET", "end", "1"]);
    hears(&mut changes, &["end"]).await;
    drop(store);
    server.store().close();
    while let Some(change) = changes.recv().await {
        let Change::Keys(keys) = change else {
            panic!("nothing was lost")
        };
        assert!(keys.iter().all(|key| !key.starts_with(BEAT_PREFIX)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_followed_is_told_and_may_decide() {
    let redis = Redis::start();
    let mut some = settings(&redis);
    some.prefixes = owned(&["app_", "index/"]);
    let store = RedisStore::open(&some).unwrap();
    let mut changes = Ear::at(&store);
    redis.run(&["SET", "room:1:stream", "x"]);
    redis.run(&["SET", "app_1/user", "x"]);
    let told = within("a change is told", changes.recv()).await.unwrap();
    let Change::Keys(keys) = told else {
        panic!("nothing was lost")
    };
    assert_eq!(*keys, *owned(&["app_1/user"]));
    let space = store.space();
    assert!(read(&space, &["app_1/user", "index/a"]).await.is_ok());
    let refused = read(&space, &["app_1/user", "room:1:stream"]).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(
        get(&*space, "room:1:stream").await.unwrap(),
        "x",
        "components may"
    );
}

/// A listener may hold the store: closing lets go of both.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_fails_and_lets_go() {
    struct Holds(#[expect(dead_code, reason = "held, not used")] Arc<dyn Store>);
    impl ChangeListener for Holds {
        fn changed(&self, _: &Change) -> Option<sschat_store::Barrier> {
            None
        }
    }
    let server = Server::start();
    let store = server.space();
    let listener = Arc::new(Holds(Arc::clone(&store)));
    let weak = Arc::downgrade(&listener);
    server.store().listen(listener);
    server.store().close();
    assert!(weak.upgrade().is_none());
    assert!(matches!(
        store.get("a").await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        read(&store, &["a"]).await,
        Err(StoreError::Unavailable(_))
    ));
    let written = store.set_many(vec![entry("a", "1")]).await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))));
    assert!(!is_proven(&*store));
}
