//! The end of a shard: its connections are closed one after the other, not all at once.

use super::Application;
use super::connection::Phase;
use super::shard::Shard;
use super::timer::{Tick, ticks};
use crate::hub::ConnectionKey;
use std::time::Duration;

impl<A: Application> Shard<A> {
    /// Begins it: all is over `within` this time.
    pub(super) fn drain(&mut self, within: Duration) {
        let over = ticks(within);
        self.drain = Some(over);
        self.connections.end = self.connections.now + over;
        let keys: Vec<_> = self.connections.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.drain_one(key as ConnectionKey, over);
        }
    }

    /// Gives a connection its moment within the drain: spread evenly by its number, so
    /// that those who come back do not come all at once.
    pub(super) fn drain_one(&mut self, key: ConnectionKey, over: Tick) {
        /// Leaves time to say goodbye within the drain.
        const LAST_PART: Tick = 2;
        let spread = (over / LAST_PART).max(1);
        let at = self.connections.now + key.wrapping_mul(0x9E37_79B1) % spread;
        let end = self.connections.end;
        if let Some(connection) = self.connections.get(key) {
            connection.deadline = match connection.phase {
                Phase::Open => at,
                _ => connection.deadline.min(end),
            };
            let deadline = connection.deadline;
            self.connections.set_timer(key, deadline);
        }
    }
}
