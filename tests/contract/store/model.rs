//! Random conversations with a store, held against a map.

use super::{Backend, Recorder};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest::{collection::vec, option, sample::select};
use sschat_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::ops::Bound;

const CONVERSATIONS: u32 = 48;
const LENGTH: usize = 40;

type Map = BTreeMap<String, Bytes>;

#[derive(Debug, Clone)]
enum Step {
    Get(String),
    GetMany(Vec<String>),
    SetMany(Vec<(String, Bytes)>),
    DeleteMany(Vec<String>),
    Increment(String, i64),
    /// Swaps whatever is there.
    SwapCurrent(String, Bytes),
    Swap(String, Option<Bytes>, Bytes),
    Keys(Option<String>, usize),
    Restart,
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["", "a", "a\0", "b", "ba", "n", "ü"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..10).prop_map(Bytes::from),
        any::<i16>().prop_map(|number| Bytes::from(number.to_string())),
        any::<i64>().prop_map(|number| Bytes::copy_from_slice(&number.to_le_bytes())),
        Just(Bytes::new()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let delta = prop_oneof![-9_i64..9, any::<i64>()];
    prop_oneof![
        6 => key().prop_map(Step::Get),
        4 => vec(key(), 0..6).prop_map(Step::GetMany),
        6 => vec((key(), value()), 0..5).prop_map(Step::SetMany),
        3 => vec(key(), 0..4).prop_map(Step::DeleteMany),
        5 => (key(), delta).prop_map(|(key, delta)| Step::Increment(key, delta)),
        3 => (key(), value()).prop_map(|(key, new)| Step::SwapCurrent(key, new)),
        3 => (key(), option::of(value()), value()).prop_map(|(key, old, new)| Step::Swap(key, old, new)),
        3 => (option::of(key()), 0_usize..9).prop_map(|(after, limit)| Step::Keys(after, limit)),
        1 => Just(Step::Restart),
    ]
}

/// The number that a value stands for: decimal text, or eight little-endian bytes.
fn counter(value: &Bytes) -> Option<i64> {
    let text = std::str::from_utf8(value).ok().filter(|text| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    match text {
        Some(text) => text.parse().ok(),
        None => value[..].try_into().ok().map(i64::from_le_bytes),
    }
}

/// Takes one step with the store and with the map and compares the answers.
async fn take(step: Step, store: &dyn Store, map: &mut Map) {
    match step {
        Step::Get(key) => assert_eq!(store.get(&key).await.unwrap().as_ref(), map.get(&key)),
        Step::GetMany(keys) => {
            let expected: Vec<_> = keys.iter().map(|key| map.get(key).cloned()).collect();
            assert_eq!(store.get_many(&keys).await.unwrap(), expected);
        }
        Step::SetMany(entries) => {
            store.set_many(entries.clone()).await.unwrap();
            map.extend(entries);
        }
        Step::DeleteMany(keys) => {
            store.delete_many(keys.clone()).await.unwrap();
            map.retain(|key, _| !keys.contains(key));
        }
        Step::Increment(key, delta) => {
            let current = map.get(&key).map_or(Some(0), counter);
            let result = store.increment(key.clone(), delta).await;
            match current.and_then(|current| current.checked_add(delta)) {
                Some(sum) => {
                    assert_eq!(result.unwrap(), sum);
                    let stored = store.get(&key).await.unwrap().unwrap();
                    assert_eq!(counter(&stored), Some(sum));
                    map.insert(key, stored);
                }
                None => assert!(matches!(result, Err(StoreError::NotACounter(_)))),
            }
        }
        Step::SwapCurrent(key, new) => {
            assert!(
                store
                    .swap(key.clone(), map.get(&key).cloned(), new.clone())
                    .await
                    .unwrap()
            );
            map.insert(key, new);
        }
        Step::Swap(key, expected, new) => {
            let due = map.get(&key) == expected.as_ref();
            assert_eq!(
                store
                    .swap(key.clone(), expected, new.clone())
                    .await
                    .unwrap(),
                due
            );
            if due {
                map.insert(key, new);
            }
        }
        Step::Keys(after, limit) => {
            let from = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
            let expected: Vec<_> = map
                .range((from, Bound::Unbounded))
                .map(|(key, _)| key.clone())
                .take(limit)
                .collect();
            assert_eq!(store.keys(after.as_deref(), limit).await.unwrap(), expected);
        }
        Step::Restart => unreachable!("the conversation does it"),
    }
}

/// The keys that differ between two maps.
fn difference(before: &Map, after: &Map) -> Vec<String> {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .cloned()
        .collect()
}

async fn converse(backend: &mut dyn Backend, label: &str, steps: Vec<Step>) {
    let mut map = Map::new();
    let (mut store, mut recorder) = (backend.space(label), Recorder::of(backend, label));
    for step in steps {
        if matches!(step, Step::Restart) {
            drop(store);
            backend.restart();
            (store, recorder) = (backend.space(label), Recorder::of(backend, label));
            continue;
        }
        let before = map.clone();
        take(step, &*store, &mut map).await;
        let told = recorder.take();
        assert!(told.len() <= 1, "one write is one change");
        let told: Vec<String> = told.into_iter().flatten().collect();
        for key in difference(&before, &map) {
            assert!(told.contains(&key), "{key:?} changed and nobody was told");
        }
    }
    let keys: Vec<String> = map.keys().cloned().collect();
    assert_eq!(store.keys(None, 100).await.unwrap(), keys);
    assert_eq!(
        store.get_many(&keys).await.unwrap(),
        map.into_values().map(Some).collect::<Vec<_>>()
    );
}

pub(crate) async fn behaves_as_a_map(backend: &mut dyn Backend) {
    let backend = std::cell::RefCell::new(backend);
    let runtime = tokio::runtime::Handle::current();
    let config = Config {
        cases: CONVERSATIONS,
        failure_persistence: None,
        ..Config::default()
    };
    let conversations = std::cell::Cell::new(0);
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&vec(step(), 1..LENGTH), |steps| {
            // A label of its own for each, so that none sees what another left.
            conversations.set(conversations.get() + 1);
            let label = format!("conversation {}", conversations.get());
            runtime.block_on(converse(&mut **backend.borrow_mut(), &label, steps));
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
