//! Verdicts held against a model that remembers nothing.
//!
//! Everything is real: the authority and tenants' policies as components, the embedded
//! store and its change feed. Two [`Policy`]s decide over the same records. One is as the
//! host has it; the other, the model, keeps no verdict and asks every question in fresh
//! instances. Whatever is written, both say the same.

mod model;
mod racing;
mod steps;

use crate::policy::{component, engines};
use bytes::Bytes;
use sschat::policy::answer::{Heard, Login};
use sschat::policy::grants::{Grant, Grants, HoldGuard, Presented, Refused, Sessions};
use sschat::policy::memo::Watcher;
use sschat::policy::tenants::Tenants;
use sschat::policy::trace::Connection;
use sschat::policy::{Policy, Undecided};
use sschat_domain::record::{App, Secret};
use sschat_domain::{ApiKey, AppId, Error, Read, Write, tenant};
use sschat_store::sqlite::SqliteStores;
use sschat_store::{ChangeListener, Store, StoreError};
use sschat_tests::host::{artifacts, binary};
use sschat_tests::within;
use sschat_wasm::authority::{AuthorityPool, Credential, Refusal};
use sschat_wasm::engine::Engines;
use sschat_wasm::policy::{PolicyPool, Workshop};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::sync::Notify;

/// The store as the data model sees it.
#[derive(Clone)]
pub(crate) struct Records(pub(crate) Arc<dyn Store>);

fn failed(error: StoreError) -> Error {
    Error::Store(error.to_string())
}

impl Read for Records {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let value = self.0.get(key).await.map_err(failed)?;
        Ok(value.map(|bytes| bytes.to_vec()))
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let values = self.0.get_many(keys).await.map_err(failed)?;
        let owned = |value: Option<Bytes>| value.map(|bytes| bytes.to_vec());
        Ok(values.into_iter().map(owned).collect())
    }
}

impl Write for Records {
    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Error> {
        self.set_many(vec![(key.to_owned(), value)]).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.delete_many(vec![key.to_owned()]).await
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key, value.into())).collect();
        self.0.set_many(entries).await.map_err(failed)
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        self.0.delete_many(keys).await.map_err(failed)
    }

    async fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.0
            .increment(key.to_owned(), delta)
            .await
            .map_err(failed)
    }
}

/// What a session is granted.
pub(crate) type Granted = Result<(Login, Vec<Heard>), Refusal>;

/// Sessions that take what they are granted, and wait while they are on hold.
#[derive(Default)]
pub(crate) struct Live {
    sessions: Mutex<HashMap<Watcher, Session>>,
    changed: Notify,
}

struct Session {
    granted: Granted,
    /// The hold that the grant answers, and the latest.
    epochs: [u32; 2],
}

impl Live {
    fn grant(&self, watcher: Watcher, outcome: Result<Grant, Refused>) {
        let (granted, epoch) = match outcome {
            Ok(grant) => (Ok((grant.login, grant.rooms)), grant.epoch),
            Err(refused) => (Err(refused.refusal), refused.epoch),
        };
        let mut sessions = self.sessions.lock().unwrap();
        let held = sessions.get(&watcher).map_or(epoch, |it| it.epochs[1]);
        let epochs = [epoch, held];
        sessions.insert(watcher, Session { granted, epochs });
        self.changed.notify_waiters();
    }

    /// What a session may act by now: nothing while it is on hold.
    fn granted(&self, watcher: Watcher) -> Option<Granted> {
        let sessions = self.sessions.lock().unwrap();
        let session = sessions.get(&watcher)?;
        let [granted, held] = session.epochs;
        (granted >= held).then(|| session.granted.clone())
    }
}

impl Sessions for Live {
    fn hold(&self, watchers: Vec<(Watcher, u32)>, _: &HoldGuard) {
        let mut sessions = self.sessions.lock().unwrap();
        for (watcher, epoch) in watchers {
            if let Some(session) = sessions.get_mut(&watcher) {
                session.epochs[1] = session.epochs[1].max(epoch);
            }
        }
    }

    fn regrant(&self, watcher: Watcher, outcome: Result<Grant, Refused>, _: Vec<HoldGuard>) {
        self.grant(watcher, outcome);
    }
}

