//! A wheel of connection timers: constant cost, a tick of a tenth of a second.

use crate::hub::ConnectionKey;
use std::time::{Duration, Instant};

/// Time since the shard started, in ticks of [`TICK`].
pub(super) type Tick = u32;

/// The resolution of every time-out of a connection.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Slots of the wheel; what lies further ahead goes round again.
const SLOTS: usize = 512;

/// How many ticks a duration takes, at least one.
pub(super) fn ticks(duration: Duration) -> Tick {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis());
    Tick::try_from(ticks).unwrap_or(Tick::MAX / 4).max(1)
}

/// A timer that fell due. It counts only if the connection still waits for that tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) connection: ConnectionKey,
    pub(super) at: Tick,
}

/// The wheel.
pub(super) struct Wheel {
    start: Instant,
    slots: Vec<Vec<Due>>,
    /// The next tick to look at.
    next: Tick,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            slots: vec![Vec::new(); SLOTS],
            next: 0,
        }
    }

    pub(super) fn now(&self) -> Tick {
        (self.start.elapsed().as_millis() / TICK.as_millis()) as Tick
    }

    /// Sets a timer; gives back when it will fire, which is not before the next tick.
    pub(super) fn set(&mut self, connection: ConnectionKey, at: Tick) -> Tick {
        let at = at.max(self.next);
        self.slots[at as usize % SLOTS].push(Due { connection, at });
        at
    }

    /// Moves what fell due by `now` to `due`.
    pub(super) fn advance(&mut self, now: Tick, due: &mut Vec<Due>) {
        // After a long stop one turn of the wheel has seen every slot.
        let behind = (now + 1).saturating_sub(self.next).min(SLOTS as Tick);
        for step in 0..behind {
            let slot = &mut self.slots[(now - step) as usize % SLOTS];
            slot.retain(|entry| {
                let fire = entry.at <= now;
                if fire {
                    due.push(*entry);
                }
                !fire
            });
        }
        self.next = self.next.max(now + 1);
    }

    /// How long until the next tick.
    pub(super) fn until_next(&self) -> Duration {
        let next = self.start + TICK * self.next;
        next.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_falls_due_once_and_not_before_its_tick() {
        let mut wheel = Wheel::new();
        let mut due = Vec::new();
        wheel.set(1, 3);
        wheel.set(2, 3 + SLOTS as Tick);
        for now in 0..3 {
            wheel.advance(now, &mut due);
            assert!(due.is_empty(), "nothing is due at {now}");
        }
        wheel.advance(3, &mut due);
        assert_eq!(
            due.iter().map(|due| due.connection).collect::<Vec<_>>(),
            [1]
        );
        due.clear();
        // A stop of many turns misses nothing and repeats nothing.
        wheel.advance(10 * SLOTS as Tick, &mut due);
        assert_eq!(
            due.iter().map(|due| due.connection).collect::<Vec<_>>(),
            [2]
        );
        due.clear();
        wheel.set(4, 1);
        wheel.advance(10 * SLOTS as Tick + 1, &mut due);
        assert_eq!(due.len(), 1, "a tick that is past falls due at the next");
    }
}
