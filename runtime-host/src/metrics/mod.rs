//! Figures for operators: counted where things happen, gathered when they are asked for.
//!
//! A shard counts in cells of its own thread ([`tally`]), which cost an addition that no
//! other core sees, and publishes them once a turn. Everything rarer is an atomic of its
//! own. [`text`] writes what Prometheus reads. Labels take their values from what the host
//! is made of (shards, components, kinds of failure), never from what clients send, so
//! that their number is bounded.
//!
//! Absent on purpose: figures by API key, room or user.

pub mod history;
pub mod process;
pub mod tally;
pub mod text;

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that any thread may add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were since the host began.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
