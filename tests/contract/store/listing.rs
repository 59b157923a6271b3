//! Listing keys, page by page.

use super::{Backend, Meanwhile, entry, get, owned};
use sschat_store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All keys, read in pages of `limit`.
async fn pages(store: &dyn Store, limit: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = store
            .keys(all.last().map(String::as_str), limit)
            .await
            .unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub(crate) async fn lists_in_byte_order(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let keys = [
        "b", "", "a", "B", "a\0", "aa", "ä", "a/", "🦀", "10", "9", "\u{ffff}",
    ];
    store
        .set_many(keys.iter().map(|key| entry(key, "x")).collect())
        .await
        .unwrap();
    let mut sorted = owned(&keys);
    sorted.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    assert_eq!(store.keys(None, 100).await.unwrap(), sorted);
    assert_eq!(store.keys(None, 3).await.unwrap(), sorted[..3]);
    assert_eq!(store.keys(None, 0).await.unwrap(), Vec::<String>::new());
    assert_eq!(
        store.keys(Some(""), 100).await.unwrap(),
        sorted[1..],
        "the first key is the empty one"
    );
    assert_eq!(store.keys(Some("a"), 2).await.unwrap(), ["a\0", "a/"]);
    assert_eq!(
        store.keys(Some("a.absent"), 1).await.unwrap(),
        ["a/"],
        "the cursor need not exist"
    );
    assert_eq!(
        store.keys(Some("🦀"), 9).await.unwrap(),
        Vec::<String>::new()
    );
}

pub(crate) async fn pages_join_without_gap_or_double(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let keys: Vec<String> = (0..1_000)
        .map(|number| format!("key {number:04}"))
        .collect();
    store
        .set_many(keys.iter().map(|key| entry(key, "x")).collect())
        .await
        .unwrap();
    for limit in [1, 7, 256, 257, 999, 1_000, 5_000] {
        assert_eq!(pages(&*store, limit).await, keys, "pages of {limit}");
    }
}

pub(crate) async fn lists_what_stays_while_others_write(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let stays: Vec<String> = (0..300)
        .map(|number| format!("{number:03} stays"))
        .collect();
    store
        .set_many(stays.iter().map(|key| entry(key, "x")).collect())
        .await
        .unwrap();
    let (writer, turn) = (Arc::clone(&store), Arc::new(AtomicUsize::new(0)));
    let writing = Meanwhile::start(1, move || {
        let (store, turn) = (Arc::clone(&writer), turn.fetch_add(1, Ordering::SeqCst));
        async move {
            let passing: Vec<String> = (0..30)
                .map(|number| format!("{:03} passes", (turn + number * 10) % 300))
                .collect();
            let batch = passing.iter().map(|key| entry(key, "x"));
            store.set_many(batch.collect()).await.unwrap();
            assert!(get(&*store, &passing[0]).await.is_some());
            store.delete_many(passing).await.unwrap();
        }
    })
    .await;
    let mut limits = [5, 50, 1_000].into_iter().cycle();
    while writing.rounds() < 20 {
        let limit = limits.next().unwrap();
        let listed = pages(&*store, limit).await;
        assert!(
            listed.is_sorted() && listed.iter().collect::<BTreeSet<_>>().len() == listed.len(),
            "no key twice"
        );
        let stayed: Vec<&String> = listed.iter().filter(|key| key.ends_with("stays")).collect();
        assert_eq!(stayed, stays.iter().collect::<Vec<_>>());
        assert!(get(&*store, &stays[0]).await.is_some(), "reading goes on");
    }
    writing.stop().await;
}
