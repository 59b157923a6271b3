//! One Redis, several who write as Spin's components do.

use super::{Server, open};
use crate::store::{get, set};
use futures::future::join_all;
use sschat_store::redis::{RedisStore, Settings, inspect};
use sschat_store::{Store, VALUE_LIMIT};
use sschat_tests::Redis;
use std::collections::BTreeSet;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_counters_are_as_spin_writes_them() {
    let server = Server::start();
    let store = server.space();
    set(&*store, "app_1/user/2", "record").await;
    assert_eq!(server.redis.run(&["GET", "app_1/user/2"]).text(), "record");
    assert_eq!(store.increment("n".to_owned(), 41).await.unwrap(), 41);
    assert_eq!(server.redis.run(&["GET", "n"]).text(), "41");
    assert_eq!(server.redis.run(&["INCRBY", "n", "1"]).number(), 42);
    assert_eq!(store.increment("n".to_owned(), 1).await.unwrap(), 43);
    server.redis.run(&["MSET", "n", "7", "m", "-1"]);
    assert_eq!(store.increment("n".to_owned(), 1).await.unwrap(), 8);
    assert_eq!(store.increment("m".to_owned(), 1).await.unwrap(), 0);
    // A state that came from SQLite has counters of eight bytes.
    set(&*store, "old", 5_i64.to_le_bytes()).await;
    assert_eq!(store.increment("old".to_owned(), 1).await.unwrap(), 6);
    assert_eq!(server.redis.run(&["INCRBY", "old", "1"]).number(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_and_others_count_every_increment() {
    const EACH: i64 = 100;
    let server = Server::start();
    let stores: Vec<RedisStore> = (0..3).map(|_| open(&server.redis)).collect();
    // It takes a transaction first: no number in Redis' own form.
    set(&*server.space(), "n", "000").await;
    let hosts = stores
        .iter()
        .flat_map(|store| [store.space(), store.space()]);
    let tasks: Vec<_> = hosts
        .map(|store| {
            tokio::spawn(async move {
                let mut sums = Vec::new();
                for _ in 0..EACH {
                    sums.push(store.increment("n".to_owned(), 1).await.unwrap());
                }
                sums
            })
        })
        .collect();
    let mut other = server.redis.client();
    let others: Vec<i64> = tokio::task::block_in_place(|| {
        (0..EACH)
            .filter_map(|_| match other.run(&["INCRBY", "n", "1"]) {
                sschat_tests::redis::Reply::Number(sum) => Some(sum),
                // Nobody has brought it into Redis' own form yet.
                _ => None,
            })
            .collect()
    });
    let mut sums: Vec<i64> = join_all(tasks)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    sums.extend(&others);
    let distinct: BTreeSet<i64> = sums.iter().copied().collect();
    assert_eq!(distinct.len(), sums.len(), "no number twice");
    assert_eq!(distinct.last().copied(), i64::try_from(sums.len()).ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_swap_of_several_hosts_wins() {
    let server = Server::start();
    let stores: Vec<RedisStore> = (0..3).map(|_| open(&server.redis)).collect();
    set(&*server.space(), "s", "0").await;
    for round in 0..20 {
        let expected = get(&*server.space(), "s").await;
        let tasks = stores
            .iter()
            .flat_map(|store| [store.space(), store.space()])
            .enumerate();
        let tasks = tasks.map(|(caller, store)| {
            let expected = expected.clone();
            tokio::spawn(async move {
                let new = format!("round {round} caller {caller}");
                let won = store
                    .swap("s".to_owned(), expected, new.clone().into())
                    .await;
                won.unwrap().then_some(new)
            })
        });
        let winners: Vec<String> = join_all(tasks)
            .await
            .into_iter()
            .filter_map(Result::unwrap)
            .collect();
        let now = get(&*server.space(), "s").await.unwrap();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(now, winners[0]);
    }
}

/// Swaps of different keys use one connection and do not undo each other's watching.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn swaps_of_many_keys_at_once_are_each_exact() {
    let server = Server::start();
    let store = server.space();
    let other = server.redis.url();
    let tasks = (0..16).map(|number| {
        let store: Arc<dyn Store> = Arc::clone(&store);
        tokio::spawn(async move {
            let key = format!("s{}", number % 4);
            let mut won = 0_i64;
            while won < 25 {
                let seen = get(&*store, &key).await;
                let next = seen.as_ref().map_or(0, |seen| {
                    std::str::from_utf8(seen).unwrap().parse::<i64>().unwrap()
                }) + 1;
                let swapped = store.swap(key.clone(), seen, next.to_string().into()).await;
                won += i64::from(swapped.unwrap());
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    for number in 0..4 {
        assert_eq!(
            get(&*store, &format!("s{number}")).await.unwrap(),
            "100",
            "{other}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_do_not_end_the_lease() {
    let server = Server::start();
    let store = server.space();
    let before = store.proven_until().unwrap();
    let mut rounds = 0;
    while rounds < 8 || store.proven_until().unwrap() <= before {
        let batch = (0..3)
            .map(|number| crate::store::entry(&format!("large {number}"), vec![7; VALUE_LIMIT]));
        store.set_many(batch.collect()).await.unwrap();
        assert!(super::is_proven(&*store), "round {rounds}");
        rounds += 1;
    }
}

/// A full Redis takes no writes; what is there decides on.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_still_decides() {
    let server = Server::start();
    let store = server.space();
    set(&*store, "a", "1").await;
    server.redis.run(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = store.set_many(vec![crate::store::entry("b", "1")]).await;
    assert!(
        matches!(refused, Err(sschat_store::StoreError::Unavailable(_))),
        "{refused:?}"
    );
    // Two leases on, so by beats that came after it was full.
    let full = std::time::Instant::now();
    while full.elapsed() < 2 * sschat_store::redis::LEASE {
        assert!(super::is_proven(&*store));
        let values = super::read(&store, &["a"]).await.unwrap();
        assert_eq!(values[0].as_deref(), Some(&b"1"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_logs_in_with_a_password() {
    let redis = Redis::start_with(&["--requirepass", "secret word"]);
    let url = redis.url();
    let open = |url: String| {
        RedisStore::open(&Settings {
            url,
            prefixes: Vec::new(),
        })
    };
    let refused = open(url.clone()).map(drop).unwrap_err().to_string();
    assert!(
        refused.contains("NOAUTH") || refused.to_lowercase().contains("auth"),
        "{refused}"
    );
    let store = open(url.replace("redis://", "redis://:secret%20word@")).unwrap();
    set(&*store.space(), "a", "1").await;
    let wrong = open(url.replace("redis://", "redis://:wrong@"))
        .map(drop)
        .unwrap_err();
    assert!(
        !wrong.to_string().contains("wrong@"),
        "no credentials in what is said: {wrong}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_user_needs_no_more_than_it_is_given() {
    let server = Server::start();
    let reply = server.redis.run(&[
        "ACL",
        "SETUSER",
        "chat",
        "on",
        ">pass",
        "~app_*",
        "~index/*",
        "~sschat-feed/*",
        "+get",
        "+mget",
        "+set",
        "+mset",
        "+del",
        "+incrby",
        "+pexpire",
        "+strlen",
        "+scan",
        "+watch",
        "+unwatch",
        "+multi",
        "+exec",
        "+eval_ro",
        "+client|id",
        "+client|tracking",
        "+role",
        "+info",
        "+hello",
        "+auth",
        "+select",
    ]);
    assert_eq!(reply.text(), "OK");
    let url = server.redis.url().replace("redis://", "redis://chat:pass@");
    let prefixes = vec!["app_".to_owned(), "index/".to_owned()];
    let store = RedisStore::open(&Settings { url, prefixes }).unwrap();
    let space = store.space();
    set(&*space, "app_1/a", "1").await;
    assert_eq!(get(&*space, "app_1/a").await.unwrap(), "1");
    assert_eq!(space.increment("app_1/n".to_owned(), 1).await.unwrap(), 1);
    assert!(
        space
            .swap("app_1/a".to_owned(), Some("1".into()), "2".into())
            .await
            .unwrap()
    );
    assert!(space.get("other").await.is_err(), "it may not");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_says_what_costs_data() {
    let good = Redis::start();
    let bad = Redis::start_with(&["--maxmemory-policy", "allkeys-lru", "--appendonly", "no"]);
    let (good, bad) = (good, bad);
    let (good_url, bad_url) = (good.url(), bad.url());
    let asked = tokio::task::spawn_blocking(move || (inspect(&good_url), inspect(&bad_url)));
    let (good, bad) = asked.await.unwrap();
    let (good, bad) = (good.unwrap(), bad.unwrap());
    assert!(
        good.errors.is_empty() && good.warnings.is_empty(),
        "{good:?}"
    );
    assert!(good.version.contains('.'), "{good:?}");
    assert_eq!(bad.warnings.len(), 2, "{bad:?}");
    assert!(bad.errors.is_empty(), "{bad:?}");
}
