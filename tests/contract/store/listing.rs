//! Listing keys, page by page.

use super::{Backend, entry, get, owned};
use sschat::store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    let done = Arc::new(AtomicBool::new(false));
    let (writer, writing) = (Arc::clone(&store), Arc::clone(&done));
    let writer = tokio::spawn(async move {
        let mut rounds = 0;
        while !writing.load(Ordering::SeqCst) {
            let passing: Vec<String> = (0..30)
                .map(|number| format!("{:03} passes", (rounds + number * 10) % 300))
                .collect();
            writer
                .set_many(passing.iter().map(|key| entry(key, "x")).collect())
                .await
                .unwrap();
            assert!(get(&*writer, &passing[0]).await.is_some());
            writer.delete_many(passing).await.unwrap();
            rounds += 1;
        }
        rounds
    });
    for limit in [5, 50, 1_000].repeat(5) {
        let listed = pages(&*store, limit).await;
        assert!(
            listed.is_sorted() && listed.iter().collect::<BTreeSet<_>>().len() == listed.len(),
            "no key twice"
        );
        let stayed: Vec<&String> = listed.iter().filter(|key| key.ends_with("stays")).collect();
        assert_eq!(stayed, stays.iter().collect::<Vec<_>>());
        assert!(get(&*store, &stays[0]).await.is_some(), "reading goes on");
    }
    done.store(true, Ordering::SeqCst);
    assert!(writer.await.unwrap() > 0, "there was writing meanwhile");
}
