//! Increment and compare-and-swap.

use super::{Backend, get, is_no_counter, set};
use bytes::Bytes;
use futures::future::join_all;
use sschat_store::{Store, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

async fn add(store: &dyn Store, key: &str, delta: i64) -> Result<i64, StoreError> {
    store.increment(key.to_owned(), delta).await
}

pub(crate) async fn counts_from_nothing(backend: &mut dyn Backend) {
    let store = backend.space("default");
    assert_eq!(add(&*store, "n", 0).await.unwrap(), 0);
    assert_eq!(add(&*store, "n", 5).await.unwrap(), 5);
    assert_eq!(add(&*store, "n", -7).await.unwrap(), -2);
    store.delete_many(vec!["n".to_owned()]).await.unwrap();
    assert_eq!(add(&*store, "n", 1).await.unwrap(), 1);
}

pub(crate) async fn counts_on_decimal_text(backend: &mut dyn Backend) {
    let store = backend.space("default");
    for (text, sum) in [
        ("41", 42),
        ("-1", 0),
        ("0", 1),
        ("12345678", 12_345_679),
        ("007", 8),
    ] {
        set(&*store, "n", text).await;
        assert_eq!(add(&*store, "n", 1).await.unwrap(), sum, "{text}");
        assert_eq!(add(&*store, "n", 1).await.unwrap(), sum + 1, "{text}");
    }
}

pub(crate) async fn refuses_what_is_no_counter(backend: &mut dyn Backend) {
    let store = backend.space("default");
    for value in ["", "x", "1.5", "-", "1 ", "seven letters and more"] {
        set(&*store, "n", value).await;
        let refused = add(&*store, "n", 1).await;
        assert!(
            matches!(&refused, Err(StoreError::NotACounter(key)) if key == "n"),
            "{value:?}: {refused:?}"
        );
        assert_eq!(
            get(&*store, "n").await.unwrap(),
            value,
            "it is left as it was"
        );
    }
    assert_eq!(add(&*store, "m", 1).await.unwrap(), 1, "the store goes on");
}

pub(crate) async fn refuses_to_overflow(backend: &mut dyn Backend) {
    let store = backend.space("default");
    assert_eq!(add(&*store, "up", i64::MAX).await.unwrap(), i64::MAX);
    assert!(is_no_counter(&add(&*store, "up", 1).await));
    assert_eq!(add(&*store, "up", 0).await.unwrap(), i64::MAX);
    assert_eq!(add(&*store, "down", i64::MIN).await.unwrap(), i64::MIN);
    assert!(is_no_counter(&add(&*store, "down", -1).await));
    assert_eq!(add(&*store, "down", 1).await.unwrap(), i64::MIN + 1);
}

pub(crate) async fn numbers_that_look_like_text_count_on(backend: &mut dyn Backend) {
    let store = backend.space("default");
    // As eight bytes, this number is all digits.
    let number = i64::from_le_bytes(*b"00000000");
    assert_eq!(add(&*store, "n", number - 1).await.unwrap(), number - 1);
    assert_eq!(add(&*store, "n", 1).await.unwrap(), number);
    assert_eq!(add(&*store, "n", 1).await.unwrap(), number + 1);
    assert_eq!(add(&*store, "n", -1).await.unwrap(), number);
}

pub(crate) async fn counts_every_increment_under_contention(backend: &mut dyn Backend) {
    const TASKS: i64 = 64;
    const EACH: i64 = 8;
    let store = backend.space("default");
    let tasks = (0..TASKS).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut sums = Vec::new();
            for _ in 0..EACH {
                let sum = add(&*store, "n", 1).await.unwrap();
                assert!(
                    sums.last().is_none_or(|last| *last < sum),
                    "sums of one caller ascend"
                );
                sums.push(sum);
            }
            sums
        })
    });
    let sums: Vec<i64> = join_all(tasks)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let distinct: BTreeSet<i64> = sums.iter().copied().collect();
    assert_eq!(
        distinct,
        (1..=TASKS * EACH).collect(),
        "each number is given once"
    );
    assert_eq!(sums.len(), distinct.len());
    backend.restart();
    assert_eq!(
        add(&*backend.space("default"), "n", 0).await.unwrap(),
        TASKS * EACH
    );
}

pub(crate) async fn swaps_only_what_is_expected(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let swap = |expected: Option<&'static str>, new: &'static str| {
        store.swap("a".to_owned(), expected.map(Bytes::from), Bytes::from(new))
    };
    assert!(!swap(Some("1"), "2").await.unwrap(), "nothing is there");
    assert_eq!(get(&*store, "a").await, None);
    assert!(swap(None, "1").await.unwrap());
    assert!(!swap(None, "2").await.unwrap(), "something is there");
    assert!(!swap(Some("x"), "2").await.unwrap());
    assert_eq!(get(&*store, "a").await.unwrap(), "1");
    assert!(swap(Some("1"), "2").await.unwrap());
    assert!(
        swap(Some("2"), "2").await.unwrap(),
        "swapping a value for itself succeeds"
    );
    assert_eq!(get(&*store, "a").await.unwrap(), "2");
}

pub(crate) async fn tells_empty_from_absent_in_a_swap(backend: &mut dyn Backend) {
    let store = backend.space("default");
    let swap = |expected: Option<Bytes>| store.swap("a".to_owned(), expected, Bytes::from("new"));
    assert!(!swap(Some(Bytes::new())).await.unwrap());
    set(&*store, "a", "").await;
    assert!(!swap(None).await.unwrap());
    assert!(swap(Some(Bytes::new())).await.unwrap());
    assert_eq!(get(&*store, "a").await.unwrap(), "new");
}

/// All of 16 callers swap the same value at once. Returns who won.
async fn contend(store: &Arc<dyn Store>, expected: Option<Bytes>, round: usize) -> Vec<Bytes> {
    let tasks = (0..16).map(|caller| {
        let (store, expected) = (Arc::clone(store), expected.clone());
        let new = Bytes::from(format!("round {round} caller {caller}"));
        tokio::spawn(async move {
            let swapped = store
                .swap("a".to_owned(), expected, new.clone())
                .await
                .unwrap();
            swapped.then_some(new)
        })
    });
    join_all(tasks)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect()
}

pub(crate) async fn one_swap_wins_each_round(backend: &mut dyn Backend) {
    let store = backend.space("default");
    set(&*store, "a", "start").await;
    for round in 0..20 {
        let expected = get(&*store, "a").await;
        let winners = contend(&store, expected, round).await;
        assert_eq!(winners, [get(&*store, "a").await.unwrap()], "round {round}");
    }
}

pub(crate) async fn one_swap_from_none_wins(backend: &mut dyn Backend) {
    let store = backend.space("default");
    for round in 0..10 {
        let winners = contend(&store, None, round).await;
        assert_eq!(winners, [get(&*store, "a").await.unwrap()], "round {round}");
        store.delete_many(vec!["a".to_owned()]).await.unwrap();
    }
}
