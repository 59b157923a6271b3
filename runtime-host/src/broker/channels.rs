//! The broker's key of a room, and all of them.

use super::Standing;
use super::keeping::Log;
use crate::events::{Events, Tap};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A room as the broker knows it: tenant and room id, so that no two tenants share one.
#[derive(Debug)]
pub struct Channel {
    /// Unlike that of every other channel of this host's life.
    pub id: u64,
    /// The tenant's public id.
    pub tenant: Box<str>,
    /// The room's id.
    pub room: Box<str>,
    /// Sessions on this host that hear it.
    pub members: AtomicU32,
    /// Where what happens in it is told to the tenant's backend.
    pub tap: Option<Arc<Tap>>,
    spread: Mutex<Spread>,
    present: Mutex<u32>,
}

/// Where on this host a channel is heard, and where its publications are kept.
#[derive(Debug)]
pub(super) struct Spread {
    pub(super) shards: Box<[OnShard]>,
    pub(super) log: Log,
    /// For how long the log keeps what it was told to keep, where that may change.
    pub(super) standing: Option<Box<dyn Standing>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OnShard {
    /// Sessions that hear the channel.
    pub(super) members: u32,
    /// Publications in the shard's mailbox that it has not yet taken in.
    pub(super) waiting: u32,
}

impl Channel {
    pub(super) fn new(
        id: u64,
        (tenant, room): (&str, &str),
        shards: usize,
        tap: Option<Arc<Tap>>,
    ) -> Self {
        Self {
            id,
            tenant: tenant.into(),
            room: room.into(),
            members: AtomicU32::new(0),
            tap,
            present: Mutex::default(),
            spread: Mutex::new(Spread {
                shards: vec![OnShard::default(); shards].into(),
                log: Log::Unopened,
                standing: None,
            }),
        }
    }

    pub(super) fn spread(&self) -> MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions are in the room, for those who count them: they tell of a first and
    /// of a last one while nobody else counts.
    pub(crate) fn present(&self) -> MutexGuard<'_, u32> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of `shard` hears the channel from now on.
    pub fn entered(&self, shard: usize) {
        self.members.fetch_add(1, Ordering::Relaxed);
        self.spread().shards[shard].members += 1;
    }

    /// A session of `shard` hears it no more.
    pub fn left(&self, shard: usize) {
        self.members.fetch_sub(1, Ordering::Relaxed);
        let members = &mut self.spread().shards[shard].members;
        *members = members.saturating_sub(1);
    }

    /// Waits until whoever is giving a publication an offset has mailed it, too.
    pub fn settle(&self) {
        drop(self.spread());
    }

    /// The shard has taken in a publication that came by its mailbox.
    pub fn taken_in(&self, shard: usize) {
        let waiting = &mut self.spread().shards[shard].waiting;
        *waiting = waiting.saturating_sub(1);
    }
}

/// All channels that somebody hears or speaks in.
pub struct Channels {
    shards: usize,
    by_name: Mutex<HashMap<Box<str>, Weak<Channel>>>,
    next: AtomicU64,
    /// The size at which the dead are swept out next.
    sweep: AtomicU64,
    events: Option<Arc<Events>>,
}

impl Channels {
    /// No channels yet, on a host with this many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            shards,
            by_name: Mutex::default(),
            next: AtomicU64::new(0),
            sweep: AtomicU64::new(0),
            events: None,
        }
    }

    /// Has tenants' backends told what happens in their channels.
    #[must_use]
    pub fn with_events(self, events: Arc<Events>) -> Self {
        Self {
            events: Some(events),
            ..self
        }
    }

    /// Where a tenant's backend is told what happens.
    pub fn tap(&self, tenant: &str) -> Option<Arc<Tap>> {
        self.events.as_ref().map(|events| events.tap(tenant))
    }

    /// The channels of a tenant that anybody has. Looks through all there are.
    pub fn of(&self, tenant: &str) -> Vec<Arc<Channel>> {
        let channels = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let live = channels.values().filter_map(Weak::upgrade);
        live.filter(|channel| *channel.tenant == *tenant).collect()
    }

    /// The channel of a room that anybody has.
    pub fn known(&self, tenant: &str, room: &str) -> Option<Arc<Channel>> {
        let name = format!("{tenant}/{room}");
        let channels = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        channels.get(&*name).and_then(Weak::upgrade)
    }

    /// The channel of a room, the same value for everybody while anybody has it.
    pub fn get(&self, tenant: &str, room: &str) -> Arc<Channel> {
        /// Below this many the dead are not worth looking for.
        const SWEEP_FROM: u64 = 1_024;
        let name = format!("{tenant}/{room}").into_boxed_str();
        let mut channels = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&name).and_then(Weak::upgrade) {
            return channel;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let tap = self.tap(tenant);
        let channel = Arc::new(Channel::new(id, (tenant, room), self.shards, tap));
        channels.insert(name, Arc::downgrade(&channel));
        if channels.len() as u64 >= self.sweep.load(Ordering::Relaxed).max(SWEEP_FROM) {
            channels.retain(|_, channel| channel.strong_count() > 0);
            self.sweep
                .store(channels.len() as u64 * 2, Ordering::Relaxed);
        }
        channel
    }
}
