//! What time brings: pings, pongs that did not come, and ends.

use super::{Due, Millis, NEVER, Phase, Session, Settings};
use crate::centrifuge::{Disconnect, Push, Unsubscribed, push_ping};

impl Session {
    /// When [`Session::tick`] has something to do, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        let soonest = self
            .ends
            .min(self.next_ping)
            .min(self.pong_by)
            .min(self.channels.soonest());
        (soonest != NEVER).then_some(soonest)
    }

    /// Does one thing that is due, if any; to be called until nothing is. What is late is done once, not once for each
    /// time that was missed.
    pub fn tick(&mut self, now: Millis, settings: &Settings, out: &mut Vec<u8>) -> Due {
        if self.ends <= now {
            return Due::Close(match self.phase {
                Phase::Connected => Disconnect::EXPIRED,
                _ => Disconnect::STALE,
            });
        }
        if self.pong_by <= now {
            return Due::Close(Disconnect::NO_PONG);
        }
        if let Some(entry) = self.channels.take_ended(now) {
            if entry.is_server_side() {
                return Due::Close(Disconnect::SUBSCRIPTION_EXPIRED);
            }
            let push = Push::Unsubscribe(&Unsubscribed::EXPIRED);
            self.push(entry.channel(), &push, out);
            return Due::Unsubscribe(entry.channel().into());
        }
        if self.next_ping <= now {
            self.ping(now, settings, out);
        }
        Due::Nothing
    }

    /// The first ping comes after half an interval to a whole one, so that clients who came at once are not pinged at
    /// once.
    pub(super) fn first_ping(&mut self, now: Millis, settings: &Settings) {
        let every = u64::from(settings.ping_every) * 1000;
        if every > 0 {
            let spread = u64::from(self.jitter) % (every / 2);
            self.next_ping = now.saturating_add(every / 2 + spread);
        }
    }

    fn ping(&mut self, now: Millis, settings: &Settings, out: &mut Vec<u8>) {
        self.format().separate(out);
        push_ping(self.format(), out);
        self.pinged = true;
        if settings.pong_within > 0 && self.pong_by == NEVER {
            self.pong_by = now.saturating_add(settings.pong_within);
        }
        let every = u64::from(settings.ping_every) * 1000;
        self.next_ping = if every > 0 {
            now.saturating_add(every)
        } else {
            NEVER
        };
    }
}
