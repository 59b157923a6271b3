//! The change feed: each commit once, in order, before it is acknowledged.

use super::{Backend, Gate, Recorder, entry, get, keys_of, owned, set};
use bytes::Bytes;
use futures::future::join_all;
use futures::poll;
use sschat_store::{Barrier, Change, ChangeListener};
use std::pin::pin;
use std::sync::{Arc, Mutex};

pub(crate) async fn tells_before_acknowledging(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "before", "1").await;
    let recorder = Recorder::of(backend, "default");
    for round in 0..20 {
        set(&*store, &format!("key {round}"), "1").await;
        assert_eq!(recorder.take(), [[format!("key {round}")]]);
    }
}

pub(crate) async fn names_all_keys_of_a_batch_once(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let recorder = Recorder::of(backend, "default");
    store
        .set_many(vec![entry("b", "1"), entry("a", "1"), entry("b", "2")])
        .await
        .unwrap();
    assert_eq!(recorder.take(), [["a", "b"]]);
    store.delete_many(owned(&["b", "a"])).await.unwrap();
    assert_eq!(recorder.take(), [["a", "b"]]);
}

pub(crate) async fn tells_of_every_kind_of_write(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let (one, other) = (
        Recorder::of(backend, "default"),
        Recorder::of(backend, "default"),
    );
    set(&*store, "set", "1").await;
    set(&*store, "set", "1").await;
    store.increment("count".to_owned(), 1).await.unwrap();
    store
        .swap("swap".to_owned(), None, Bytes::from("1"))
        .await
        .unwrap();
    store
        .swap("swap".to_owned(), Some(Bytes::from("1")), Bytes::from("2"))
        .await
        .unwrap();
    store.delete_many(owned(&["set"])).await.unwrap();
    let told = one.take();
    assert_eq!(
        told,
        [["set"], ["set"], ["count"], ["swap"], ["swap"], ["set"]]
    );
    assert_eq!(other.take(), told, "each listener is told everything");
}

pub(crate) async fn keeps_the_order_of_each_writer(backend: &mut dyn Backend) {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let store = backend.space("default");
    let recorder = Recorder::of(backend, "default");
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for write in 0..WRITES {
                set(&*store, &format!("{writer} {write:02}"), "1").await;
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let told: Vec<String> = recorder.take().into_iter().flatten().collect();
    assert_eq!(told.len(), WRITERS * WRITES, "each commit once");
    for writer in 0..WRITERS {
        let of_writer: Vec<&String> = told
            .iter()
            .filter(|key| key.starts_with(&format!("{writer} ")))
            .collect();
        assert_eq!(of_writer.len(), WRITES);
        assert!(of_writer.is_sorted(), "in order: {of_writer:?}");
    }
}

pub(crate) async fn tells_only_its_own_label(backend: &mut dyn Backend) {
    let recorder = Recorder::of(backend, "one");
    set(&*backend.space("other"), "a", "1").await;
    set(&*backend.space("one"), "b", "1").await;
    assert_eq!(recorder.take(), [["b"]]);
}

pub(crate) async fn refused_writes_change_nothing(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "text", "x").await;
    let recorder = Recorder::of(backend, "default");
    assert!(store.increment("text".to_owned(), 1).await.is_err());
    assert!(
        !store
            .swap("text".to_owned(), None, Bytes::from("y"))
            .await
            .unwrap()
    );
    store.delete_many(owned(&["absent"])).await.unwrap();
    set(&*store, "last", "1").await;
    let mut told: Vec<String> = recorder.take().into_iter().flatten().collect();
    assert_eq!(told.pop().as_deref(), Some("last"));
    // The contract lets a store tell of a write that changed nothing, but never of
    // keys that nobody named.
    assert!(
        told.iter().all(|key| key == "text" || key == "absent"),
        "{told:?}"
    );
}

pub(crate) async fn waits_for_the_barrier(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let mut held = Gate::before(backend, "default");
    let mut write = pin!(store.set_many(vec![entry("a", "1")]));
    assert!(poll!(&mut write).is_pending());
    let first = held.recv().await.unwrap();
    assert_eq!(keys_of(&first.change), ["a"]);
    assert_eq!(get(&*store, "a").await.unwrap(), "1", "it is committed");
    assert!(poll!(&mut write).is_pending(), "and not acknowledged");

    // The one write that waits does not hold up the next.
    let mut other = pin!(store.increment("b".to_owned(), 1));
    assert!(poll!(&mut other).is_pending());
    drop(held.recv().await.unwrap());
    assert_eq!(other.await.unwrap(), 1);
    assert!(poll!(&mut write).is_pending());
    drop(first);
    write.await.unwrap();
}

pub(crate) async fn waits_for_every_listener(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "a", "1").await;
    let (mut one, mut other) = (
        Gate::before(backend, "default"),
        Gate::before(backend, "default"),
    );
    let mut write = pin!(store.delete_many(owned(&["a"])));
    assert!(poll!(&mut write).is_pending());
    let (first, second) = (one.recv().await.unwrap(), other.recv().await.unwrap());
    assert!(poll!(&mut write).is_pending());
    drop(second);
    assert!(poll!(&mut write).is_pending(), "the first still holds");
    drop(first);
    write.await.unwrap();
}

/// Hands the first change it is told of to the test.
struct Told(Mutex<Option<tokio::sync::oneshot::Sender<Change>>>);

impl ChangeListener for Told {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        let told = self.0.lock().unwrap().take()?;
        let _ = told.send(change.clone());
        None
    }
}

pub(crate) async fn a_dropped_write_is_told_all_the_same(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let (told, heard) = tokio::sync::oneshot::channel();
    backend.listen("default", Arc::new(Told(Mutex::new(Some(told)))));
    {
        let mut write = pin!(store.set_many(vec![entry("a", "1"), entry("b", "1")]));
        // Dropped where it stands; a fast store may be done with it even now.
        let _ = poll!(&mut write);
    }
    // If it takes effect, then whole, and everyone is told.
    set(&*store, "c", "1").await;
    let seen = store.get_many(&owned(&["a", "b"])).await.unwrap();
    assert_eq!(seen[0], seen[1]);
    let expected: &[&str] = if seen[0].is_some() {
        &["a", "b"]
    } else {
        &["c"]
    };
    assert_eq!(keys_of(&heard.await.unwrap()), expected);
}
