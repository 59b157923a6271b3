//! A method that a client calls, for its tenant's policy to answer.
//!
//! The connection is paused until the answer is there, so a client has one call under way and everything is answered
//! in order. Whoever is on hold, or in doubt about what has changed, is told nothing until that is over, as with what
//! is read of a history ([`super::catching_up`]).

use super::refusals::failure;
use super::{Done, Until};
use crate::hub::ConnectionKey;
use crate::node::{Command, Sessions};
use crate::policy::Undecided;
use crate::policy::calls::{Call, Called};
use crate::policy::memo::Watcher;
use crate::policy::trace::Occasion;
use crate::socket::Turn;
use crate::wasm::authority::{Identity, Refusal};
use sschat_protocol::centrifuge::{Failure, Reply, Rpc, is_json};
use std::sync::Arc;

/// What a policy is called with where the client gave nothing.
const NOTHING: &str = "null";

/// By what a policy says that it has no such method.
const METHOD_NOT_FOUND: &str = "method_not_found";

/// What came of a client's command.
pub struct Answered {
    /// The command's id.
    id: u32,
    outcome: Result<Called, Undecided>,
}

impl Sessions {
    /// Lets the tenant's policy answer.
    pub(super) fn call(
        &mut self,
        key: ConnectionKey,
        (id, asked): (u32, &Rpc<'_>),
        out: &mut Vec<u8>,
    ) -> Done {
        let data = match str::from_utf8(asked.data) {
            Ok("") => NOTHING,
            // In Protobuf nobody has looked yet.
            Ok(text) if is_json(asked.data) => text,
            _ => return self.refused(key, id, &Failure::BAD_REQUEST, out),
        };
        let (node, shard) = (Arc::clone(&self.node), self.shard);
        let limit = self.with(key, |_, _, settings| settings.payload);
        let (Some(limit), Some(session)) = (limit, self.session(key)) else {
            return Done::Next;
        };
        let Some(who) = &session.who else {
            return Done::Next;
        };
        let call = Call {
            who: Identity {
                tenant: who.tenant.to_string(),
                user: who.user.to_string(),
            },
            method: asked.method.to_string(),
            data: data.to_owned(),
            limit,
        };
        let watcher = session.watcher;
        let occasion = Occasion {
            connection: Some(Arc::clone(&session.connection)),
            payload: None,
        };
        self.node.runtime.spawn(async move {
            let outcome = node.policy.call(call, &occasion).await;
            let answered = Box::new(Answered { id, outcome });
            node.post.tell(shard, Command::Answered(watcher, answered));
        });
        Done::Wait(Until::Answer)
    }

    /// The policy has answered a client's call, or failed to.
    pub(in crate::node) fn answered(
        &mut self,
        watcher: Watcher,
        answered: Box<Answered>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(key) = self.find(watcher)
            && let Some(client) = self.client(key)
        {
            client.answered = Some(answered);
            self.answer_what_is_known(key, turn);
        }
    }

    /// Tells a client what came of its call.
    pub(super) fn answer_call(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        let Some(answered) = self.client(key).and_then(|it| it.answered.take()) else {
            return;
        };
        let Answered { id, outcome } = *answered;
        let answer = match outcome {
            Ok(Called::Answer(answer)) => Ok(answer),
            Ok(Called::Refused(refusal)) => Err(refused(&refusal)),
            Ok(Called::Unanswered) => Err(Failure::NOT_AVAILABLE),
            Err(undecided) => {
                tracing::warn!(%undecided, "a call was not answered");
                Err(Failure::INTERNAL)
            }
        };
        self.say(key, turn, |session, _, _, out| match &answer {
            Ok(answer) => session.replied(id, &Reply::Rpc(answer.as_bytes()), out),
            Err(failure) => session.refused(id, failure, out),
        });
        self.go_on_after(key, Until::Answer, turn);
    }
}

/// Why a policy refuses a call.
fn refused(refusal: &Refusal) -> Failure {
    match &*refusal.code {
        METHOD_NOT_FOUND => Failure::METHOD_NOT_FOUND,
        _ => failure(refusal),
    }
}
