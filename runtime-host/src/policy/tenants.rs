//! Tenants' own policies: loaded from the store, kept compiled, counted, and a candidate
//! compared with what is decided without it.

use super::Undecided;
use super::answer::Answer;
use crate::digest::sha256;
use crate::store::Store;
use crate::wasm::authority::StoredPolicy;
use crate::wasm::policy::{CODE_LIMIT, LoadError, Loaded, PolicyPool, Usage, Workshop};
use bytes::{Bytes, BytesMut};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of code of components that are kept compiled: any, and some.
const LOADED_BYTES: u64 = 2 * CODE_LIMIT as u64;

/// How long a component that could not be loaded is not tried again.
const UNFIT_FOR: Duration = Duration::from_secs(60);

/// Tenants whose tallies are kept.
const TALLIES: usize = 10_000;

/// Differences of a candidate that are kept as samples, the latest.
const SAMPLES: usize = 16;

/// A component, loaded or known to be none.
#[derive(Clone)]
enum Shelf {
    Ready(Arc<Loaded>),
    Unfit(LoadError, Instant),
}

#[derive(Clone)]
struct BySize;

impl Weighter<String, Shelf> for BySize {
    fn weight(&self, _: &String, shelf: &Shelf) -> u64 {
        match shelf {
            Shelf::Ready(loaded) => loaded.code() as u64 + 4_096,
            Shelf::Unfit(..) => 512,
        }
    }
}

/// What a tenant's policy decided, and how its candidate would have.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Decisions that were computed, those from the memo are not counted, and clients' calls.
    pub decided: u64,
    /// Of these, how many allowed, denied, rewrote.
    pub allowed: u64,
    /// See `allowed`.
    pub denied: u64,
    /// See `allowed`.
    pub rewritten: u64,
    /// Decisions for which there was no verdict.
    pub failed: u64,
    /// The candidate's comparison.
    pub shadow: Shadow,
}

/// How a candidate's verdicts compare with those in force.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Shadow {
    /// SHA-256 of the candidate that is counted here.
    pub digest: String,
    /// Decisions that agree.
    pub same: u64,
    /// Decisions that differ.
    pub different: u64,
    /// Decisions that the candidate failed to make.
    pub failed: u64,
    /// The latest differences.
    pub samples: VecDeque<Sample>,
}

/// One difference.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// What was asked.
    pub question: String,
    /// What is in force.
    pub active: String,
    /// What the candidate says.
    pub candidate: String,
}

/// The policies of all tenants of this host.
pub struct Tenants {
    pub(super) pool: PolicyPool,
    workshop: Workshop,
    store: Arc<dyn Store>,
    shelves: Cache<String, Shelf, BySize>,
    tallies: Cache<String, Arc<Mutex<Tally>>>,
}

impl Tenants {
    /// Policies whose components are in `store`.
    pub fn new(pool: PolicyPool, workshop: Workshop, store: Arc<dyn Store>) -> Self {
        Self {
            pool,
            workshop,
            store,
            shelves: shelves(),
            tallies: Cache::new(TALLIES),
        }
    }

