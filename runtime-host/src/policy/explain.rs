//! How a decision came about: the verdict, who gave it, every key it read, and what
//! would end it.

use super::answer::Answer;
use super::trace::{KeyRead, Occasion};
use super::{Policy, Undecided};
use crate::wasm::authority::{Caller, Question, Refusal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An explained decision.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The answer.
    pub answer: Answer,
    /// Whether the decision was remembered when the explanation was asked for.
    pub remembered: bool,
    /// SHA-256 of the authority, where it is known.
    pub authority: Option<String>,
    /// SHA-256 of the tenant's policy that was asked after the authority.
    pub policy: Option<String>,
    /// SHA-256 of a candidate that runs beside it.
    pub candidate: Option<String>,
    /// Every key that was read.
    pub reads: Vec<KeyRead>,
    /// What was seen beside: time, payload, connection.
    pub saw: [bool; 3],
    /// From which second of the Unix epoch on it has to be made again.
    pub until: Option<u64>,
    /// Whether it would be remembered.
    pub keeps: bool,
    /// How long it took to compute.
    pub took: Duration,
}

impl Policy {
    /// The tenant whose management key this is.
    ///
    /// # Errors
    /// Where it can't be decided now.
    pub async fn tenant_of_key(&self, key: &str) -> Result<Result<String, Refusal>, Undecided> {
        let question = Question::TenantOfKey(key.to_owned());
        let verdict = self.decide(question, &Occasion::default()).await?;
        match verdict.answer() {
            Some(Answer::Tenant(tenant)) => Ok(Ok(tenant.clone())),
            Some(Answer::No(refusal)) => Ok(Err(refusal.clone())),
            _ => Err(Undecided::Unsteady),
        }
    }

    /// Whether the tenant has the room.
    ///
    /// # Errors
    /// Where it can't be decided now.
    pub async fn has_room(&self, tenant: &str, room: &str) -> Result<bool, Undecided> {
        let question = Question::HasRoom(tenant.to_owned(), room.to_owned());
        let verdict = self.decide(question, &Occasion::default()).await?;
        Ok(verdict.answer() == Some(&Answer::Yes))
    }

    /// Decides anew whatever is remembered, and remembers nothing: for those who measure.
    ///
    /// # Errors
    /// Where it can't be decided.
    pub async fn decide_anew(&self, question: &Question) -> Result<Answer, Undecided> {
        let verdict = self.compute(question, &Occasion::default(), None).await?;
        verdict.answer().cloned().ok_or(Undecided::Unsteady)
    }

    /// Calls of the authority on the caller's thread, for those who measure.
    pub fn caller(&self, reuse: bool) -> Caller {
        self.authority.caller(reuse)
    }

    /// Decides anew, writing down how. The outcome is not remembered.
    ///
    /// # Errors
    /// Where it can't be decided: that is the explanation then.
    pub async fn explain(
        &self,
        tenant: &str,
        question: Question,
        occasion: &Occasion,
    ) -> Result<Explanation, Undecided> {
        let remembered = self.memo.recall(&question).is_some();
        let record = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let verdict = self
            .compute(&question, occasion, Some(Arc::clone(&record)))
            .await?;
        let took = began.elapsed();
        let of_tenant = Question::PoliciesOf(tenant.to_owned());
        let policies = self.settle(of_tenant, &Occasion::default()).await?;
        let (policy, candidate) = match policies.answer() {
            Some(Answer::Policies(policies)) => {
                let digest = |stored: &crate::wasm::authority::StoredPolicy| stored.digest.clone();
                (
                    policies.active.as_ref().map(digest),
                    policies.candidate.as_ref().map(digest),
                )
            }
            _ => (None, None),
        };
        let mut reads = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
        reads.sort_by(|one, other| one.key.cmp(&other.key));
        reads.dedup();
        Ok(Explanation {
            answer: verdict.answer().cloned().ok_or(Undecided::Unsteady)?,
            remembered,
            authority: self.authority_digest.clone(),
            policy,
            candidate,
            reads,
            saw: verdict.saw(),
            until: verdict.expires(),
            keeps: verdict.keeps(),
            took,
        })
    }
}

/// A question in a line.
pub(super) fn brief(question: &Question) -> String {
    match question {
        Question::LogIn(_) => "log in".to_owned(),
        Question::Rooms(who, _) => format!("rooms of {}", who.user),
        Question::MayJoin(who, room, _) => format!("may {} join {room}", who.user),
        Question::MayPublish(who, room) => format!("may {} publish in {room}", who.user),
        Question::MaySee(who, user) => format!("may {} see {user}", who.user),
        Question::TenantOfKey(_) => "tenant of a key".to_owned(),
        Question::HasRoom(tenant, room) => format!("does {tenant} have {room}"),
        Question::EventsOf(tenant) => format!("events of {tenant}"),
        Question::KeysOf(tenant) => format!("public keys of {tenant}"),
        Question::PoliciesOf(tenant) => format!("policies of {tenant}"),
    }
}
