//! What policies answer, in the words of the host and within its bounds.

use super::{Hook, Outcome, Ruling};
use crate::bindings::policy::exports::sschat::policy::{calls, hooks};
use crate::calls::{CallError, Identity, Refusal};
use wasmtime::Store;

/// The longest code of a refusal, and the longest reason, in bytes.
const CODE_LIMIT: usize = 64;
const REASON_LIMIT: usize = 1_024;

const UNFIT_REFUSAL: &str =
    "a refusal's code is no lower-case words joined by _, or its reason is too long";

/// The longest payload that may take another's place, and the longest answer to a call, in bytes.
const REWRITE_LIMIT: usize = 1 << 20;

/// Asks for decisions.
pub(super) fn of_hook<T: Send + 'static>(
    hooks: &hooks::Guest,
    store: &mut Store<T>,
    hook: &Hook,
) -> wasmtime::Result<Ruling> {
    Ok(match hook {
        Hook::Login(who) => {
            let decision = hooks.call_on_login(store, &identity(who))?;
            let outcome = match decision.verdict {
                hooks::LoginVerdict::Allow(refinement) => Outcome::Login {
                    expires: refinement.expires,
                    may_publish: refinement.may_publish,
                },
                hooks::LoginVerdict::Deny(refusal) => Outcome::Deny(reasoned(refusal)),
            };
            let until = decision.until;
            Ruling { outcome, until }
        }
        Hook::Join(who, rooms) => each(hooks.call_on_join(store, &identity(who), rooms)?),
        Hook::Presence(who, rooms) => each(hooks.call_on_presence(store, &identity(who), rooms)?),
        Hook::Publish(who, room) => {
            let decision = hooks.call_on_publish(store, &identity(who), room)?;
            let outcome = match decision.verdict {
                hooks::PublishVerdict::Allow => Outcome::Allow,
                hooks::PublishVerdict::Rewrite(payload) => Outcome::Rewrite(payload),
                hooks::PublishVerdict::Deny(refusal) => Outcome::Deny(reasoned(refusal)),
            };
            let until = decision.until;
            Ruling { outcome, until }
        }
        Hook::Call(..) => wasmtime::bail!("a call is no decision"),
    })
}

/// Makes a call, which is no decision: nothing is kept of it.
pub(super) fn of_call<T: Send + 'static>(
    calls: &calls::Guest,
    store: &mut Store<T>,
    hook: &Hook,
) -> wasmtime::Result<Ruling> {
    let Hook::Call(who, method, text) = hook else {
        wasmtime::bail!("a decision is no call");
    };
    let outcome = match calls.call_call(store, &identity(who), method, text)? {
        Ok(answer) => Outcome::Answer(answer),
        Err(refusal) => Outcome::Deny(reasoned(refusal)),
    };
    let until = None;
    Ok(Ruling { outcome, until })
}

/// Decisions about many rooms hold as long as the shortest of them.
fn each(decisions: Vec<hooks::Decision>) -> Ruling {
    let until = decisions.iter().filter_map(|decision| decision.until).min();
    let outcome = Outcome::Each(
        decisions
            .into_iter()
            .map(|decision| match decision.verdict {
                hooks::Verdict::Allow => None,
                hooks::Verdict::Deny(refusal) => Some(reasoned(refusal)),
            })
            .collect(),
    );
    Ruling { outcome, until }
}

fn reasoned(refusal: hooks::Refusal) -> Refusal {
    Refusal {
        code: refusal.code,
        reason: refusal.reason,
    }
}

fn identity(who: &Identity) -> hooks::Identity {
    hooks::Identity {
        tenant: who.tenant.clone(),
        user: who.user.clone(),
    }
}

/// Holds an answer to its bounds.
pub(super) fn check(ruling: Ruling, hook: &Hook) -> Result<Ruling, CallError> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = |refusal: &Refusal| {
        (1..=CODE_LIMIT).contains(&refusal.code.len())
            && refusal.code.bytes().all(word)
            && refusal.reason.len() <= REASON_LIMIT
    };
    let wrong = match (&ruling.outcome, hook) {
        (Outcome::Each(each), Hook::Join(_, rooms) | Hook::Presence(_, rooms)) => {
            if each.len() == rooms.len() {
                (!each.iter().flatten().all(fits)).then_some(UNFIT_REFUSAL)
            } else {
                Some("it did not answer for each room")
            }
        }
        (Outcome::Deny(refusal), _) => (!fits(refusal)).then_some(UNFIT_REFUSAL),
        (Outcome::Rewrite(payload), _) => {
            (payload.len() > REWRITE_LIMIT).then_some("the rewritten payload is too long")
        }
        (Outcome::Answer(answer), _) => {
            (answer.len() > REWRITE_LIMIT).then_some("the answer is too long")
        }
        _ => None,
    };
    match wrong {
        Some(reason) => Err(CallError::Failed(reason.to_owned())),
        None => Ok(ruling),
    }
}
