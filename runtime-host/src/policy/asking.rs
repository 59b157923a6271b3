//! Asking a tenant's own policy what concerns a question, hook by hook.

use super::Undecided;
use super::answer::{self, Answer};
use super::tenants::Tenants;
use crate::wasm::authority::{self, Question, StoredPolicy};
use crate::wasm::calls::Reads;
use crate::wasm::policy::Purpose;
use std::sync::Arc;

/// What a policy is asked about.
pub(super) struct Asked<'a> {
    pub(super) question: &'a Question,
    pub(super) plain: &'a authority::Answer,
    pub(super) tenant: &'a str,
    pub(super) configuration: &'a Arc<str>,
}

/// Asks one policy everything that concerns the question, each time in a fresh instance.
pub(super) async fn ask(
    tenants: &Tenants,
    asked: &Asked<'_>,
    purpose: Purpose,
    stored: &StoredPolicy,
    first: Answer,
    mut reads: Box<dyn Reads>,
) -> Result<(Answer, Option<u64>), Undecided> {
    let (mut answer, mut until) = (first, None);
    let mut step = 0;
    while let Some(hook) = answer::hook(asked.question, asked.plain, &answer, step) {
        let policy = tenants.load(stored).await?;
        let configuration = Arc::clone(asked.configuration);
        let (ruling, back) = tenants
            .pool
            .call(
                (asked.tenant, purpose),
                policy,
                hook.clone(),
                configuration,
                reads,
            )
            .await;
        reads = back;
        let ruling = ruling?;
        until = answer::earlier(until, ruling.until);
        answer = answer::refine(asked.question, answer, &hook, ruling);
        if let Answer::Rewrite(payload) = &answer
            && serde_json::from_str::<&serde_json::value::RawValue>(payload).is_err()
        {
            return Err(Undecided::Policy(
                "it rewrote to what is no JSON".to_owned(),
            ));
        }
        step += 1;
    }
    Ok((answer, until))
}
