//! Those who are told of the changes of one key space.

use crate::{Barrier, Change, ChangeListener};
use std::sync::{Arc, PoisonError, RwLock};

/// Exchanged as a whole, so that a listener can be told without holding the lock.
pub(super) struct Listeners(RwLock<Arc<[Arc<dyn ChangeListener>]>>);

impl Default for Listeners {
    fn default() -> Self {
        Self(RwLock::new(Arc::from([])))
    }
}

impl Listeners {
    /// Adds one, who is told from now on.
    pub(super) fn add(&self, listener: Arc<dyn ChangeListener>) {
        let mut listeners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *listeners = listeners.iter().cloned().chain([listener]).collect();
    }

    /// Tells every listener of `change`; returns what is to be waited for.
    pub(super) fn tell(&self, change: &Change) -> Vec<Barrier> {
        let listeners = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        listeners
            .iter()
            .filter_map(|listener| listener.changed(change))
            .collect()
    }

    /// Lets go of all of them: they hold the store and are held by it.
    pub(super) fn forget(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::from([]);
    }
}
