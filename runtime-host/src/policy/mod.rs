//! Decisions: asked of the authority, remembered while they hold, revoked at once.
//!
//! This module owns [`Policy`], through which everybody asks. [`memo`] keeps verdicts,
//! [`trace`](self) notes what an evaluation reads, [`grants`] keeps the standing grants
//! of live sessions. The rules themselves are not here: they are the component's.

pub mod grants;
pub mod memo;
mod trace;

use crate::store::{Change, Store};
use crate::wasm::authority::{Answer, AuthorityPool, CallError, Question};
use memo::{Index, Memo, Verdict, Watcher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trace::Trace;

/// How often a decision is computed anew because something it read changed meanwhile,
/// before it is given up as undecidable for now.
const RACES: usize = 16;

/// Why there is no verdict. Never remembered; the caller refuses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Undecided {
    /// The component or the store failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What it depends on changes faster than it can be read.
    #[error("the records of this decision change too fast")]
    Unsteady,
}

/// How many questions were answered how.
#[derive(Debug, Default)]
pub struct Counters {
    /// From the memo.
    pub recalled: AtomicU64,
    /// By the component.
    pub computed: AtomicU64,
    /// Not at all.
    pub failed: AtomicU64,
}

/// Where decisions come from.
pub struct Policy {
    authority: AuthorityPool,
    store: Arc<dyn Store>,
    index: Arc<Index>,
    memo: Memo,
    /// For the metrics.
    pub counters: Counters,
}

impl Policy {
    /// Decisions of `authority` over the records in `store`, remembering `memo_bytes` of verdicts.
    pub fn new(authority: AuthorityPool, store: Arc<dyn Store>, memo_bytes: u64) -> Self {
        Self {
            authority,
            store,
            index: Arc::default(),
            memo: Memo::new(memo_bytes),
            counters: Counters::default(),
        }
    }

    /// The verdict, where it is remembered. Neither waits nor reads the store.
    #[inline]
    pub fn recall(&self, question: &Question) -> Option<Arc<Verdict>> {
        let verdict = self.memo.recall(question)?;
        self.counters.recalled.fetch_add(1, Ordering::Relaxed);
        Some(verdict)
    }

    /// The verdict, remembered or computed. The returned verdict held when it was made.
    ///
    /// # Errors
    /// Where none could be computed: the caller refuses and nothing is kept.
    pub async fn decide(&self, question: Question) -> Result<Arc<Verdict>, Undecided> {
        if let Some(verdict) = self.recall(&question) {
            return Ok(verdict);
        }
        for _ in 0..RACES {
            let verdict = self.compute(&question).await?;
            if !verdict.holds() {
                continue;
            }
            if verdict.keeps() {
                self.memo.keep(question, Arc::clone(&verdict));
            }
            return Ok(verdict);
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        Err(Undecided::Unsteady)
    }

    async fn compute(&self, question: &Question) -> Result<Arc<Verdict>, Undecided> {
        let trace = Trace::new(&self.index, &self.store);
        let verdict = Arc::clone(&trace.verdict);
        let (answer, _) = self.authority.call(question.clone(), Box::new(trace)).await;
        let counter = if answer.is_ok() {
            &self.counters.computed
        } else {
            &self.counters.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let answer = answer?;
        let expires = match &answer {
            Answer::Login(_, expires) => *expires,
            _ => None,
        };
        verdict.fill(answer, expires);
        Ok(verdict)
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
