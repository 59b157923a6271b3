//! Reading, writing and deleting.

use super::{Backend, entry, get, owned, set};
use sschat_store::KEY_LIMIT;

pub(crate) async fn reads_what_was_written(backend: &mut dyn Backend) {
    let store = backend.space("default");
    assert_eq!(get(&*store, "a").await, None);
    set(&*store, "a", "1").await;
    assert_eq!(get(&*store, "a").await.unwrap(), "1");
    set(&*store, "a", "2").await;
    assert_eq!(get(&*store, "a").await.unwrap(), "2");
    assert_eq!(
        get(&*backend.space("default"), "a").await.unwrap(),
        "2",
        "another handle of the label"
    );
}

pub(crate) async fn reads_the_same_on_the_spot(backend: &mut dyn Backend) {
    let store = backend.space("default");
    for value in [None, Some("1"), Some("2"), None] {
        match value {
            Some(value) => set(&*store, "a", value).await,
            None => store.delete_many(owned(&["a"])).await.unwrap(),
        }
        if let Some(local) = store.local() {
            assert_eq!(local.get_now("a").unwrap(), get(&*store, "a").await);
            assert_eq!(local.get_now("absent").unwrap(), None);
        }
    }
    if let Some(local) = store.local() {
        assert!(local.get_now(&"k".repeat(KEY_LIMIT + 1)).is_err());
    }
}

pub(crate) async fn keeps_values_over_a_restart(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "kept", "1").await;
    set(&*store, "removed", "1").await;
    store.delete_many(owned(&["removed"])).await.unwrap();
    store.increment("counter".to_owned(), 5).await.unwrap();
    drop(store);
    backend.restart();
    let store = backend.space("default");
    assert_eq!(get(&*store, "kept").await.unwrap(), "1");
    assert_eq!(get(&*store, "removed").await, None);
    assert_eq!(store.increment("counter".to_owned(), 1).await.unwrap(), 6);
}

pub(crate) async fn deletes_what_is_there(backend: &mut dyn Backend) {
    let store = backend.space("default");
    store
        .set_many(vec![entry("a", "1"), entry("b", "2"), entry("c", "3")])
        .await
        .unwrap();
    store
        .delete_many(owned(&["a", "absent", "c", "a"]))
        .await
        .unwrap();
    assert_eq!(get(&*store, "a").await, None);
    assert_eq!(get(&*store, "b").await.unwrap(), "2");
    assert_eq!(get(&*store, "c").await, None);
    store.delete_many(owned(&["absent"])).await.unwrap();
    set(&*store, "a", "again").await;
    assert_eq!(get(&*store, "a").await.unwrap(), "again");
}

pub(crate) async fn the_later_of_two_entries_wins(backend: &mut dyn Backend) {
    let store = backend.space("default");
    store
        .set_many(vec![
            entry("a", "first"),
            entry("b", "b"),
            entry("a", "second"),
        ])
        .await
        .unwrap();
    assert_eq!(get(&*store, "a").await.unwrap(), "second");
    backend.restart();
    assert_eq!(
        get(&*backend.space("default"), "a").await.unwrap(),
        "second"
    );
}

pub(crate) async fn batches_answer_in_order(backend: &mut dyn Backend) {
    backend
        .space("default")
        .set_many(vec![entry("a", "1"), entry("b", "2"), entry("c", "3")])
        .await
        .unwrap();
    let expected = [Some("3"), None, Some("1"), Some("3"), Some("2")]
        .map(|value| value.map(bytes::Bytes::from));
    // Cold, with one key cached, and with all cached.
    backend.restart();
    let store = backend.space("default");
    let keys = owned(&["c", "absent", "a", "c", "b"]);
    assert_eq!(store.get_many(&keys).await.unwrap(), expected);
    assert_eq!(store.get_many(&keys).await.unwrap(), expected);
    set(&*store, "a", "1").await;
    assert_eq!(store.get_many(&keys).await.unwrap(), expected);
}

pub(crate) async fn empty_batches_do_nothing(backend: &mut dyn Backend) {
    let store = backend.space("default");
    store.set_many(Vec::new()).await.unwrap();
    store.delete_many(Vec::new()).await.unwrap();
    assert_eq!(
        store.get_many(&[]).await.unwrap(),
        Vec::<Option<bytes::Bytes>>::new()
    );
    assert_eq!(store.keys(None, 10).await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn labels_do_not_mix(backend: &mut dyn Backend) {
    let (one, other) = (backend.space("one"), backend.space("other"));
    set(&*one, "a", "one").await;
    assert_eq!(get(&*other, "a").await, None);
    set(&*other, "a", "other").await;
    set(&*other, "b", "other").await;
    one.delete_many(owned(&["b"])).await.unwrap();
    assert_eq!(get(&*one, "a").await.unwrap(), "one");
    assert_eq!(get(&*other, "b").await.unwrap(), "other");
    assert_eq!(one.keys(None, 10).await.unwrap(), ["a"]);
    assert_eq!(other.keys(None, 10).await.unwrap(), ["a", "b"]);
}

pub(crate) async fn odd_keys_and_values_are_kept_apart(backend: &mut dyn Backend) {
    let odd = [
        "", "a", "a\0", "a\0b", "\0", "a ", "A", "ä", "a\u{308}", "%", "_", "*", "'", "\"", ";--",
        "a/../b", "日本", "🦀", "\n", "{a}",
    ];
    let store = backend.space("default");
    for (number, key) in odd.iter().enumerate() {
        set(&*store, key, number.to_string()).await;
    }
    set(&*store, "empty", "").await;
    let every_byte: Vec<u8> = (0..=255).collect();
    set(&*store, "every byte", every_byte.clone()).await;
    drop(store);
    backend.restart();
    let store = backend.space("default");
    for (number, key) in odd.iter().enumerate() {
        assert_eq!(
            get(&*store, key).await.unwrap(),
            number.to_string(),
            "{key:?}"
        );
    }
    assert_eq!(
        get(&*store, "empty").await.unwrap(),
        "",
        "an empty value is a value"
    );
    assert_eq!(get(&*store, "every byte").await.unwrap(), every_byte);
    store.delete_many(owned(&["a\0"])).await.unwrap();
    assert_eq!(get(&*store, "a\0").await, None);
    assert_eq!(get(&*store, "a").await.unwrap(), "1");
    assert_eq!(get(&*store, "a\0b").await.unwrap(), "3");
}

pub(crate) async fn blocking_reads_agree(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "a", "1").await;
    let keys = owned(&["a", "absent"]);
    let (awaited, reader, asked) = (
        store.get_many(&keys).await.unwrap(),
        store.clone(),
        keys.clone(),
    );
    let blocked = tokio::task::spawn_blocking(move || reader.get_many_blocking(&asked))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(blocked, awaited);
}
