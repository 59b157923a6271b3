//! The channels of a session.

use super::{Millis, NEVER};
use crate::centrifuge::Subscription;

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    channel: Box<str>,
    /// When it ends unless it is refreshed, the time to do so included.
    pub(super) ends: Millis,
    server_side: bool,
    delta: bool,
}

impl Entry {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Whether the server made it.
    #[must_use]
    pub const fn is_server_side(&self) -> bool {
        self.server_side
    }

    /// Whether deltas were agreed on.
    #[must_use]
    pub const fn has_delta(&self) -> bool {
        self.delta
    }

    /// Whether it ends unless the client refreshes it.
    #[must_use]
    pub const fn expires(&self) -> bool {
        self.ends != NEVER
    }
}

/// A subscribe that the node decides about.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: u32,
    pub(super) channel: Box<str>,
    /// The unsubscribe that came meanwhile.
    pub(super) left: Option<u32>,
}

/// The subscriptions of a session, sorted by channel, and those under way.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    entries: Vec<Entry>,
    pending: Vec<Pending>,
    /// No entry ends before.
    soonest: Millis,
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            pending: Vec::new(),
            soonest: NEVER,
        }
    }
}

impl Channels {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn get(&self, channel: &str) -> Option<&Entry> {
        self.entries.get(self.find(channel).ok()?)
    }

    /// How many the client asked for, those under way included.
    pub(super) fn of_client(&self) -> usize {
        let entries = self.entries.iter().filter(|it| !it.server_side);
        entries.count() + self.pending.len()
    }

    /// How many the server made.
    pub(super) fn of_server(&self) -> usize {
        self.entries.iter().filter(|it| it.server_side).count()
    }

    /// Adds a subscription; `false` if there is one already.
    pub(super) fn insert(
        &mut self,
        channel: &str,
        ends: Millis,
        result: &Subscription<'_>,
        server_side: bool,
    ) -> bool {
        let Err(at) = self.find(channel) else {
            return false;
        };
        let entry = Entry {
            channel: channel.into(),
            ends,
            server_side,
            delta: result.delta,
        };
        self.entries.insert(at, entry);
        self.soonest = self.soonest.min(ends);
        true
    }

    pub(super) fn remove(&mut self, channel: &str) -> Option<Entry> {
        let at = self.find(channel).ok()?;
        let entry = self.entries.remove(at);
        // Sessions are many and long: what a busy hour left behind goes back.
        if self.entries.len() * 4 <= self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(entry)
    }

    pub(super) fn extend(&mut self, channel: &str, ends: Millis) {
        if let Ok(at) = self.find(channel) {
            self.entries[at].ends = ends;
            self.soonest = self.soonest.min(ends);
        }
    }

    pub(super) const fn soonest(&self) -> Millis {
        self.soonest
    }

    /// Takes out a subscription that ended by `now`.
    pub(super) fn take_ended(&mut self, now: Millis) -> Option<Entry> {
        if self.soonest > now {
            return None;
        }
        let ended = self.entries.iter().position(|it| it.ends <= now);
        let entry = ended.map(|at| self.entries.remove(at));
        let ends = self.entries.iter().map(|it| it.ends);
        self.soonest = ends.min().unwrap_or(NEVER);
        entry
    }

    pub(super) fn begin(&mut self, id: u32, channel: &str) {
        self.pending.push(Pending {
            id,
            channel: channel.into(),
            left: None,
        });
    }

    pub(super) fn pending(&mut self, channel: &str) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|it| *it.channel == *channel)
    }

    pub(super) fn end(&mut self, id: u32) -> Option<Pending> {
        let at = self.pending.iter().position(|it| it.id == id)?;
        let pending = self.pending.swap_remove(at);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        Some(pending)
    }

    pub(super) fn heap_size(&self) -> usize {
        let names = self.entries.iter().map(|it| it.channel.len());
        let pending = self.pending.iter().map(|it| it.channel.len());
        self.entries.capacity() * size_of::<Entry>()
            + self.pending.capacity() * size_of::<Pending>()
            + names.chain(pending).sum::<usize>()
    }

    fn find(&self, channel: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|it| it.channel.as_ref().cmp(channel))
    }
}