/// A store and those who decide over it.
pub(crate) struct Court {
    pub(crate) records: Records,
    /// As the host has it.
    pub(crate) policy: Arc<Policy>,
    /// Remembers nothing.
    pub(crate) model: Policy,
    pub(crate) authorities: Authorities,
    grants: Arc<Grants>,
    live: Arc<Live>,
    stores: SqliteStores,
    _folder: TempDir,
    _engines: [Engines; 3],
}

/// The shipped authority, to be called directly.
pub(crate) struct Authorities(pub(crate) AuthorityPool);

impl Court {
    /// Must be called on a runtime.
    pub(crate) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path().join("state.db")).unwrap();
        let store = stores.space("default");
        // A pool of instances for each, for tests on many cores have many threads.
        let pools = [0; 3].map(|_| engines(artifacts("code-cache")));
        let policy = Arc::new(decider(&pools[0], &store, 64 << 20, true));
        let model = decider(&pools[1], &store, 0, false);
        let live = Arc::<Live>::default();
        let grants = Grants::start(Arc::clone(&policy), Arc::clone(&live) as Arc<dyn Sessions>);
        stores.listen("default", Arc::clone(&grants) as Arc<dyn ChangeListener>);
        Self {
            records: Records(store),
            policy,
            model,
            authorities: Authorities(authority(&pools[2], true)),
            grants,
            live,
            stores,
            _folder: folder,
            _engines: pools,
        }
    }

    /// Registers a tenant with ids made of `number`.
    pub(crate) async fn register(&self, number: u64) -> (AppId, ApiKey) {
        let id = AppId::from_random(bytes(number));
        let key = ApiKey::from_random(bytes(number));
        let app = App {
            key: key.digest(),
            label: None,
            require_token: false,
            secrets: vec![Secret::from_random([1; 32])],
        };
        tenant::register(&self.records, id, &app).await.unwrap();
        (id, key)
    }

    /// Lets a user in; what it is granted is kept true from now on.
    pub(crate) async fn let_in(
        &self,
        watcher: Watcher,
        credential: Credential,
        connection: Arc<Connection>,
    ) -> Result<(), Undecided> {
        let presented = Presented {
            credential,
            connection,
        };
        self.grants.begin(watcher, presented);
        let outcome = self.grants.evaluate(watcher).await?;
        self.live.grant(watcher, outcome);
        Ok(())
    }

    pub(crate) fn let_out(&self, watcher: Watcher) {
        self.grants.end(watcher);
        self.live.sessions.lock().unwrap().remove(&watcher);
    }

    /// Whether the session was let in.
    pub(crate) fn is_begun(&self, watcher: Watcher) -> bool {
        self.live.sessions.lock().unwrap().contains_key(&watcher)
    }

    /// Whether the session may act now.
    pub(crate) fn is_granted(&self, watcher: Watcher) -> bool {
        self.live.granted(watcher).is_some()
    }

    /// What the session may act by, once it is not on hold.
    pub(crate) async fn granted(&self, watcher: Watcher) -> Granted {
        within("a hold ends", async {
            loop {
                let changed = self.live.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(granted) = self.live.granted(watcher) {
                    return granted;
                }
                changed.await;
            }
        })
        .await
    }
}

impl Drop for Court {
    fn drop(&mut self) {
        self.stores.close();
    }
}

fn authority(engines: &Engines, reuse: bool) -> AuthorityPool {
    let compiled = engines.compile_authority(&component("sschat_authority"));
    AuthorityPool::new(engines, &compiled.unwrap(), "authority", reuse).unwrap()
}

fn decider(engines: &Engines, store: &Arc<dyn Store>, memo: u64, reuse: bool) -> Policy {
    let cache = artifacts("code-cache");
    let workshop = Workshop::new(engines, binary(), &["compile-policy"], cache);
    let tenants = Tenants::new(PolicyPool::new().unwrap(), workshop, Arc::clone(store));
    let authority = authority(engines, reuse);
    Policy::new(authority, tenants, Arc::clone(store), memo)
}

/// Random-looking bytes that differ for every number.
pub(crate) fn bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes
}

/// Who says to be this user.
pub(crate) fn bare(user: impl ToString) -> Credential {
    Credential {
        app: None,
        fallback_app: None,
        user: Some(user.to_string()),
        token: None,
    }
}
