//! How far behind the others this host is: how long what is said to all hosts takes to come back to it.

use super::hosts::PROOF;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the connections were proven last, and how long that took. Microseconds since it was made.
pub(super) struct Pulse {
    started: Instant,
    proven: AtomicU64,
    took: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            proven: AtomicU64::new(0),
            took: AtomicU64::new(0),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Pulse {
    /// The connections were proven; that was asked for at `asked`.
    pub(super) fn proven(&self, asked: Instant) {
        self.took.store(micros(asked.elapsed()), Ordering::Relaxed);
        let now = micros(self.started.elapsed());
        self.proven.store(now, Ordering::Relaxed);
    }

    /// How long it took, or since when it has been awaited in vain.
    pub(super) fn lag(&self) -> Duration {
        let proven = Duration::from_micros(self.proven.load(Ordering::Relaxed));
        let took = Duration::from_micros(self.took.load(Ordering::Relaxed));
        // The next proof begins after this.
        let due = proven + PROOF;
        took.max(self.started.elapsed().saturating_sub(due))
    }
}
