//! What is counted of events.

use std::sync::atomic::AtomicU64;

/// Totals of this host, over all tenants.
#[derive(Debug, Default)]
pub struct Figures {
    /// Events that were put into a log.
    pub kept: AtomicU64,
    /// Events that a webhook took.
    pub delivered: AtomicU64,
    /// Posts that a webhook did not take; they are tried again.
    pub failed: AtomicU64,
    /// Events that could not be kept, or were gone before their webhook took them.
    pub dropped: AtomicU64,
}
