//! How long something takes, counted in buckets that any thread may add to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets: from what a look-up takes to what nobody waits for.
/// Longer ones are counted in one more bucket.
pub const BOUNDS: [Duration; 19] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Latency {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a histogram has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How many were in each bucket, the one without a bound last.
    pub counts: [u64; BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was counted so far. Counting goes on meanwhile.
    pub fn seen(&self) -> Seen {
        Seen {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}
