//! Until when the feed is proven, and which beats have proven it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Read on every look-up, so it is all atomics.
pub(super) struct Lease {
    began: Instant,
    /// Nanoseconds from `began`; zero: not proven.
    until: AtomicU64,
    /// Beats that were asked for.
    sent: AtomicU64,
    /// The last one that came back.
    proven: AtomicU64,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            until: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            proven: AtomicU64::new(0),
        }
    }

    /// Whether the feed is proven at this moment.
    pub(super) fn holds(&self) -> bool {
        Instant::now() < self.until()
    }

    /// Until when it is proven: a moment that has passed where it is not.
    pub(super) fn until(&self) -> Instant {
        self.began + Duration::from_nanos(self.until.load(Ordering::Acquire))
    }

    /// The number of a new beat, to be called before it is sent. What was answered before
    /// now was read before it.
    pub(super) fn beat(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The last beat that was asked for.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// The last beat that came back: every change before it has been heard.
    pub(super) fn proven(&self) -> u64 {
        self.proven.load(Ordering::SeqCst)
    }

    /// The beat came back, so the feed is proven for `lease` from when it was sent.
    pub(super) fn renew(&self, beat: u64, sent: Instant, lease: Duration) {
        self.proven.store(beat, Ordering::SeqCst);
        let until = (sent + lease).saturating_duration_since(self.began);
        // 584 years fit.
        self.until.store(until.as_nanos() as u64, Ordering::Release);
    }

    /// The feed is in doubt. The beats so far prove nothing any more.
    pub(super) fn revoke(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::Lease;
    use std::time::{Duration, Instant};

    #[test]
    fn it_holds_from_the_beat_and_not_from_its_return() {
        let lease = Lease::new();
        assert!(!lease.holds());
        let now = Instant::now();
        let beat = lease.beat();
        lease.renew(beat, now - Duration::from_secs(2), Duration::from_secs(1));
        assert!(!lease.holds(), "it came back too late");
        assert!(lease.until() < now);
        lease.renew(beat, now, Duration::from_secs(3_600));
        assert!(lease.holds());
        assert_eq!(lease.until(), now + Duration::from_secs(3_600));
        lease.revoke();
        assert!(!lease.holds());
        assert_eq!((lease.sent(), lease.proven()), (1, 1));
    }
}
