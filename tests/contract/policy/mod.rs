//! Tenants' policies: what the host lets them do, held against guests that try more.
//!
//! The real thing throughout: components are compiled by a child process of the built
//! program and called on the threads of a pool. What a call reads is the test's, which
//! notes every read.

mod faults;
mod loading;
mod sights;
mod threads;
mod turns;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sschat_tests::host::{artifacts, binary, repository};
use sschat_tests::within;
use sschat_wasm::calls::{Attribute, CallError, ReadError, Reads};
use sschat_wasm::engine::{EngineSettings, Engines};
use sschat_wasm::policy::{
    Hook, Identity, LoadError, Loaded, Outcome, PolicyPool, Purpose, Refusal, Ruling, Workshop,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Where a tenant's configuration lies among its records.
const CONFIGURATION: &str = "policy/config";

/// The time in all calls.
const NOW: u64 = 1_700_000_000;

/// Keys that one call may read, as the host's own trace has it.
const KEYS_LIMIT: usize = 4_096;

/// A pool and what makes policies for it.
pub(crate) struct Shop {
    pub(crate) workshop: Workshop,
    pub(crate) pool: PolicyPool,
    // What ticks.
    _engines: Engines,
}

impl Shop {
    /// With the cache of compiled code that all tests share.
    pub(crate) fn open() -> Self {
        Self::with_cache(artifacts("code-cache"))
    }

    pub(crate) fn with_cache(cache: PathBuf) -> Self {
        let engines = engines(cache.clone());
        let program = binary();
        Self {
            workshop: Workshop::new(&engines, program, &["compile-policy"], cache),
            pool: PolicyPool::new().unwrap(),
            _engines: engines,
        }
    }

    /// A policy made of these bytes, or why not.
    pub(crate) async fn load(&self, bytes: Vec<u8>) -> Result<Arc<Loaded>, LoadError> {
        let digest = digest(&bytes);
        within(
            "a policy is loaded",
            self.workshop.load(&digest, bytes.into()),
        )
        .await
    }

    /// The guest that misbehaves on command.
    pub(crate) async fn guest(&self) -> Arc<Loaded> {
        self.load(guest()).await.expect("the guest is a policy")
    }

    /// A policy from `policies-wat`.
    pub(crate) async fn text(&self, name: &str) -> Arc<Loaded> {
        self.load(sschat_guest_policies::policy(name))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Asks in a world, and tells what was seen of it.
    pub(crate) async fn ask_in(
        &self,
        world: &World,
        tenant: &str,
        policy: &Arc<Loaded>,
        hook: Hook,
    ) -> (Result<Ruling, CallError>, Seen) {
        let seen = Arc::<Mutex<Seen>>::default();
        let reads = Box::new(Notes {
            world: world.clone(),
            seen: Arc::clone(&seen),
        });
        let (ruling, _) = within("a call ends", self.call(tenant, policy, hook, reads)).await;
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        (ruling, seen)
    }

    /// Asks in an empty world.
    pub(crate) async fn ask(
        &self,
        tenant: &str,
        policy: &Arc<Loaded>,
        hook: Hook,
    ) -> Result<Ruling, CallError> {
        self.ask_in(&World::default(), tenant, policy, hook).await.0
    }

    pub(crate) async fn call(
        &self,
        tenant: &str,
        policy: &Arc<Loaded>,
        hook: Hook,
        reads: Box<dyn Reads>,
    ) -> (Result<Ruling, CallError>, Box<dyn Reads>) {
        let key: Arc<str> = format!("{tenant}/{CONFIGURATION}").into();
        self.pool
            .call(
                (tenant, Purpose::Decision),
                Arc::clone(policy),
                hook,
                key,
                reads,
            )
            .await
    }
}

/// Engines with the smallest pool for what is not under test.
pub(crate) fn engines(cache: PathBuf) -> Engines {
    let settings = EngineSettings {
        cache: Some(cache),
        instances: 1,
    };
    Engines::new(&settings).unwrap()
}

/// A built component.
pub(crate) fn component(name: &str) -> PathBuf {
    repository().join(format!("target/wasm32-wasip2/component/{name}.wasm"))
}

pub(crate) fn guest() -> Vec<u8> {
    let path = component("sschat_guest_policy");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// SHA-256 in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What calls can read. Keys are whole, with the tenant's prefix.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) records: BTreeMap<String, Bytes>,
    pub(crate) payload: Arc<str>,
    pub(crate) address: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) claims: BTreeMap<String, String>,
    pub(crate) store_fails: bool,
}

impl World {
    pub(crate) fn record(mut self, key: &str, value: &str) -> Self {
        let value = Bytes::copy_from_slice(value.as_bytes());
        self.records.insert(key.to_owned(), value);
        self
    }

    /// What `tenant` configured.
    pub(crate) fn configured(self, tenant: &str, configuration: &str) -> Self {
        self.record(&format!("{tenant}/{CONFIGURATION}"), configuration)
    }
}

/// What a call saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) keys: Vec<String>,
    pub(crate) time: bool,
    pub(crate) payload: bool,
    pub(crate) attributes: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Notes {
    world: World,
    seen: Arc<Mutex<Seen>>,
}

impl Reads for Notes {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let mut seen = self.seen.lock().unwrap();
        if seen.keys.len() + keys.len() > KEYS_LIMIT {
            return Err(ReadError::Limit);
        }
        seen.keys.extend_from_slice(keys);
        if self.world.store_fails {
            return Err(ReadError::Store("told to fail".to_owned()));
        }
        let value = |key| self.world.records.get(key).cloned();
        Ok(keys.iter().map(value).collect())
    }

    fn time(&self) -> u64 {
        NOW
    }

    fn note_time(&mut self) {
        self.seen.lock().unwrap().time = true;
    }

    fn payload(&mut self) -> Arc<str> {
        self.seen.lock().unwrap().payload = true;
        Arc::clone(&self.world.payload)
    }

    fn attribute(&mut self, attribute: Attribute<'_>) -> Option<String> {
        let mut seen = self.seen.lock().unwrap();
        seen.attributes.push(format!("{attribute:?}"));
        match attribute {
            Attribute::RemoteAddress => self.world.address.clone(),
            Attribute::Header(name) => self.world.headers.get(name).cloned(),
            Attribute::Claim(name) => self.world.claims.get(name).cloned(),
        }
    }
}

