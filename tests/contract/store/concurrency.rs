//! What concurrent callers may and may not see of each other.

use super::{Backend, Meanwhile, entry, get, is_no_counter, owned, set};
use bytes::Bytes;
use futures::future::join_all;
use sschat_store::Store;
use std::sync::Arc;

const ROUNDS: u32 = 200;
const READERS: usize = 3;

fn number(value: Option<&Bytes>) -> u32 {
    value.map_or(0, |value| {
        std::str::from_utf8(value).unwrap().parse().unwrap()
    })
}

pub(crate) async fn batches_are_seen_whole(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let reader = Arc::clone(&store);
    let reading = Meanwhile::start(READERS, move || {
        let store = Arc::clone(&reader);
        async move {
            let seen = store.get_many(&owned(&["a", "b", "c"])).await.unwrap();
            assert!(seen.iter().all(|value| *value == seen[0]), "torn: {seen:?}");
        }
    })
    .await;
    for round in 1..=ROUNDS {
        let value = round.to_string();
        let batch = ["a", "b", "c"].map(|key| entry(key, value.clone()));
        store.set_many(batch.to_vec()).await.unwrap();
    }
    reading.stop().await;
}

pub(crate) async fn reads_never_go_back(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let reader = Arc::clone(&store);
    let reading = Meanwhile::start(READERS, move || {
        let store = Arc::clone(&reader);
        async move {
            let many = store.get_many(&owned(&["a", "never"])).await.unwrap();
            let (first, second) = (
                number(many[0].as_ref()),
                number(get(&*store, "a").await.as_ref()),
            );
            let third = number(store.get_many(&owned(&["never", "a"])).await.unwrap()[1].as_ref());
            assert!(
                first <= second && second <= third,
                "{first}, then {second}, then {third}"
            );
        }
    })
    .await;
    for round in 1..=ROUNDS {
        set(&*store, "a", round.to_string()).await;
        assert_eq!(
            number(get(&*store, "a").await.as_ref()),
            round,
            "what is acknowledged is seen"
        );
    }
    reading.stop().await;
}

pub(crate) async fn deletions_are_seen_whole(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let reader = Arc::clone(&store);
    let reading = Meanwhile::start(READERS, move || {
        let store = Arc::clone(&reader);
        async move {
            let seen = store.get_many(&owned(&["a", "b"])).await.unwrap();
            assert_eq!(seen[0].is_some(), seen[1].is_some(), "half deleted");
        }
    })
    .await;
    for _ in 0..ROUNDS / 2 {
        store
            .set_many(vec![entry("a", "1"), entry("b", "1")])
            .await
            .unwrap();
        store.delete_many(owned(&["a", "b"])).await.unwrap();
    }
    reading.stop().await;
}

pub(crate) async fn refused_operations_fail_alone(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "text", "no number").await;
    let tasks = (0..64_u32).map(|task| {
        let store: Arc<dyn Store> = Arc::clone(&store);
        tokio::spawn(async move {
            match task % 4 {
                0 => assert!(is_no_counter(&store.increment("text".to_owned(), 1).await)),
                1 => assert!(
                    !store
                        .swap("text".to_owned(), None, Bytes::from("x"))
                        .await
                        .unwrap()
                ),
                2 => set(&*store, &format!("key {task}"), task.to_string()).await,
                _ => drop(store.increment("n".to_owned(), 1).await.unwrap()),
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(get(&*store, "text").await.unwrap(), "no number");
    assert_eq!(store.increment("n".to_owned(), 0).await.unwrap(), 16);
    for task in (2..64).step_by(4) {
        assert_eq!(
            get(&*store, &format!("key {task}")).await.unwrap(),
            task.to_string()
        );
    }
}
