//! What keeps a client from asking for too much, in a few bytes a session.

use super::{Millis, Settings};

/// How many of the latest ids are remembered.
///
/// Clients count upwards, and with several threads a few places out of order. A repeated id is noticed as long as it is
/// among these; an older one harms nobody but the client that sends it.
const WINDOW: u32 = u64::BITS;

/// The ids of a session's commands.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    highest: u32,
    /// The bit `n` stands for `highest - n`.
    seen: u64,
}

impl Ids {
    /// Whether an id is new.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        if id > self.highest {
            let ahead = id - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = id;
            return true;
        }
        let behind = self.highest - id;
        if behind >= WINDOW {
            return true;
        }
        let bit = 1 << behind;
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

/// What a command costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing.
    Fine,
    /// Refuse it.
    Fast,
    /// So many were refused that refusing is no answer.
    Flood,
}

/// The pace of a session's commands: the time at which a client that keeps the average would send the next one.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    /// In microseconds.
    next: u64,
    /// Commands refused since one was not.
    refused: u32,
}

impl Rate {
    /// A command came.
    pub fn pace(&mut self, now: Millis, settings: &Settings) -> Pace {
        let Some(each) = 1_000_000_u64.checked_div(settings.commands_per_second.into()) else {
            return Pace::Fine;
        };
        let now = now.saturating_mul(1000);
        let next = self.next.max(now);
        let ahead = each.saturating_mul(settings.burst.max(1).into());
        if next - now < ahead {
            self.next = next.saturating_add(each);
            self.refused = 0;
            return Pace::Fine;
        }
        self.refused += 1;
        if self.refused > settings.burst {
            Pace::Flood
        } else {
            Pace::Fast
        }
    }
}
