//! Events to tenants' backends: who came and went, and what was said.
//!
//! A tenant that wants none costs a comparison of two numbers. For one that does, a
//! [`Tap`] puts each event into a log of the tenant's own, which is kept by the history of
//! rooms ([`sschat_history`]): its offsets are the cursor, its bounds are those of
//! [`KEPT`], and where it is durable, so are events. [`delivery`] posts what the log holds
//! to the tenant's webhook, [`stream`] gives it to those who read.
//!
//! **Order.** Events of a tenant have one order on this host, and those of a room are told
//! in the order in which they happened. **At least once.** An event in the log is posted
//! until the webhook takes it, also after a restart, or until it falls out of [`KEPT`].
//! **Told or told that it was lost.** What is missing shows as a gap in the offsets, and
//! whoever reads is given an event `lost` in its place.
//!
//! Absent on purpose: what a tenant wants ([`Wishes`] knows), who may read (HTTP), and
//! what other hosts see: every host tells of its own sessions.

mod delivery;
mod event;
mod figures;
mod learning;
mod packing;
mod signature;
pub mod stream;
mod tap;
mod waking;

pub use event::{Event, Kind};
pub use figures::Figures;
pub use stream::Since;
pub use tap::Tap;

use crate::fetch::Fetcher;
use crate::store::{Barrier, Change, ChangeListener};
use futures::future::BoxFuture;
use sschat_history::{History, RoomLog};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore, watch};

use sschat_history::Retention;

/// What is kept of a tenant's events: what a backend that was down over a long weekend
/// wants to read, and no more memory than some busy rooms take.
pub const KEPT: Retention = Retention {
    count: 100_000,
    bytes: 16 << 20,
    age: Duration::from_secs(72 * 60 * 60),
};

/// Names of logs. No room can be called so.
const EVENTS: &str = "/events";
const DELIVERED: &str = "/delivered";
const TENANTS: &str = "/tenants";
/// In whose name the host keeps what is no tenant's. No tenant can be called so.
const HOST: &str = "/host";

/// Below this many taps the dead are not worth looking for.
const SWEEP_FROM: usize = 1_024;

/// Deliveries under way at once. One that gets no answer keeps its place for some seconds,
/// and the others take turns.
const DELIVERIES: usize = 64;

/// What a tenant's backend wants to be told.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// [`Kind::bit`] of each kind.
    pub kinds: u8,
    /// Where it is posted to, if anywhere.
    pub url: Option<String>,
    /// What signs it.
    pub secrets: Vec<String>,
}

/// Whether what was learned still holds.
pub trait Standing: Send + Sync {
    /// Says so. Cheap; once it does not, it never does again.
    fn holds(&self) -> bool;
}

/// What a tenant wants, and as long as what.
pub struct Wish {
    /// Nothing where it wants none.
    pub settings: Option<Settings>,
    /// Ends before a change of the settings is acknowledged.
    pub standing: Arc<dyn Standing>,
}

/// Knows what tenants want.
pub trait Wishes: Send + Sync + 'static {
    /// What this one wants.
    ///
    /// # Errors
    /// Where that can't be found out now.
    fn of<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, Result<Wish, String>>;
}

/// The events of a host.
pub struct Events {
    wishes: Arc<dyn Wishes>,
    history: Arc<dyn History>,
    /// Whether the history holds nothing else.
    own: bool,
    fetcher: Fetcher,
    permits: Semaphore,
    runtime: tokio::runtime::Handle,
    /// Counts changes of the state.
    changes: AtomicU64,
    taps: Mutex<Taps>,
    /// Tenants with a webhook, so that a restart knows whom to tell what is left.
    listing: OnceCell<Arc<RoomLog>>,
    listed: Mutex<HashSet<Box<str>>>,
    ending: watch::Sender<bool>,
    /// For the metrics.
    pub figures: Figures,
}

#[derive(Default)]
struct Taps {
    by_tenant: HashMap<Box<str>, Weak<Tap>>,
    /// The number at which the dead are swept out next.
    sweep: usize,
}

/// What [`Events`] needs.
pub struct Parts {
    /// Knows what tenants want.
    pub wishes: Arc<dyn Wishes>,
    /// Keeps events.
    pub history: Arc<dyn History>,
    /// Whether the history holds nothing else.
    pub own: bool,
    /// Posts them.
    pub fetcher: Fetcher,
    /// Where what must wait runs.
    pub runtime: tokio::runtime::Handle,
}

impl Events {
    /// Tells nobody anything yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            wishes: parts.wishes,
            history: parts.history,
            own: parts.own,
            fetcher: parts.fetcher,
            permits: Semaphore::new(DELIVERIES),
            runtime: parts.runtime,
            changes: AtomicU64::new(0),
            taps: Mutex::default(),
            listing: OnceCell::new(),
            listed: Mutex::default(),
            ending: watch::Sender::new(false),
            figures: Figures::default(),
        })
    }

    fn taps(&self) -> MutexGuard<'_, Taps> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tap of a tenant, the same value for everybody while anybody has it.
    pub fn tap(self: &Arc<Self>, tenant: &str) -> Arc<Tap> {
        let mut taps = self.taps();
        if let Some(tap) = taps.by_tenant.get(tenant).and_then(Weak::upgrade) {
            return tap;
        }
        if taps.by_tenant.len() >= taps.sweep.max(SWEEP_FROM) {
            taps.by_tenant.retain(|_, tap| tap.strong_count() > 0);
            taps.sweep = taps.by_tenant.len() * 2;
        }
        let tap = Arc::new(Tap::new(Arc::clone(self), tenant));
        taps.by_tenant.insert(tenant.into(), Arc::downgrade(&tap));
        tap
    }

    /// Events that webhooks have not taken yet.
    pub fn pending(&self) -> usize {
        let taps: Vec<_> = {
            let taps = self.taps();
            taps.by_tenant.values().filter_map(Weak::upgrade).collect()
        };
        taps.iter().map(|tap| tap.pending()).sum()
    }

    /// Forgets the events of a tenant that wants none any more, and ends its streams.
    pub async fn clear(&self, tenant: &str) {
        for log in [EVENTS, DELIVERED] {
            if let Err(error) = self.history.remove(tenant, log).await {
                tracing::warn!(%error, "events that are not wanted stay until they expire");
            }
        }
        self.stir(tenant);
    }

    fn stir(&self, tenant: &str) {
        let tap = self.taps().by_tenant.get(tenant).and_then(Weak::upgrade);
        if let Some(tap) = tap {
            tap.stir();
        }
    }

    /// Forgets what a deleted tenant was to be told, and ends its streams.
    pub async fn forget(&self, tenant: &str) {
        if self.own
            && let Err(error) = self.history.remove_tenant(tenant).await
        {
            tracing::warn!(%error, "the events of a deleted key stay until they expire");
        }
        self.stir(tenant);
    }

    /// Ends all streams and deliveries: the host is about to.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Writes what waits, where the history is for events alone.
    pub async fn close(&self) {
        if self.own
            && let Err(error) = self.history.close().await
        {
            tracing::error!(%error, "the events did not end in order");
        }
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// Must be told after whoever ends [`Standing`]s.
impl ChangeListener for Events {
    fn changed(&self, _: &Change) -> Option<Barrier> {
        self.changes.fetch_add(1, Ordering::Release);
        None
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
