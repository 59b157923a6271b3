//! The key-value stores of the application, by label: opened, listened to and closed.

use crate::http::Readiness;
use crate::manifest::runtime::{RuntimeConfig, StoreConfig};
use crate::mount;
use crate::store::latency::Latency;
use crate::store::redis::{self, Inspection, RedisStore, Settings};
use crate::store::sqlite::SqliteStores;
use crate::store::{ChangeListener, Store};
use crate::wasm::rest::Stores;
use anyhow::{Context, bail};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Which store is behind a label.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    File(PathBuf),
    Url(String),
}

enum Opened {
    Sqlite(SqliteStores),
    Redis(RedisStore),
}

/// The open stores.
pub(super) struct OpenStores {
    /// By place, for two labels may share one.
    opened: HashMap<Place, Opened>,
    pub(super) labels: Stores,
    places: HashMap<String, Place>,
}

impl OpenStores {
    /// The store behind a label.
    pub(super) fn of(&self, label: &str) -> anyhow::Result<Arc<dyn Store>> {
        let store = self.labels.get(label).cloned();
        store.with_context(|| mount::unknown_label(label))
    }

    /// Opens everything that `runtime` names. `reads`: what the keys begin with that
    /// decisions depend on, or nothing where that is not known.
    pub(super) fn open(runtime: &RuntimeConfig, reads: &[String]) -> anyhow::Result<Self> {
        let mut stores = Self {
            opened: HashMap::new(),
            labels: Stores::new(),
            places: HashMap::new(),
        };
        for (label, config) in &runtime.stores {
            let place = match config {
                StoreConfig::Sqlite { path } => Place::File(path.clone()),
                StoreConfig::Redis { url } => Place::Url(url.clone()),
            };
            if !stores.opened.contains_key(&place) {
                let opened = match &place {
                    Place::File(path) => Opened::Sqlite(SqliteStores::open(path)?),
                    Place::Url(url) => Opened::Redis(
                        open_redis(url, reads)
                            .with_context(|| format!("key_value_store.{label}"))?,
                    ),
                };
                stores.opened.insert(place.clone(), opened);
            }
            let space = match stores.opened.get(&place) {
                Some(Opened::Sqlite(database)) => database.space(label),
                Some(Opened::Redis(redis)) => redis.space(),
                None => continue,
            };
            stores.labels.insert(label.clone(), space);
            stores.places.insert(label.clone(), place);
        }
        Ok(stores)
    }

    /// Tells `listener` of every change under `label`.
    pub(super) fn listen(&self, label: &str, listener: Arc<dyn ChangeListener>) {
        let place = self.places.get(label);
        match place.and_then(|place| self.opened.get(place)) {
            Some(Opened::Sqlite(database)) => database.listen(label, listener),
            Some(Opened::Redis(redis)) => redis.listen(listener),
            None => {}
        }
    }

    /// How long commits took, by label; of two labels of one store the first.
    pub(super) fn commit_latencies(&self) -> Vec<(String, Arc<Latency>)> {
        let mut labels: Vec<(&String, &Place)> = self.places.iter().collect();
        labels.sort_by_key(|(label, _)| *label);
        let mut seen = HashSet::new();
        labels.retain(|(_, place)| seen.insert(*place));
        let latency = |place| match self.opened.get(place)? {
            Opened::Sqlite(database) => Some(database.commit_latency()),
            Opened::Redis(redis) => Some(redis.commit_latency()),
        };
        let found = labels.into_iter();
        found
            .filter_map(|(label, place)| Some((label.clone(), latency(place)?)))
            .collect()
    }

    /// The URL of the Redis behind `label`, if one is.
    pub(super) fn redis(&self, label: &str) -> Option<&str> {
        match self.places.get(label)? {
            Place::Url(url) => Some(url),
            Place::File(_) => None,
        }
    }

    pub(super) fn readiness(&self) -> Readiness {
        let stores: Vec<Arc<dyn Store>> = self.labels.values().cloned().collect();
        Arc::new(move || {
            let stores = stores.clone();
            Box::pin(async move {
                for store in &stores {
                    let read = store.get("readiness").await;
                    read.map_err(|error| error.to_string())?;
                }
                Ok(())
            })
        })
    }

    pub(super) fn close(&self) {
        for opened in self.opened.values() {
            match opened {
                Opened::Sqlite(database) => database.close(),
                Opened::Redis(redis) => redis.close(),
            }
        }
    }
}

fn open_redis(url: &str, reads: &[String]) -> anyhow::Result<RedisStore> {
    let Inspection {
        address,
        version,
        errors,
        warnings,
    } = redis::inspect(url)?;
    if let Some(error) = errors.first() {
        bail!("Redis at {address}: {error}");
    }
    tracing::info!(%address, version, "the state is on Redis");
    for warning in warnings {
        tracing::warn!(%address, "Redis: {warning}");
    }
    Ok(RedisStore::open(&Settings {
        url: url.to_owned(),
        prefixes: reads.to_vec(),
    })?)
}
