//! What a tenant's policy answers to its clients' calls.
//!
//! A call goes the way of a decision, but it is none: nothing is remembered of it, a candidate is not asked, and the
//! authority has nothing to say about it. So what is traced of its reads is dropped.

use super::answer::Answer;
use super::trace::{Occasion, Trace};
use super::{Policy, RACES, Undecided};
use crate::wasm::authority::StoredPolicy;
use crate::wasm::calls::{Identity, Reads, Refusal};
use crate::wasm::policy::{Hook, Outcome, Purpose};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A method that a client calls.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who it is.
    pub who: Identity,
    /// Its name.
    pub method: String,
    /// What it is called with: JSON.
    pub data: String,
    /// The longest answer that can be used, in bytes.
    pub limit: usize,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// One JSON value.
    Answer(String),
    /// The policy says no.
    Refused(Refusal),
    /// The tenant has no policy that answers calls.
    Unanswered,
}

impl Policy {
    /// Lets the policy of the caller's tenant answer a call.
    ///
    /// # Errors
    /// Where it gave no answer, or one that is none.
    pub async fn call(&self, call: Call, occasion: &Occasion) -> Result<Called, Undecided> {
        let tenant = call.who.tenant.clone();
        let begun = Instant::now();
        let called = self.answer(call, occasion).await;
        let told = match &called {
            Ok(Called::Unanswered) => return called,
            Ok(Called::Answer(_)) => Ok(Answer::Yes),
            Ok(Called::Refused(refusal)) => Ok(Answer::No(refusal.clone())),
            Err(undecided) => {
                self.counters.fail(undecided);
                Err(undecided)
            }
        };
        let told = told.as_ref().map_err(|undecided| *undecided);
        self.tenants.count(&tenant, told);
        self.counters.latency.record(begun.elapsed());
        let counter = match &called {
            Ok(_) => &self.counters.computed,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        called
    }

    async fn answer(&self, call: Call, occasion: &Occasion) -> Result<Called, Undecided> {
        // The policy may be replaced while it is looked for.
        for _ in 0..RACES {
            let trace = Trace::new(&self.index, &self.store, occasion);
            let verdict = Arc::clone(&trace.verdict);
            let found = self.policies(&call.who.tenant, &verdict, Box::new(trace));
            let (policies, reads) = match found.await {
                Ok(found) => found,
                Err(Undecided::Unsteady) => continue,
                Err(undecided) => return Err(undecided),
            };
            let Some(active) = policies.active else {
                return Ok(Called::Unanswered);
            };
            let configuration = policies.configuration.as_str().into();
            match self
                .tenants
                .call(&active, configuration, &call, reads)
                .await
            {
                Err(Undecided::Unsteady) => {}
                called => return called,
            }
        }
        Err(Undecided::Unsteady)
    }
}

impl super::tenants::Tenants {
    async fn call(
        &self,
        active: &StoredPolicy,
        configuration: Arc<str>,
        call: &Call,
        reads: Box<dyn Reads>,
    ) -> Result<Called, Undecided> {
        let policy = self.load(active).await?;
        if !policy.answers_calls() {
            return Ok(Called::Unanswered);
        }
        let purpose = (&*call.who.tenant, Purpose::Client);
        let hook = Hook::Call(call.who.clone(), call.method.clone(), call.data.clone());
        let (ruling, _) = self
            .pool
            .call(purpose, policy, hook, configuration, reads)
            .await;
        match ruling?.outcome {
            Outcome::Deny(refusal) => Ok(Called::Refused(refusal)),
            Outcome::Answer(answer) if answer.len() > call.limit => Err(Undecided::Policy(
                "its answer is longer than a message".to_owned(),
            )),
            Outcome::Answer(answer) if serde_json::from_str::<&RawValue>(&answer).is_ok() => {
                Ok(Called::Answer(answer))
            }
            _ => Err(Undecided::Policy("it answered what is no JSON".to_owned())),
        }
    }
}
