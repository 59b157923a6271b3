//! Subscription tokens: the backend's word that a user may hear a channel, for a time.
//!
//! Whether a token counts is the authority's decision, made like any other: remembered by what it read, and ended by a
//! change of that. Here it is presented, with the name of the connection, and its end is kept by the session's clock,
//! which leaves the client time to bring another.

use super::connect::time_left;
use super::refusals::failure;
use super::{Done, Until};
use crate::hub::ConnectionKey;
use crate::node::Sessions;
use crate::policy::answer::Answer;
use crate::policy::memo::Verdict;
use crate::wasm::authority::{Pass, Question};
use sschat_protocol::centrifuge::session::Session;
use sschat_protocol::centrifuge::{Failure, SubRefresh, Unsubscribed};
use std::sync::Arc;

impl Sessions {
    /// What a client presents to hear a channel, if it brings a token.
    pub(super) fn pass(&mut self, key: ConnectionKey, token: &str) -> Option<Pass> {
        let client = self.client(key).filter(|_| !token.is_empty())?;
        Some(Pass {
            token: token.into(),
            client: client.name(),
        })
    }

    /// Presents a new token for a subscription that ends.
    pub(super) fn sub_refresh(
        &mut self,
        key: ConnectionKey,
        (id, wanted): (u32, &SubRefresh<'_>),
        decided: Option<&Arc<Verdict>>,
        out: &mut Vec<u8>,
    ) -> Done {
        let node = Arc::clone(&self.node);
        let pass = self.pass(key, &wanted.token);
        let room = &*wanted.channel;
        let mut decided = decided;
        loop {
            let question = |identity| Question::MayJoin(identity, room.to_owned(), pass.clone());
            let Some(verdict) = self.verdict(key, question, ("", None), decided.take()) else {
                return Done::Wait(Until::Verdict);
            };
            let expires = match verdict.answer() {
                Some(Answer::Rooms(heard, _)) => heard.first().and_then(|it| it.expires),
                Some(Answer::No(refusal)) => return self.refused(key, id, &failure(refusal), out),
                _ => return self.refused(key, id, &Failure::INTERNAL, out),
            };
            let Some(watcher) = self.session(key).map(|session| session.watcher) else {
                return Done::Next;
            };
            // Where it ended since, it is asked again.
            let joining = (room, pass.clone());
            if node.grants.join(watcher, joining, &verdict).is_some() {
                let ttl = time_left(expires);
                self.with(key, |session, now, settings| {
                    session.sub_refreshed(now, settings, (id, room), ttl, out);
                });
                return Done::Next;
            }
        }
    }
}

/// How a client is told that it hears a channel no more. One whose token lasts for a time has run out of it, or
/// something was changed: it may ask again, with a new token.
pub(super) fn taken_back(session: &Session, channel: &str) -> Unsubscribed {
    match session.channel(channel) {
        Some(entry) if entry.expires() => Unsubscribed::EXPIRED,
        _ => Unsubscribed::SERVER,
    }
}
