//! What a client says, and how members hear what is said.

use super::refusals::failure;
use super::{Done, Until};
use crate::hub::ConnectionKey;
use crate::node::Sessions;
use crate::policy::answer::Answer;
use crate::policy::memo::{Leave, Verdict};
use crate::socket::Turn;
use crate::wasm::authority::Question;
use sschat_protocol::centrifuge::{
    ClientInfo, Failure, Format, Payload, Publication, Publish, Push, Reply,
};
use std::sync::Arc;

impl Sessions {
    /// Publishes for a client, which is told so. A member receives its own publications on this protocol.
    pub(super) fn publish_for(
        &mut self,
        key: ConnectionKey,
        (id, said): (u32, &Publish<'_>),
        decided: Option<&Arc<Verdict>>,
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Done {
        let undecided = self.node.settings.undecided;
        let Ok(message) = str::from_utf8(said.data) else {
            return self.refused(key, id, &Failure::BAD_REQUEST, out);
        };
        let Some(session) = self
            .sessions
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return Done::Next;
        };
        let Some(who) = &session.who else {
            return Done::Next;
        };
        let from = Arc::clone(&who.user);
        // The common case: the verdict is at hand, nothing else is looked at.
        if let Some(place) = session.place(&said.channel)
            && (undecided
                || place
                    .speak
                    .as_mut()
                    .is_some_and(|leave| leave.holds(&self.ends)))
        {
            let channel = Arc::clone(&place.channel);
            self.speak(key, &channel, None, (message, &from), turn);
            return self.replied(key, id, &Reply::Publish(None), out);
        }
        if !session.may_publish {
            return self.refused(key, id, &Failure::PERMISSION_DENIED, out);
        }
        let question = |identity| Question::MayPublish(identity, said.channel.to_string());
        let Some(verdict) = self.verdict(key, question, ("", Some(message)), decided) else {
            return Done::Wait(Until::Verdict);
        };
        let message = match verdict.answer() {
            Some(Answer::Yes) => message,
            Some(Answer::Rewrite(payload)) => payload,
            Some(Answer::No(refusal)) => return self.refused(key, id, &failure(refusal), out),
            _ => return self.refused(key, id, &Failure::INTERNAL, out),
        };
        let Some(session) = self.session(key) else {
            return Done::Next;
        };
        let channel = match session.place(&said.channel) {
            Some(place) => {
                place.speak = Leave::by(&verdict);
                Arc::clone(&place.channel)
            }
            // It may speak where it does not listen.
            None => match session.who.as_ref().map(|who| Arc::clone(&who.tenant)) {
                Some(tenant) => self.node.channels.get(&tenant, &said.channel),
                None => return Done::Next,
            },
        };
        self.speak(key, &channel, None, (message, &from), turn);
        self.replied(key, id, &Reply::Publish(None), out)
    }
}

/// Appends the push of a publication, the same for all members that speak this format. The seed's clients say things
/// too; their connections have no name.
pub(in crate::node) fn publication(
    format: Format,
    room: &str,
    (message, from, client): (&str, &str, Option<&str>),
    out: &mut Vec<u8>,
) {
    let info = ClientInfo {
        user: from,
        client: client.unwrap_or_default(),
        ..ClientInfo::default()
    };
    let publication = Publication {
        data: Payload::Whole(message.as_bytes()),
        info: Some(info),
        ..Publication::default()
    };
    Push::Publication(&publication).encode(format, room, out);
}
