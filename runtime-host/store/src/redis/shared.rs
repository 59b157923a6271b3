//! What readers, the writer and the feed share.

use super::lease::Lease;
use super::link::Link;
use super::writer::Operation;
use crate::cache::ReadCache;
use crate::latency::Latency;
use crate::listeners::Listeners;
use crate::{BATCH_BYTES_LIMIT, Change, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, mpsc, watch};

/// Memory for writes that wait for Redis. Who comes when it is full waits for room. Holds
/// two batches of the largest size.
const QUEUE_BYTES: usize = 2 * BATCH_BYTES_LIMIT + (1 << 20);

/// How long calls wait for a connection that was lost before they fail: most interruptions are over sooner. It counts from
/// the loss, so that whoever comes later is told at once, and nobody waits behind others who wait in vain.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of the one key space in the cache.
pub(super) const SPACE: u32 = 0;

/// Whether there is a connection, and whether its feed is proven.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) link: Option<Arc<Link>>,
    /// Never without a link.
    pub(super) proven: bool,
    /// Since when there is no link.
    lost: Option<Instant>,
    /// Since when none is proven.
    doubted: Option<Instant>,
    closed: bool,
}

pub(super) struct Shared {
    pub(super) address: String,
    pub(super) prefixes: Vec<String>,
    pub(super) runtime: Handle,
    pub(super) cache: ReadCache,
    pub(super) listeners: Listeners,
    pub(super) lease: Lease,
    /// From a write's entry into the queue to Redis' answer.
    pub(super) latency: Arc<Latency>,
    /// Bounded in bytes by `room`.
    pub(super) queue: mpsc::UnboundedSender<Operation>,
    pub(super) room: Arc<Semaphore>,
    /// Whose turn it is to compare and swap: `WATCH` is the connection's.
    pub(super) turn: Arc<Mutex<()>>,
    state: watch::Sender<State>,
}

impl Shared {
    pub(super) fn new(
        address: String,
        prefixes: Vec<String>,
        runtime: Handle,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Operation>), String> {
        let (queue, queued) = mpsc::unbounded_channel();
        let shared = Self {
            address,
            prefixes,
            runtime,
            cache: ReadCache::new()?,
            listeners: Listeners::default(),
            lease: Lease::new(),
            latency: Arc::default(),
            queue,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            turn: Arc::default(),
            state: watch::Sender::default(),
        };
        Ok((shared, queued))
    }

    /// The connection, waited for a moment where it is being made.
    pub(super) async fn link(&self) -> Result<Arc<Link>, StoreError> {
        self.wait_for(|state| (state.link.is_some(), state.lost))
            .await
    }

    /// The same, once its feed is proven.
    pub(super) async fn proven_link(&self) -> Result<Arc<Link>, StoreError> {
        self.wait_for(|state| (state.proven, state.doubted)).await
    }

    /// `wanted`: whether it is, or since when it is not.
    async fn wait_for(
        &self,
        wanted: impl Fn(&State) -> (bool, Option<Instant>),
    ) -> Result<Arc<Link>, StoreError> {
        let patience = {
            let state = self.state.borrow();
            let (is, since) = wanted(&state);
            if let Some(link) = &state.link
                && is
            {
                return Ok(Arc::clone(link));
            }
            since.map_or(PATIENCE, |since| PATIENCE.saturating_sub(since.elapsed()))
        };
        let mut state = self.state.subscribe();
        let found = state.wait_for(|state| state.closed || wanted(state).0);
        match tokio::time::timeout(patience, found).await {
            Ok(Ok(state)) => state.link.clone().ok_or_else(|| self.closed()),
            _ => Err(self.unavailable("it can't be reached")),
        }
    }

    /// A new link whose feed is proven, or the feed of this one is again.
    pub(super) fn regain(&self, link: &Arc<Link>, beat: u64, sent: std::time::Instant) {
        if self.is_closed() {
            return;
        }
        self.lose();
        self.lease.renew(beat, sent, super::LEASE);
        self.state.send_if_modified(|state| {
            if !state.closed {
                state.link = Some(Arc::clone(link));
                state.proven = true;
                (state.lost, state.doubted) = (None, None);
            }
            true
        });
    }

    /// The feed is in doubt; commands may still find their way.
    pub(super) fn doubt(&self) {
        self.lease.revoke();
        self.state.send_modify(|state| {
            state.proven = false;
            state.doubted.get_or_insert_with(Instant::now);
        });
        self.lose();
    }

    /// The link is gone.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| {
            state.link = None;
            state.lost.get_or_insert_with(Instant::now);
        });
        self.doubt();
    }

    /// Nothing known before can be trusted. Not told once the store is closed: closing breaks the link off, and who
    /// listens asked for that.
    pub(super) fn lose(&self) {
        self.cache.clear();
        if self.is_closed() {
            return;
        }
        self.listeners.tell(&Change::Lost);
    }

    /// Has the link made anew: it leads to where the state can't be written.
    pub(super) fn break_off(&self) {
        if let Some(link) = &self.state.borrow().link {
            link.break_off();
        }
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.lease.revoke();
        self.cache.clear();
        let link = self.state.send_replace(State {
            closed: true,
            ..State::default()
        });
        if let Some(link) = link.link {
            link.break_off();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    pub(super) fn closed(&self) -> StoreError {
        self.unavailable("it is closed")
    }

    pub(super) fn unavailable(&self, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable(format!("Redis at {}: {reason}", self.address))
    }
}
