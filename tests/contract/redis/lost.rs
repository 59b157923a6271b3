//! A feed that can't be proven: what is known is dropped, decisions fail, and all is well
//! again once Redis is.

use super::{Ear, Server, hears, hears_of_the_loss, is_proven, open, read};
use crate::store::{Backend as _, entry, get, set};
use sschat_store::{Change, Store, StoreError};
use sschat_tests::within;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// Waits until decisions can read `key` again.
async fn recovers(store: &Arc<dyn Store>, key: &str) -> Option<bytes::Bytes> {
    within("decisions can read again", async {
        loop {
            if let Ok(mut values) = read(store, &[key]).await {
                return values.remove(0);
            }
        }
    })
    .await
}

/// Fills the cache with `a`, and returns an ear for what comes.
async fn with_a_cached(server: &Server) -> (Arc<dyn Store>, UnboundedReceiver<Change>) {
    let store = server.space();
    set(&*store, "a", "1").await;
    read(&store, &["a"]).await.unwrap();
    (store, Ear::at(server.store()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_comes_back_with_what_was_acknowledged() {
    let mut server = Server::start();
    let (store, mut changes) = with_a_cached(&server).await;
    server.redis.kill();
    hears_of_the_loss(&mut changes).await;
    assert!(!is_proven(&*store));
    for failed in [
        read(&store, &["a"]).await.map(drop),
        store.get("a").await.map(drop),
        store.set_many(vec![entry("b", "1")]).await,
        store.increment("n".to_owned(), 1).await.map(drop),
    ] {
        assert!(
            matches!(failed, Err(StoreError::Unavailable(_))),
            "{failed:?}"
        );
    }
    server.redis.restart();
    assert_eq!(recovers(&store, "a").await.unwrap(), "1");
    hears_of_the_loss(&mut changes).await;
    assert!(is_proven(&*store));
    server.redis.run(&["SET", "a", "2"]);
    hears(&mut changes, &["a"]).await;
    assert_eq!(recovers(&store, "a").await.unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_is_believed() {
    let mut server = Server::start();
    let (store, mut changes) = with_a_cached(&server).await;
    server.redis.kill();
    hears_of_the_loss(&mut changes).await;
    server.redis.restart_empty();
    assert_eq!(recovers(&store, "a").await, None);
    set(&*store, "a", "new").await;
    assert_eq!(recovers(&store, "a").await.unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_doubted_within_the_lease() {
    let server = Server::start();
    let (store, mut changes) = with_a_cached(&server).await;
    server.redis.stop();
    let stopped = Instant::now();
    assert!(read(&store, &["a"]).await.is_ok(), "the lease still holds");
    hears_of_the_loss(&mut changes).await;
    assert!(!is_proven(&*store));
    assert!(
        stopped.elapsed() < Duration::from_secs(5),
        "{:?}",
        stopped.elapsed()
    );
    let refused = read(&store, &["a"]).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    server.redis.go_on();
    assert_eq!(recovers(&store, "a").await.unwrap(), "1");
    hears_of_the_loss(&mut changes).await;
    assert!(is_proven(&*store));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_for_long_is_left_and_found_again() {
    let server = Server::start();
    let (store, mut changes) = with_a_cached(&server).await;
    server.redis.stop();
    hears_of_the_loss(&mut changes).await;
    // Once the link is given up, calls that waited on it fail.
    let waited = within("calls fail", store.get("a")).await;
    assert!(
        matches!(waited, Err(StoreError::Unavailable(_))),
        "{waited:?}"
    );
    server.redis.go_on();
    assert_eq!(recovers(&store, "a").await.unwrap(), "1");
    server.redis.run(&["SET", "a", "2"]);
    within("the change is read", async {
        while get(&*store, "a").await.unwrap() != "2" || recovers(&store, "a").await.unwrap() != "2"
        {
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_is_a_loss() {
    for flush in ["FLUSHALL", "FLUSHDB"] {
        let server = Server::start();
        let (store, mut changes) = with_a_cached(&server).await;
        server.redis.run(&[flush]);
        hears_of_the_loss(&mut changes).await;
        assert_eq!(read(&store, &["a"]).await.unwrap(), [None], "{flush}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_is_a_loss() {
    for kill_feed in [true, false] {
        let server = Server::start();
        let (store, mut changes) = with_a_cached(&server).await;
        // The host's are those that speak RESP3; one of them redirects to the other.
        let directed = server.redis.connections("redir=-1");
        let (feed, commands): (Vec<_>, Vec<_>) = server
            .redis
            .connections("resp=3")
            .into_iter()
            .partition(|id| directed.contains(id));
        assert_eq!((feed.len(), commands.len()), (1, 1));
        let victim = if kill_feed { &feed } else { &commands };
        let killed = server.redis.run(&["CLIENT", "KILL", "ID", &victim[0]]);
        assert_eq!(killed.number(), 1);
        hears_of_the_loss(&mut changes).await;
        server.redis.run(&["SET", "a", "2"]);
        within("the change is read", async {
            while recovers(&store, "a").await.unwrap() != "2" {}
        })
        .await;
        assert!(is_proven(&*store));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_is_left() {
    let server = Server::start();
    let (store, mut changes) = with_a_cached(&server).await;
    server.redis.run(&["REPLICAOF", "127.0.0.1", "1"]);
    hears_of_the_loss(&mut changes).await;
    let written = store.set_many(vec![entry("a", "2")]).await;
    assert!(
        matches!(written, Err(StoreError::Unavailable(_))),
        "{written:?}"
    );
    assert!(matches!(
        read(&store, &["a"]).await,
        Err(StoreError::Unavailable(_))
    ));
    server.redis.run(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(recovers(&store, "a").await.unwrap(), "1");
}

/// Increments go on through interruptions: each acknowledged one counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_kept_through_a_crash() {
    let mut server = Server::start_safe();
    let store = server.space();
    let mut acknowledged = 0;
    for _ in 0..3 {
        let counting = {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut last = 0;
                while let Ok(sum) = store.increment("n".to_owned(), 1).await {
                    last = sum;
                }
                last
            })
        };
        within("some are counted", async {
            let mut client = server.redis.client();
            while client.run(&["GET", "n"]) == sschat_tests::redis::Reply::Bulk(None)
                || client.run(&["GET", "n"]).text().parse::<i64>().unwrap() < acknowledged + 50
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.redis.kill();
        acknowledged = within("counting fails", counting).await.unwrap();
        server.redis.restart();
        let kept = recovers(&store, "n").await.unwrap();
        let kept: i64 = std::str::from_utf8(&kept).unwrap().parse().unwrap();
        assert!(kept >= acknowledged, "{kept} of {acknowledged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_can_not_be_reached_is_not_opened() {
    let mut server = Server::start();
    server.redis.kill();
    let settings = super::settings(&server.redis);
    let opened = tokio::task::spawn_blocking(move || {
        sschat_store::redis::RedisStore::open(&settings).map(drop)
    });
    let error = within("it is refused", opened).await.unwrap().unwrap_err();
    let port = server.redis.port().to_string();
    assert!(error.to_string().contains(&port), "{error}");
    let mut labels = super::Labels::start();
    set(&*labels.space("default"), "a", "1").await;
    labels.restart();
    drop(open(&sschat_tests::Redis::start()));
}