    /// Whether these bytes are a policy; they are kept compiled.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self, bytes: Bytes) -> Result<(), LoadError> {
        let digest = sha256(&bytes);
        self.shelve(&digest, bytes).await.map(drop)
    }

    /// The policy that the store has under this digest.
    pub(super) async fn load(&self, stored: &StoredPolicy) -> Result<Arc<Loaded>, Undecided> {
        match self.shelves.get(&stored.digest) {
            Some(Shelf::Ready(loaded)) => return Ok(loaded),
            Some(Shelf::Unfit(error, until)) if Instant::now() < until => return Err(error.into()),
            _ => {}
        }
        let bytes = self.read(stored).await?;
        Ok(self.shelve(&stored.digest, bytes).await?)
    }

    async fn shelve(&self, digest: &str, bytes: Bytes) -> Result<Arc<Loaded>, LoadError> {
        if let Some(Shelf::Unfit(_, until)) = self.shelves.get(digest)
            && until <= Instant::now()
        {
            self.shelves.remove(digest);
        }
        // Those who want the same component at once wait for one who makes it.
        let made = async { self.workshop.load(digest, bytes).await.map(Shelf::Ready) };
        match self.shelves.get_or_insert_async(digest, made).await {
            Ok(Shelf::Ready(loaded)) => Ok(loaded),
            Ok(Shelf::Unfit(error, _)) => Err(error),
            Err(error) => {
                if matches!(error, LoadError::Unfit(_)) {
                    let until = Instant::now() + UNFIT_FOR;
                    let unfit = Shelf::Unfit(error.clone(), until);
                    self.shelves.insert(digest.to_owned(), unfit);
                }
                Err(error)
            }
        }
    }

    /// The bytes of a component, which are what their digest says.
    async fn read(&self, stored: &StoredPolicy) -> Result<Bytes, Undecided> {
        let mut bytes = BytesMut::new();
        for key in &stored.chunks {
            let chunk = self.store.get(key).await;
            let chunk = chunk.map_err(|error| Undecided::Policy(error.to_string()))?;
            // A newer one took its place meanwhile; the record will be read again.
            let Some(chunk) = chunk else {
                return Err(Undecided::Unsteady);
            };
            bytes.extend_from_slice(&chunk);
        }
        let bytes = bytes.freeze();
        if sha256(&bytes) != stored.digest {
            return Err(Undecided::Policy("its component is damaged".to_owned()));
        }
        Ok(bytes)
    }

    fn tally(&self, tenant: &str) -> Option<Arc<Mutex<Tally>>> {
        self.tallies
            .get_or_insert_with(tenant, || Ok::<_, ()>(Arc::default()))
            .ok()
    }

    /// Counts a decision.
    pub(super) fn count(&self, tenant: &str, answer: Result<&Answer, &Undecided>) {
        let Some(tally) = self.tally(tenant) else {
            return;
        };
        let mut tally = lock(&tally);
        tally.decided += 1;
        match answer.map(Answer::word) {
            Ok("deny") => tally.denied += 1,
            Ok("rewrite") => tally.rewritten += 1,
            Ok(_) => tally.allowed += 1,
            Err(_) => tally.failed += 1,
        }
    }

    /// Counts how a candidate compares. A new candidate begins anew.
    pub(super) fn compare(
        &self,
        tenant: &str,
        digest: &str,
        question: &str,
        active: &Answer,
        candidate: Result<&Answer, &Undecided>,
    ) {
        let Some(tally) = self.tally(tenant) else {
            return;
        };
        let shadow = &mut lock(&tally).shadow;
        if shadow.digest != digest {
            *shadow = Shadow {
                digest: digest.to_owned(),
                ..Shadow::default()
            };
        }
        let said = match candidate {
            Ok(candidate) if candidate == active => {
                shadow.same += 1;
                return;
            }
            Ok(candidate) => {
                shadow.different += 1;
                brief(candidate)
            }
            Err(undecided) => {
                shadow.failed += 1;
                undecided.to_string()
            }
        };
        if shadow.samples.len() == SAMPLES {
            shadow.samples.pop_front();
        }
        shadow.samples.push_back(Sample {
            question: question.to_owned(),
            active: brief(active),
            candidate: said,
        });
    }

    /// What a tenant's policies decided and used on this host.
    pub fn figures(&self, tenant: &str) -> (Tally, Option<Usage>) {
        let tally = self.tallies.get(tenant);
        let tally = tally.map(|tally| lock(&tally).clone()).unwrap_or_default();
        (tally, self.pool.usage(tenant))
    }
}

/// A cache of so few entries is in one part. In many, a component that is larger than its
/// part would not be kept at all, and compiled for each call.
fn shelves() -> Cache<String, Shelf, BySize> {
    Cache::with_weighter(32, LOADED_BYTES, BySize)
}

/// An answer in a line.
fn brief(answer: &Answer) -> String {
    match answer {
        Answer::No(refusal) => format!("deny {}: {}", refusal.code, refusal.reason),
        Answer::Rewrite(payload) => {
            let start: String = payload.chars().take(256).collect();
            format!("rewrite {start}")
        }
        Answer::Rooms(rooms, _) => format!("{} rooms", rooms.len()),
        Answer::Login(login) if !login.may_publish => "allow, listening only".to_owned(),
        answer => answer.word().to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
