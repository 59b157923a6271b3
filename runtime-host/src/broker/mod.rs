//! Publications and presence between the shards of a host and between hosts.
//!
//! This module owns the contract ([`Broker`]) and the [`Channel`], the broker's key
//! of a room. One file per implementation stands beside it.

pub mod memory;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
    spread: Mutex<Spread>,
}

/// Where on this host a channel is heard.
#[derive(Debug)]
struct Spread {
    offset: u64,
    shards: Box<[OnShard]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct OnShard {
    /// Sessions that hear the channel.
    members: u32,
    /// Publications in the shard's mailbox that it has not yet taken in.
    waiting: u32,
}

impl Channel {
    fn new(id: u64, tenant: &str, room: &str, shards: usize) -> Self {
        Self {
            id,
            tenant: tenant.into(),
            room: room.into(),
            members: AtomicU32::new(0),
            spread: Mutex::new(Spread {
                offset: 0,
                shards: vec![OnShard::default(); shards].into(),
            }),
        }
    }

    fn spread(&self) -> std::sync::MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
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
}

impl Channels {
    /// No channels yet, on a host with this many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            shards,
            by_name: Mutex::default(),
            next: AtomicU64::new(0),
            sweep: AtomicU64::new(0),
        }
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
        let channel = Arc::new(Channel::new(id, tenant, room, self.shards));
        channels.insert(name, Arc::downgrade(&channel));
        if channels.len() as u64 >= self.sweep.load(Ordering::Relaxed).max(SWEEP_FROM) {
            channels.retain(|_, channel| channel.strong_count() > 0);
            self.sweep
                .store(channels.len() as u64 * 2, Ordering::Relaxed);
        }
        channel
    }
}

/// What a member said.
#[derive(Debug)]
pub struct Publication {
    /// The message: a JSON value as text.
    pub message: Box<str>,
    /// Who said it.
    pub from: Arc<str>,
    /// The connection that said it, where its protocol names connections.
    pub client: Option<Arc<str>>,
}

/// Where a publication is to be fanned out by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fanout {
    /// Only sessions of the caller's own shard hear it: it takes it in at once.
    Here,
    /// It comes to every shard by its mailbox, the caller's included.
    ByMail,
}

/// Takes publications to the shards that have members.
pub trait Mail: Send + Sync + 'static {
    /// Puts the publication into the mailbox of `shard`. `origin` names the publishing
    /// session where it lives on that shard, so that it is left out.
    fn deliver(
        &self,
        shard: usize,
        channel: &Arc<Channel>,
        publication: &Arc<Publication>,
        origin: Option<u64>,
    );
}

/// Publications, offsets and presence.
///
/// Order: the publications of one channel reach every shard in the order of their
/// offsets. Delivery: at most once to each session that hears the channel when the
/// publication is accepted. Expiry: presence lasts while a session of the user lives.
pub trait Broker: Send + Sync + 'static {
    /// Accepts a publication and assigns its offset. `said` makes the publication where
    /// it has to travel; `shard` and `origin` name the publishing session.
    ///
    /// The lock of the channel is held while its offset is assigned and the mail is
    /// posted, so that mail keeps the order of offsets.
    fn publish(
        &self,
        channel: &Arc<Channel>,
        said: &dyn Fn() -> Arc<Publication>,
        shard: usize,
        origin: u64,
    ) -> Fanout;

    /// A session of the user began. Says whether the user was offline.
    fn arrived(&self, tenant: &str, user: &str) -> bool;

    /// A session of the user ended. Says whether the user is offline now.
    fn departed(&self, tenant: &str, user: &str) -> bool;

    /// Whether the user has a session.
    fn online(&self, tenant: &str, user: &str) -> bool;
}
