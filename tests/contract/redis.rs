//! The shared store: the contract, over a real Redis, and what is true of Redis alone.

mod feed;
mod figures;
mod lost;
mod others;

use crate::store::{Backend, owned, store_contract};
use bytes::Bytes;
use sschat_store::redis::{RedisStore, Settings};
use sschat_store::{Barrier, Change, ChangeListener, Store, StoreError};
use sschat_tests::{Redis, within};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// A Redis with an open store.
pub(crate) struct Server {
    pub(crate) redis: Redis,
    /// `None` only while it restarts.
    store: Option<RedisStore>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::of(Redis::start())
    }

    /// One whose file is flushed before each answer: with a flush a second, new writes are
    /// held back from the file while a slow disk keeps the flush waiting.
    pub(crate) fn start_safe() -> Self {
        Self::of(Redis::start_with(&[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]))
    }

    fn of(redis: Redis) -> Self {
        let store = Some(open(&redis));
        Self { redis, store }
    }

    pub(crate) fn store(&self) -> &RedisStore {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn space(&self) -> Arc<dyn Store> {
        self.store().space()
    }
}

/// Another host's store on `redis`.
pub(crate) fn open(redis: &Redis) -> RedisStore {
    RedisStore::open(&settings(redis)).unwrap()
}

pub(crate) fn settings(redis: &Redis) -> Settings {
    Settings {
        url: redis.url(),
        prefixes: Vec::new(),
    }
}

/// A Redis for each label: one of them is one flat space.
#[derive(Default)]
struct Labels(Mutex<BTreeMap<String, Server>>);

impl Labels {
    fn start() -> Self {
        Self::default()
    }

    fn with<T>(&self, label: &str, act: impl FnOnce(&Server) -> T) -> T {
        let mut servers = self.0.lock().unwrap();
        let server = servers
            .entry(label.to_owned())
            .or_insert_with(Server::start);
        act(server)
    }
}

impl Backend for Labels {
    fn space(&self, label: &str) -> Arc<dyn Store> {
        self.with(label, Server::space)
    }

    fn listen(&self, label: &str, listener: Arc<dyn ChangeListener>) {
        self.with(label, |server| server.store().listen(listener));
    }

    fn restart(&mut self) {
        for server in self.0.get_mut().unwrap().values_mut() {
            server.store().close();
            server.store = Some(open(&server.redis));
        }
    }
}

store_contract!(Labels::start);

/// Sends every change to the test.
pub(crate) struct Ear(mpsc::UnboundedSender<Change>);

impl Ear {
    pub(crate) fn at(store: &RedisStore) -> mpsc::UnboundedReceiver<Change> {
        let (sender, changes) = mpsc::unbounded_channel();
        store.listen(Arc::new(Self(sender)));
        changes
    }
}

impl ChangeListener for Ear {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        // Once the test is over nobody listens.
        let _ = self.0.send(change.clone());
        None
    }
}

/// Waits until all of `keys` were named.
pub(crate) async fn hears(changes: &mut mpsc::UnboundedReceiver<Change>, keys: &[&str]) {
    let mut missing = owned(keys);
    while !missing.is_empty() {
        match within(&format!("{missing:?} are told"), changes.recv()).await {
            Some(Change::Keys(told)) => missing.retain(|key| !told.contains(key)),
            other => panic!("{other:?} instead of {missing:?}"),
        }
    }
}

/// Waits until everything is said to be in doubt.
pub(crate) async fn hears_of_the_loss(changes: &mut mpsc::UnboundedReceiver<Change>) {
    loop {
        match within("the loss is told", changes.recv()).await {
            Some(Change::Lost) => return,
            Some(Change::Keys(_)) => {}
            None => panic!("the store is closed"),
        }
    }
}

/// Reads as decisions do.
pub(crate) async fn read(
    store: &Arc<dyn Store>,
    keys: &[&str],
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let (store, keys) = (Arc::clone(store), owned(keys));
    let reading = tokio::task::spawn_blocking(move || store.get_many_blocking(&keys));
    within("a decision reads", reading).await.unwrap()
}

/// Whether the feed of `store` is proven now.
pub(crate) fn is_proven(store: &dyn Store) -> bool {
    store.proven_until().unwrap() > std::time::Instant::now()
}
