//! The REST conversation of the specification and every row of its table.

mod access;
pub(crate) mod conversation;
mod rates;
mod volume;

use serde_json::Value;
use std::collections::BTreeSet;

/// Whether `id` is `prefix` and 32 lower-case hex digits of a version 4 UUID.
fn is_id(id: &Value, prefix: &str) -> bool {
    id.as_str()
        .and_then(|id| id.strip_prefix(prefix))
        .is_some_and(|hex| {
            hex.len() == 32
                && hex
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                && hex.as_bytes()[12] == b'4'
        })
}

fn members(answer: &Value) -> BTreeSet<String> {
    let list = answer["data"]["members"].as_array().unwrap();
    list.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

fn rooms(answer: &Value) -> BTreeSet<String> {
    let list = answer["data"]["rooms"].as_array().unwrap();
    list.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

fn set<const N: usize>(ids: [&String; N]) -> BTreeSet<String> {
    ids.into_iter().cloned().collect()
}
