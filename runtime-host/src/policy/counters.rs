//! How questions were answered, for the metrics.

use super::Undecided;
use crate::metrics::Counter;
use crate::store::latency::Latency;
use crate::wasm::calls::CallError;
use std::sync::atomic::AtomicU64;

/// How many questions were answered how.
#[derive(Debug, Default)]
pub struct Counters {
    /// From the memo.
    pub recalled: AtomicU64,
    /// By the component.
    pub computed: AtomicU64,
    /// Not at all.
    pub failed: AtomicU64,
    /// How long computing took, whatever came of it.
    pub latency: Latency,
    failures: [Counter; REASONS.len()],
}

/// Why there was no verdict, in the order of [`reason`].
const REASONS: [&str; 10] = [
    "trap",
    "timeout",
    "limit",
    "store",
    "overloaded",
    "suspended",
    "load",
    "policy",
    "unsteady",
    "keys",
];

fn reason(undecided: &Undecided) -> usize {
    match undecided {
        Undecided::Call(CallError::Failed(_)) => 0,
        Undecided::Call(CallError::TimedOut) => 1,
        Undecided::Call(CallError::Limit(_)) => 2,
        Undecided::Call(CallError::Store(_)) => 3,
        Undecided::Call(CallError::Overloaded) => 4,
        Undecided::Call(CallError::Suspended(_)) => 5,
        Undecided::Load(_) => 6,
        Undecided::Policy(_) => 7,
        Undecided::Unsteady => 8,
        Undecided::Keys(_) => 9,
    }
}

impl Counters {
    /// Counts that there was no verdict.
    pub(super) fn fail(&self, undecided: &Undecided) {
        self.failures[reason(undecided)].count();
    }

    /// How often there was no verdict, by reason.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let totals = self.failures.iter().map(Counter::total);
        REASONS.into_iter().zip(totals)
    }
}
