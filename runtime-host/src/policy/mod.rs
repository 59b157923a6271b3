//! Decisions: asked of the authority and of the tenant's policy, remembered while they
//! hold, revoked at once.
//!
//! This module owns [`Policy`], through which everybody asks. [`memo`] keeps verdicts,
//! [`trace`] notes what an evaluation reads, [`grants`] keeps the standing grants of
//! live sessions, [`tenants`] has the tenants' own policies, [`explain`] tells how a
//! decision came about. The rules themselves are not here: they are the components'.

pub mod answer;
mod asking;
mod counters;
pub mod explain;
mod fence;
pub mod grants;
pub mod keys;
mod losses;
pub mod memo;
mod sync;
pub mod tenants;
pub mod trace;
mod wishes;

use crate::clock::unix_now;
use crate::store::{Change, Store};
use crate::wasm::authority::{self, AuthorityPool, Policies, Question, StoredPolicy};
use crate::wasm::calls::{CallError, Reads};
use crate::wasm::policy::{LoadError, Purpose};
use answer::Answer;
use asking::{Asked, ask};
pub use counters::Counters;
use memo::{Index, Memo, Verdict, Watcher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tenants::Tenants;
use trace::{Occasion, Record, Trace};

/// How often a decision is computed anew because something it read changed meanwhile,
/// before it is given up as undecidable for now.
const RACES: usize = 16;

/// Comparisons with candidates that may be under way; past it decisions go uncompared.
const COMPARISONS: usize = 1_024;

/// Why there is no verdict. Never remembered; the caller refuses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Undecided {
    /// The component or the store failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The tenant's policy can't be loaded.
    #[error("the policy can't be loaded: {0}")]
    Load(#[from] LoadError),
    /// The tenant's policy can't be used.
    #[error("the policy can't be used: {0}")]
    Policy(String),
    /// The key that signed a token is not known, and who would know it can't be asked.
    #[error("the key of a token is not known: {0}")]
    Keys(String),
    /// What it depends on changes faster than it can be read.
    #[error("the records of this decision change too fast")]
    Unsteady,
}

/// Where decisions come from.
pub struct Policy {
    authority: AuthorityPool,
    /// The tenants' own policies.
    pub tenants: Arc<Tenants>,
    store: Arc<dyn Store>,
    index: Arc<Index>,
    memo: Memo,
    comparisons: Arc<tokio::sync::Semaphore>,
    losses: losses::Losses,
    /// SHA-256 of the authority, where it is known.
    authority_digest: Option<String>,
    /// Where public keys are fetched, if they are.
    key_servers: Option<keys::KeyServers>,
    /// For the metrics.
    pub counters: Counters,
}

impl Policy {
    /// Decisions of `authority` and `tenants` over the records in `store`, remembering
    /// `memo_bytes` of verdicts.
    pub fn new(
        authority: AuthorityPool,
        tenants: Tenants,
        store: Arc<dyn Store>,
        memo_bytes: u64,
    ) -> Self {
        Self {
            authority,
            tenants: Arc::new(tenants),
            store,
            index: Arc::default(),
            memo: Memo::new(memo_bytes),
            comparisons: Arc::new(tokio::sync::Semaphore::new(COMPARISONS)),
            losses: losses::Losses::default(),
            authority_digest: None,
            key_servers: None,
            counters: Counters::default(),
        }
    }

    /// Says which component the authority is, for explanations: its SHA-256.
    #[must_use]
    pub fn with_authority_digest(mut self, digest: String) -> Self {
        self.authority_digest = Some(digest);
        self
    }

    /// Has public keys fetched from tenants' key servers.
    #[must_use]
    pub fn with_key_servers(mut self, servers: keys::KeyServers) -> Self {
        self.key_servers = Some(servers);
        self
    }

    /// What [`memo::Leave`] is asked with.
    pub fn ends(&self) -> Arc<memo::Ends> {
        self.index.ends()
    }

    /// The verdict, where it is remembered. Neither waits nor reads the store.
    #[inline]
    pub fn recall(&self, question: &Question) -> Option<Arc<Verdict>> {
        let known = self.memo.recall(question);
        let verdict = known.filter(|_| self.store.is_proven())?;
        self.counters.recalled.fetch_add(1, Ordering::Relaxed);
        Some(verdict)
    }

    /// The verdict, remembered or computed. The returned verdict held when it was made;
    /// [`Verdict::keeps`] says whether it may be used again.
    ///
    /// # Errors
    /// Where none could be computed: the caller refuses and nothing is kept.
    pub async fn decide(
        &self,
        question: Question,
        occasion: &Occasion,
    ) -> Result<Arc<Verdict>, Undecided> {
        if let Some(verdict) = self.recall(&question) {
            return Ok(verdict);
        }
        let verdict = self.settle(question.clone(), occasion).await?;
        if !self.learned(&question, verdict.answer()).await? {
            return Ok(verdict);
        }
        self.settle(question, occasion).await
    }

    /// As [`Policy::decide`], by what is known here.
    async fn settle(
        &self,
        question: Question,
        occasion: &Occasion,
    ) -> Result<Arc<Verdict>, Undecided> {
        if let Some(verdict) = self.recall(&question) {
            return Ok(verdict);
        }
        // A policy that is suspended costs nobody a call of the authority.
        if let Some(suspended) = self.suspended(&question) {
            let suspended = suspended.into();
            self.counters.fail(&suspended);
            return Err(suspended);
        }
        for _ in 0..RACES {
            match self.compute(&question, occasion, None).await {
                Ok(verdict) if verdict.holds() => {
                    if verdict.is_shared() && !keys::is_passing(verdict.answer()) {
                        self.memo.keep(question, Arc::clone(&verdict));
                    }
                    return Ok(verdict);
                }
                // What it read has changed meanwhile: the change wins.
                Ok(_) | Err(Undecided::Unsteady) => {}
                Err(undecided) => return Err(undecided),
            }
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        Err(Undecided::Unsteady)
    }

    /// Why the question's tenant's policy would not be asked now, as far as that is known.
    fn suspended(&self, question: &Question) -> Option<CallError> {
        let tenant = answer::asker(question)?;
        let known = Question::PoliciesOf(tenant.to_owned());
        let known = self.memo.recall(&known)?;
        let Some(Answer::Policies(policies)) = known.answer() else {
            return None;
        };
        let active = policies.active.as_ref()?;
        self.tenants.pool.suspended(tenant, &active.digest)
    }

    /// Computes a verdict. `record`: where to write down what is read.
    async fn compute(
        &self,
        question: &Question,
        occasion: &Occasion,
        record: Option<Record>,
    ) -> Result<Arc<Verdict>, Undecided> {
        let mut trace = Trace::new(&self.index, &self.store, occasion);
        if let Some(record) = record {
            trace = trace.recording(record);
        }
        let verdict = Arc::clone(&trace.verdict);
        let begun = Instant::now();
        let answered = self
            .evaluate(question, occasion, &verdict, Box::new(trace))
            .await;
        self.counters.latency.record(begun.elapsed());
        let counter = match &answered {
            Ok(_) => &self.counters.computed,
            Err(undecided) => {
                self.counters.fail(undecided);
                &self.counters.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (answer, until) = answered?;
        // What is over already was true for its moment.
        let until = until.filter(|until| {
            let to_come = *until > unix_now();
            if !to_come {
                verdict.saw_time();
            }
            to_come
        });
        let expires = match &answer {
            Answer::Login(login) => answer::earlier(login.expires, until),
            Answer::Rooms(heard, _) => heard
                .iter()
                .fold(until, |until, heard| answer::earlier(heard.expires, until)),
            _ => until,
        };
        verdict.fill(answer, expires);
        Ok(verdict)
    }

    /// Asks the authority and then the tenant's policy, all within one trace.
    async fn evaluate(
        &self,
        question: &Question,
        occasion: &Occasion,
        verdict: &Arc<Verdict>,
        reads: Box<dyn Reads>,
    ) -> Result<(Answer, Option<u64>), Undecided> {
        let (plain, reads) = self.authority.call(question.clone(), reads).await;
        let plain = plain?;
        let first = Answer::plain(plain.clone(), question);
        let Some(tenant) = answer::tenant_of(question, &plain) else {
            return Ok((first, None));
        };
        let (policies, reads) = self.policies(tenant, verdict, reads).await?;
        if policies.active.is_none() && policies.candidate.is_none() {
            return Ok((first, None));
        }
        let configuration: Arc<str> = policies.configuration.as_str().into();
        let asked = Asked {
            question,
            plain: &plain,
            tenant,
            configuration: &configuration,
        };
        let answered = match &policies.active {
            None => Ok((first.clone(), None)),
            Some(active) => {
                let answered = ask(
                    &self.tenants,
                    &asked,
                    Purpose::Decision,
                    active,
                    first.clone(),
                    reads,
                )
                .await;
                let answer = answered.as_ref().map(|(answer, _)| answer);
                self.tenants.count(tenant, answer);
                answered
            }
        };
        if let (Some(candidate), Ok((active, _))) = (policies.candidate, &answered) {
            self.compare(&asked, candidate, first, active.clone(), occasion);
        }
        answered
    }

    /// What the tenant uploaded, remembered or read; `verdict` depends on it from now on.
    async fn policies(
        &self,
        tenant: &str,
        verdict: &Arc<Verdict>,
        reads: Box<dyn Reads>,
    ) -> Result<(Policies, Box<dyn Reads>), Undecided> {
        let question = Question::PoliciesOf(tenant.to_owned());
        if let Some(known) = self.memo.recall(&question)
            && self.adopt(&known, verdict)
            && let Some(Answer::Policies(policies)) = known.answer()
        {
            return Ok((Policies::clone(policies), reads));
        }
        // Read in a trace of its own, so that it can be remembered by itself.
        let trace = Trace::new(&self.index, &self.store, &Occasion::default());
        let fresh = Arc::clone(&trace.verdict);
        let (answer, _) = self.authority.call(question.clone(), Box::new(trace)).await;
        let policies = match answer? {
            authority::Answer::Policies(policies) => policies,
            // The tenant went away while it was asked about.
            _ => return Err(Undecided::Unsteady),
        };
        fresh.fill(Answer::Policies(Box::new(policies.clone())), None);
        if !self.adopt(&fresh, verdict) {
            return Err(Undecided::Unsteady);
        }
        if fresh.is_shared() {
            self.memo.keep(question, fresh);
        }
        Ok((policies, reads))
    }

    /// Makes `verdict` depend on all that `other` read. Says whether the answer of `other`
    /// may be used.
    fn adopt(&self, other: &Verdict, verdict: &Arc<Verdict>) -> bool {
        self.index.adopt(other, verdict);
        other.holds()
    }

    /// Lets the candidate decide the same, on the side.
    fn compare(
        &self,
        asked: &Asked<'_>,
        candidate: StoredPolicy,
        first: Answer,
        active: Answer,
        occasion: &Occasion,
    ) {
        let Ok(permit) = Arc::clone(&self.comparisons).try_acquire_owned() else {
            return;
        };
        let tenants = Arc::clone(&self.tenants);
        let reads = Box::new(Trace::new(&self.index, &self.store, occasion));
        let (question, plain) = (asked.question.clone(), asked.plain.clone());
        let tenant = asked.tenant.to_owned();
        let configuration = Arc::clone(asked.configuration);
        tokio::spawn(async move {
            let asked = Asked {
                question: &question,
                plain: &plain,
                tenant: &tenant,
                configuration: &configuration,
            };
            let answered = ask(
                &tenants,
                &asked,
                Purpose::Comparison,
                &candidate,
                first,
                reads,
            )
            .await;
            let answer = answered.as_ref().map(|(answer, _)| answer);
            let text = explain::brief(&question);
            tenants.compare(&tenant, &candidate.digest, &text, &active, answer);
            drop(permit);
        });
    }

    /// Ends what a change makes untrue; gives back the grants that depended on it.
    fn forget(&self, change: &Change) -> Vec<Watcher> {
        let mut touched = Vec::new();
        match change {
            Change::Keys(keys) => {
                for key in keys.iter() {
                    self.index.changed(key, &mut touched);
                }
            }
            Change::Lost => self.index.lost(&mut touched),
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}
