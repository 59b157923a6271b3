//! What the writer and the readers both use, and who listens to which key space.

use super::connection::OpenError;
use super::readers::Readers;
use crate::cache::ReadCache;
use crate::latency::Latency;
use crate::listeners::Listeners;
use crate::{Change, locked};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// The state of one open database file.
pub(super) struct Shared {
    pub(super) cache: ReadCache,
    pub(super) readers: Readers,
    /// Transactions flushed to disk.
    pub(super) commits: AtomicU64,
    /// How long transactions took to commit.
    pub(super) latency: Arc<Latency>,
    /// By label. The manifest names them all, so they are few.
    spaces: Mutex<HashMap<String, Arc<Space>>>,
}

/// One key space.
pub(super) struct Space {
    /// Stands for the label in the cache.
    pub(super) number: u32,
    pub(super) label: String,
    pub(super) listeners: Listeners,
}

impl Shared {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |reason| OpenError::Database {
            path: path.to_owned(),
            reason,
        };
        Ok(Self {
            cache: ReadCache::new().map_err(unusable)?,
            readers: Readers::open(path)?,
            commits: AtomicU64::new(0),
            latency: Arc::default(),
            spaces: Mutex::default(),
        })
    }

    /// The key space named `label`, made where it is new.
    pub(super) fn space(&self, label: &str) -> Arc<Space> {
        let mut spaces = locked(&self.spaces);
        if let Some(space) = spaces.get(label) {
            return Arc::clone(space);
        }
        let number = u32::try_from(spaces.len()).unwrap_or(u32::MAX);
        let space = Arc::new(Space {
            number,
            label: label.to_owned(),
            listeners: Listeners::default(),
        });
        spaces.insert(label.to_owned(), Arc::clone(&space));
        space
    }

    /// Another program wrote to the database: nothing known before can be trusted.
    pub(super) fn lose_everything(&self, path: &Path) {
        tracing::error!(
            "another program changed {} while it was in use here",
            path.display()
        );
        self.cache.clear();
        let spaces: Vec<_> = locked(&self.spaces).values().cloned().collect();
        for space in spaces {
            space.listeners.tell(&Change::Lost);
        }
    }

    /// Ends reading: the file may be another program's from now on.
    pub(super) fn close(&self) {
        self.readers.close();
        self.cache.clear();
    }

    /// Lets go of those who hold the store and are held by it.
    pub(super) fn forget_listeners(&self) {
        locked(&self.spaces)
            .values()
            .for_each(|space| space.listeners.forget());
    }
}
