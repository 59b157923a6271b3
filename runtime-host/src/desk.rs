//! What the HTTP side asks about policies, answered by the policy module.

use crate::http::policies::{Declined, Desk};
use crate::policy::answer::Answer;
use crate::policy::explain::Explanation;
use crate::policy::trace::{KeyRead, Occasion};
use crate::policy::{Policy, Undecided};
use crate::wasm::authority::{Credential, Identity, Question};
use crate::wasm::policy::{COMPONENT_LIMIT, LoadError};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The desk of one host.
pub(crate) struct PolicyDesk {
    policy: Arc<Policy>,
    alias: Option<(String, String)>,
}

impl PolicyDesk {
    /// `alias`: a text that is taken for an API key, and that key.
    pub(crate) fn new(policy: &Arc<Policy>, alias: Option<(String, String)>) -> Self {
        let policy = Arc::clone(policy);
        Self { policy, alias }
    }
}

impl Desk for PolicyDesk {
    fn tenant<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<String, Declined>> {
        let key = match &self.alias {
            Some((alias, meant)) if alias == key => meant,
            _ => key,
        };
        async move {
            match self.policy.tenant_of_key(key).await {
                Ok(Ok(tenant)) => Ok(tenant),
                Ok(Err(_)) => Err(declined(401, "unauthorized", "no such API key")),
                Err(undecided) => Err(undecided.into()),
            }
        }
        .boxed()
    }

    fn check(&self, component: Bytes) -> BoxFuture<'_, Result<(), Declined>> {
        async move {
            let checked = self.policy.tenants.check(component).await;
            checked.map_err(|error| match error {
                LoadError::Unfit(reason) => {
                    let text = format!("this is no policy: {reason}");
                    declined(400, "unfit_policy", &text)
                }
                LoadError::Unavailable(_) => declined(503, "unavailable", &error.to_string()),
            })
        }
        .boxed()
    }

    fn figures(&self, tenant: &str) -> Value {
        let (tally, usage) = self.policy.tenants.figures(tenant);
        let usage = usage.unwrap_or_default();
        json!({
            "decisions": tally,
            "calls": usage.calls,
            "failed": usage.failed,
            "timed_out": usage.timed_out,
            "refused": usage.refused,
            "processor_ms": usage.processor.as_millis() as u64,
            "suspended": usage.suspended,
        })
    }

    fn explain<'a>(
        &'a self,
        tenant: &'a str,
        parameters: &'a HashMap<String, String>,
    ) -> BoxFuture<'a, Result<Value, Declined>> {
        async move {
            let question = question(tenant, parameters)?;
            let occasion = Occasion {
                connection: None,
                payload: parameters.get("payload").map(|text| text.as_str().into()),
            };
            match self.policy.explain(tenant, question, &occasion).await {
                Ok(explanation) => Ok(shown(&explanation)),
                Err(undecided) => Ok(json!({
                    "status": "ok",
                    "verdict": "undecided",
                    "reason": undecided.to_string(),
                })),
            }
        }
        .boxed()
    }

    fn component_limit(&self) -> usize {
        COMPONENT_LIMIT
    }
}

fn declined(status: u16, code: &'static str, msg: &str) -> Declined {
    Declined {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        code,
        msg: msg.to_owned(),
    }
}

impl From<Undecided> for Declined {
    fn from(undecided: Undecided) -> Self {
        declined(503, "unavailable", &undecided.to_string())
    }
}

/// The question that the parameters ask.
fn question(tenant: &str, parameters: &HashMap<String, String>) -> Result<Question, Declined> {
    let parameter = |name: &'static str| {
        let given = parameters.get(name).filter(|value| !value.is_empty());
        given.cloned().ok_or_else(|| {
            let text = format!("the parameter {name} is missing");
            declined(400, "missing_parameter", &text)
        })
    };
    let who = Identity {
        tenant: tenant.to_owned(),
        user: parameter("user")?,
    };
    Ok(match parameter("action")?.as_str() {
        "login" => Question::LogIn(Credential {
            app: Some(who.tenant),
            fallback_app: None,
            user: Some(who.user),
            token: None,
        }),
        "rooms" => Question::Rooms(who, None),
        "join" => Question::MayJoin(who, parameter("room")?, None),
        "publish" => Question::MayPublish(who, parameter("room")?),
        "see" => Question::MaySee(who, parameter("other")?),
        _ => {
            let text = "action is one of login, rooms, join, publish and see";
            return Err(declined(400, "unknown_action", text));
        }
    })
}

fn shown(explanation: &Explanation) -> Value {
    let answer = &explanation.answer;
    let read = |read: &KeyRead| json!({ "key": read.key, "version": read.version });
    let [time, payload, connection] = explanation.saw;
    json!({
        "status": "ok",
        "verdict": answer.word(),
        "detail": detail(answer),
        "decided_by": { "authority": explanation.authority, "policy": explanation.policy },
        "candidate": explanation.candidate,
        "memo": {
            "remembered": explanation.remembered,
            "can_be": explanation.keeps,
            "until": explanation.until,
        },
        "microseconds": explanation.took.as_secs_f64() * 1e6,
        "reads": explanation.reads.iter().map(read).collect::<Vec<_>>(),
        "looked_at": { "time": time, "payload": payload, "connection": connection },
        "ended_by": ended_by(explanation),
    })
}

/// What is in the answer beside its word.
fn detail(answer: &Answer) -> Value {
    match answer {
        Answer::No(refusal) => json!({ "code": refusal.code, "reason": refusal.reason }),
        Answer::Rewrite(payload) => json!({ "payload": &**payload }),
        Answer::Login(login) => json!({
            "expires": login.expires,
            "may_publish": login.may_publish,
        }),
        Answer::Rooms(rooms, next) => json!({
            "rooms": rooms
                .iter()
                .map(|heard| json!({ "room": heard.room, "presence": heard.presence }))
                .collect::<Vec<_>>(),
            "more": next.is_some(),
        }),
        _ => Value::Null,
    }
}

/// What would end the verdict, in a sentence.
fn ended_by(explanation: &Explanation) -> String {
    let [time, payload, connection] = explanation.saw;
    let mut ends = vec![format!(
        "a change of any of the {} keys",
        explanation.reads.len()
    )];
    if let Some(until) = explanation.until {
        ends.push(format!("the second {until} of the Unix epoch"));
    } else if time {
        ends.push("the moment: it read the clock and did not say until when it holds".to_owned());
    }
    if payload {
        ends.push("the next message: it looked at the payload".to_owned());
    }
    if connection {
        ends.push("another connection: it looked at this one".to_owned());
    }
    ends.join("; ")
}
