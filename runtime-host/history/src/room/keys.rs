//! The idempotency keys that a channel remembers: bounded in number and in age.

use super::KEY_MILLISECONDS;
use crate::KEYS_LIMIT;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Keys {
    offsets: HashMap<Arc<str>, u64>,
    /// Key, offset and time, the oldest first.
    order: VecDeque<(Arc<str>, u64, u64)>,
    /// Offsets of forgotten keys that the writer has not yet heard of.
    pub(super) dropped: Vec<u64>,
}

impl Keys {
    /// Keys with their offset and time, by offset.
    pub(super) fn new(known: Vec<(Arc<str>, u64, u64)>) -> Self {
        let offsets = known
            .iter()
            .map(|(key, offset, _)| (Arc::clone(key), *offset));
        Self {
            offsets: offsets.collect(),
            order: known.into(),
            dropped: Vec::new(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<u64> {
        self.offsets.get(key).copied()
    }

    pub(super) fn add(&mut self, key: Arc<str>, offset: u64, now: u64) {
        if self.order.len() >= KEYS_LIMIT {
            self.drop_oldest();
        }
        self.offsets.insert(Arc::clone(&key), offset);
        self.order.push_back((key, offset, now));
    }

    pub(super) fn expire(&mut self, now: u64) {
        while let Some((_, _, time)) = self.order.front() {
            if time.saturating_add(KEY_MILLISECONDS) > now {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((key, offset, _)) = self.order.pop_front() {
            self.offsets.remove(&key);
            self.dropped.push(offset);
        }
    }

    /// Those dropped that were written up to `top`.
    pub(super) fn take_dropped(&mut self, top: u64) -> Vec<u64> {
        let until = self.dropped.partition_point(|offset| *offset <= top);
        let later = self.dropped.split_off(until);
        std::mem::replace(&mut self.dropped, later)
    }
}
