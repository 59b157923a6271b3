//! The bounds of keys, values and batches.

use super::{Backend, entry, get, is_too_large, owned};
use bytes::Bytes;
use sschat_store::{BATCH_BYTES_LIMIT, BATCH_LIMIT, KEY_LIMIT, VALUE_LIMIT};

pub(crate) async fn takes_the_largest_and_refuses_larger(backend: &mut dyn Backend) {
    let (key, long) = ("k".repeat(KEY_LIMIT), "k".repeat(KEY_LIMIT + 1));
    let (value, large) = (vec![7; VALUE_LIMIT], vec![7; VALUE_LIMIT + 1]);
    let store = backend.space("default");
    store
        .set_many(vec![entry(&key, value.clone())])
        .await
        .unwrap();
    assert!(is_too_large(&store.set_many(vec![entry(&long, "1")]).await));
    assert!(is_too_large(
        &store.set_many(vec![entry("a", large.clone())]).await
    ));
    assert!(is_too_large(&store.get(&long).await));
    assert!(is_too_large(&store.get_many(&owned(&["a", &long])).await));
    assert!(is_too_large(&store.delete_many(owned(&[&long])).await));
    assert!(is_too_large(&store.increment(long.clone(), 1).await));
    assert!(is_too_large(&store.swap(long, None, Bytes::new()).await));
    assert!(is_too_large(
        &store.swap("a".to_owned(), None, large.clone().into()).await
    ));
    assert!(
        !store
            .swap(key.clone(), Some(large.into()), Bytes::new())
            .await
            .unwrap(),
        "it cannot be stored"
    );
    assert_eq!(get(&*store, "a").await, None);
    assert_eq!(get(&*store, &key).await.unwrap(), value);
    backend.restart();
    assert_eq!(get(&*backend.space("default"), &key).await.unwrap(), value);
}

pub(crate) async fn a_refused_batch_writes_nothing(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let batch = |count: usize| {
        (0..count)
            .map(|number| entry(&number.to_string(), "x"))
            .collect::<Vec<_>>()
    };
    assert!(is_too_large(&store.set_many(batch(BATCH_LIMIT + 1)).await));
    let large = vec![entry("0", "x"), entry("1", vec![7; VALUE_LIMIT + 1])];
    assert!(is_too_large(&store.set_many(large).await));
    let values = BATCH_BYTES_LIMIT / VALUE_LIMIT + 1;
    let heavy = (0..values).map(|number| entry(&number.to_string(), vec![7; VALUE_LIMIT]));
    assert!(is_too_large(&store.set_many(heavy.collect()).await));
    assert_eq!(store.keys(None, 10).await.unwrap(), Vec::<String>::new());

    store.set_many(batch(BATCH_LIMIT)).await.unwrap();
    let mut keys: Vec<String> = batch(BATCH_LIMIT).into_iter().map(|(key, _)| key).collect();
    assert!(
        store
            .get_many(&keys)
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    keys.push("one more".to_owned());
    assert!(is_too_large(&store.get_many(&keys).await));
    assert!(is_too_large(&store.delete_many(keys.clone()).await));
    assert_eq!(
        store.keys(None, 2 * BATCH_LIMIT).await.unwrap().len(),
        BATCH_LIMIT,
        "nothing was deleted"
    );
    keys.pop();
    store.delete_many(keys).await.unwrap();
    assert_eq!(store.keys(None, 10).await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn refuses_to_read_too_much_at_once(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let keys: Vec<String> = (0..=BATCH_BYTES_LIMIT / VALUE_LIMIT)
        .map(|number| number.to_string())
        .collect();
    for key in &keys {
        store
            .set_many(vec![entry(key, vec![7; VALUE_LIMIT])])
            .await
            .unwrap();
    }
    assert!(is_too_large(&store.get_many(&keys).await));
    assert_eq!(
        store.get_many(&keys[1..]).await.unwrap().len(),
        keys.len() - 1,
        "less is read"
    );
    // The same with values small enough to be kept in memory.
    let value = vec![7; 128 << 10];
    let keys: Vec<String> = (0..=BATCH_BYTES_LIMIT / value.len())
        .map(|number| format!("small {number}"))
        .collect();
    for key in &keys {
        store
            .set_many(vec![entry(key, value.clone())])
            .await
            .unwrap();
    }
    assert!(is_too_large(&store.get_many(&keys).await));
    assert!(is_too_large(&store.get_many(&keys).await), "cached or not");
    assert_eq!(
        store.get_many(&keys[1..]).await.unwrap().len(),
        keys.len() - 1
    );
}
