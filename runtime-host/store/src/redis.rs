//! The shared store: the keys that Spin's own Redis backend writes, as they are.
//!
//! Owns the connections to one Redis (or Valkey, or whatever else speaks RESP3 and tracks
//! keys), the thread that serves them, the change feed and the cache that it keeps true.
//! Any number of hosts, components on Spin and `redis-cli` may write to the same Redis at
//! once: it is one flat space, so labels with the same URL are the same state. A counter
//! is decimal text.
//!
//! Two connections carry everything. *Commands* go over one, pipelined, writes in the order
//! of their queue. The other, the *feed*, receives the name of every key that somebody else
//! wrote: `CLIENT TRACKING ON REDIRECT … BCAST NOLOOP`, set up by the first for the second.
//! Redis sends those names in the order of the changes and leaves out what this host wrote
//! last; of that its own writes tell, in order and before they are acknowledged.
//!
//! That Redis tracks is best effort, and a connection may be dead without a sign. So the
//! feed has a lease of [`LEASE`]: each [`BEAT_INTERVAL`] a key that is this host's alone is
//! touched, and its name must come back by the feed. No name, and what is known is in doubt:
//! the cache is dropped, the listeners are told [`crate::Change::Lost`], and decisions can't
//! read until the feed is proven again, when they are told once more. `FLUSHALL` is told the
//! same way.
//!
//! Durability: an acknowledged write has reached the memory of the Redis that is primary
//! now. Whether it survives a crash is for `appendonly` and `appendfsync` to say, and a
//! replica that takes over may lack the last writes of the old primary: an acknowledged
//! removal can be undone that way. [`inspect`] says what it finds.
//!
//! Absent on purpose: expiry, prefixes, scripts that write (the tracking would report them
//! back) and Redis Cluster (one batch is one transaction, over any keys).

mod feed;
mod inspect;
mod lease;
mod link;
mod listing;
mod reads;
mod shared;
mod space;
mod swap;
pub(crate) mod transfer;
mod writer;

pub use inspect::{Inspection, inspect};

use crate::latency::Latency;
use crate::{ChangeListener, Store, locked};
use shared::Shared;
use space::RedisSpace;
use sschat_redis::Place;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long a proof of the feed counts, from the moment it was asked for.
pub const LEASE: Duration = Duration::from_secs(1);

/// How often the feed is proven: three beats may be late before the lease is over.
pub const BEAT_INTERVAL: Duration = Duration::from_millis(250);

/// What the keys begin with that prove feeds, one of each host. No listing shows them, and no
/// listener hears of them.
pub const BEAT_PREFIX: &str = "sschat-feed/";

/// Why Redis can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is malformed, or of a kind that is not supported.
    #[error("the URL of Redis can't be used: {0}")]
    Url(String),
    /// It is out of reach, refuses the credentials, or is not what is needed.
    #[error("Redis at {address}: {reason}")]
    Redis {
        /// Host and port, never the credentials.
        address: String,
        /// What went wrong.
        reason: String,
    },
}

/// Which Redis, and what of it is followed.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// As [`Place::read`] has it.
    pub url: String,
    /// What the keys begin with that decisions read. None begins with another. Redis tells
    /// of no others, and [`Store::get_many_blocking`] refuses them. Empty: all keys, which
    /// costs where much else is written to the same Redis.
    pub prefixes: Vec<String>,
}

/// An open Redis. Closed with [`RedisStore::close`] or when it is dropped.
pub struct RedisStore {
    shared: Arc<Shared>,
    /// `None` once closed.
    runtime: Mutex<Option<Runtime>>,
}

impl RedisStore {
    /// Connects, proves the feed and says what went wrong where that does not succeed at
    /// once. Blocks meanwhile, at most some seconds.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let place = Place::read(&settings.url).map_err(OpenError::Url)?;
        let address = place.to_string();
        let failed = |reason: String| OpenError::Redis {
            address: address.clone(),
            reason,
        };
        // One thread of its own: what the feed says is heard however busy everybody else is.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("redis-store")
            .enable_all()
            .build()
            .map_err(|error| failed(format!("no thread for it: {error}")))?;
        let (shared, queue) = Shared::new(
            address.clone(),
            settings.prefixes.clone(),
            runtime.handle().clone(),
        )
        .map_err(&failed)?;
        let shared = Arc::new(shared);
        runtime.spawn(writer::run(Arc::clone(&shared), queue));
        let (first, opened) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(feed::supervise(Arc::clone(&shared), place, first));
        let opened = opened.recv().unwrap_or_else(|_| Err("closed".to_owned()));
        let store = Self {
            shared,
            runtime: Mutex::new(Some(runtime)),
        };
        opened.map(|()| store).map_err(failed)
    }

    /// The state.
    pub fn space(&self) -> Arc<dyn Store> {
        Arc::new(RedisSpace(Arc::clone(&self.shared)))
    }

    /// Tells `listener` of every change from now on: before the acknowledgement of those
    /// made here, and of others as soon as the feed does.
    pub fn listen(&self, listener: Arc<dyn ChangeListener>) {
        self.shared.listeners.add(listener);
    }

    /// How long writes took, from the queue to Redis' answer.
    pub fn commit_latency(&self) -> Arc<Latency> {
        Arc::clone(&self.shared.latency)
    }

    /// Ends the connections. Calls of the store fail from then on, those under way too, and
    /// its listeners are let go.
    pub fn close(&self) {
        let Some(runtime) = locked(&self.runtime).take() else {
            return;
        };
        self.shared.close();
        runtime.shutdown_background();
        self.shared.listeners.forget();
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.close();
    }
}