pub(crate) fn identity(user: &str) -> Identity {
    Identity {
        tenant: "app_1".to_owned(),
        user: user.to_owned(),
    }
}

/// The four hooks, about a user of this name and rooms of this name: where it is a mode
/// of the guest, each call is told to do that.
pub(crate) fn hooks(name: &str) -> [Hook; 4] {
    let rooms = vec![name.to_owned()];
    [
        Hook::Login(identity(name)),
        Hook::Join(identity("somebody"), rooms.clone()),
        publish(name),
        Hook::Presence(identity("somebody"), rooms),
    ]
}

/// Somebody publishes in a room of this name.
pub(crate) fn publish(room: &str) -> Hook {
    Hook::Publish(identity("somebody"), room.to_owned())
}

/// The refusal that a ruling is.
pub(crate) fn denied(ruling: Result<Ruling, CallError>) -> Refusal {
    match ruling.expect("an answer").outcome {
        Outcome::Deny(refusal) => refusal,
        Outcome::Each(mut each) if each.len() == 1 => each.remove(0).expect("a refusal"),
        outcome => panic!("no refusal: {outcome:?}"),
    }
}

/// Whether the ruling is a plain yes.
pub(crate) fn allows(ruling: &Result<Ruling, CallError>) -> bool {
    let Ok(ruling) = ruling else { return false };
    match &ruling.outcome {
        Outcome::Allow => true,
        Outcome::Login { may_publish, .. } => *may_publish,
        Outcome::Each(each) => each.iter().all(Option::is_none),
        Outcome::Rewrite(_) | Outcome::Answer(_) | Outcome::Deny(_) => false,
    }
}
