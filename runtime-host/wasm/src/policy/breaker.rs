//! Whether a tenant's policy may be called now: it may not after it failed again and
//! again, nor once it has used up its share of the processor.
//!
//! Time is an argument, so that this can be tested without waiting.

use std::time::{Duration, Instant};

/// Failures in a row after which calls are refused for a while.
const FAILURES: u32 = 5;

/// How long the first time, and at most. It doubles with every failed probe.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The processor time that a tenant can use at once, and what it gains a second. One
/// tenant can so keep half a core busy for long, and a whole one for a moment.
const SHARE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(500));

/// What is known of one tenant's policy.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    pause: Duration,
    closed_until: Option<Instant>,
    /// Processor time left, as of `counted`.
    left: Duration,
    counted: Instant,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            pause: PAUSE.0,
            closed_until: None,
            left: SHARE.0,
            counted: now,
        }
    }

    /// Why no call may be made now.
    pub(super) fn refuses(&mut self, now: Instant) -> Option<&'static str> {
        if self.closed_until.is_some_and(|until| now < until) {
            return Some("it failed too often");
        }
        self.gain(now);
        (self.left < super::BUDGET).then_some("it used up its share of the processor")
    }

    /// Notes a call that took so long.
    pub(super) fn note(&mut self, took: Duration, failed: bool, now: Instant) {
        self.gain(now);
        self.left = self.left.saturating_sub(took);
        if !failed {
            self.failures = 0;
            self.pause = PAUSE.0;
            self.closed_until = None;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.closed_until = Some(now + self.pause);
            self.pause = (self.pause * 2).min(PAUSE.1);
        }
    }

    /// Holds no failures against a component that took the place of the one that failed.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.pause = PAUSE.0;
        self.closed_until = None;
    }

    /// Whether it may be forgotten: nothing was called lately, nor failed so often that it
    /// would matter.
    pub(super) fn is_fresh(&mut self, now: Instant) -> bool {
        self.gain(now);
        let over = |until: Instant| until + PAUSE.1 <= now;
        self.left == SHARE.0 && self.closed_until.is_none_or(over)
    }

    /// Whether calls are refused because of failures.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| now < until)
    }

    fn gain(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted);
        self.counted = now;
        let gained = passed.mul_f64(SHARE.1.as_secs_f64());
        self.left = (self.left + gained).min(SHARE.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_close_it_and_a_success_opens_it() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..FAILURES {
            assert_eq!(breaker.refuses(now), None);
            breaker.note(Duration::ZERO, true, now);
        }
        assert!(breaker.refuses(now).is_some());
        now += PAUSE.0;
        assert_eq!(breaker.refuses(now), None, "one probe");
        breaker.note(Duration::ZERO, true, now);
        assert!(breaker.refuses(now + PAUSE.0).is_some(), "twice as long");
        now += PAUSE.0 * 2;
        assert_eq!(breaker.refuses(now), None);
        breaker.note(Duration::ZERO, false, now);
        breaker.note(Duration::ZERO, true, now);
        assert_eq!(breaker.refuses(now), None, "counting begins again");
    }

    #[test]
    fn a_share_is_used_up_and_comes_back() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        breaker.note(SHARE.0, false, now);
        assert!(breaker.refuses(now).is_some());
        now += Duration::from_secs(1);
        assert_eq!(breaker.refuses(now), None);
        breaker.note(SHARE.1, false, now);
        assert!(breaker.refuses(now).is_some());
        assert!(breaker.is_fresh(now + Duration::from_secs(60)));
    }

    #[test]
    fn failures_are_forgotten_in_the_end() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..FAILURES {
            breaker.note(Duration::ZERO, true, now);
        }
        now += PAUSE.0;
        assert!(!breaker.is_fresh(now), "one more would close it again");
        assert!(breaker.is_fresh(now + PAUSE.1));
    }
}
