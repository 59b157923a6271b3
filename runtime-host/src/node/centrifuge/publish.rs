//! What a client says, and how members hear what is said.

use super::refusals::failure;
use super::{Done, Until};
use crate::broker::receipts::Outcome;
use crate::broker::{Channel, Refused, Speaker, Tags};
use crate::hub::ConnectionKey;
use crate::metrics::tally::{self, Figure};
use crate::node::Sessions;
use crate::node::publish::Taken;
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
            tally::add(Figure::Held, 1);
            return self.speak_for(key, id, (&channel, message, &from), out, turn);
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
        self.speak_for(key, id, (&channel, message, &from), out, turn)
    }

    /// Where history is kept, the reply follows once the publication is as safe as it is promised to be.
    fn speak_for(
        &mut self,
        key: ConnectionKey,
        id: u32,
        (channel, message, from): (&Arc<Channel>, &str, &Arc<str>),
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Done {
        let receipt = self.node.broker.keeps_history().then_some(id);
        let said = self.speak(key, (channel, None), (message, from), receipt, turn);
        match (said, receipt) {
            (Ok(()), Some(_)) => Done::Next,
            (Ok(()), None) => self.replied(key, id, &Reply::Publish(None), out),
            (Err(refused), _) => self.refused(key, id, &unpublished(&refused), out),
        }
    }

    /// What became of a publication.
    pub(in crate::node) fn receipt(
        &mut self,
        key: ConnectionKey,
        id: u32,
        outcome: &Outcome,
        turn: &mut Turn<'_>,
    ) {
        let epoch: String;
        let reply = match outcome {
            Err(refused) => {
                let failure = unpublished(refused);
                self.say(key, turn, |session, _, _, out| {
                    session.refused(id, &failure, out);
                });
                return;
            }
            Ok(None) => Reply::Publish(None),
            Ok(Some(position)) => {
                epoch = position.epoch.to_string();
                Reply::Publish(Some((position.offset, &epoch)))
            }
        };
        self.say(key, turn, |session, _, _, out| {
            session.replied(id, &reply, out);
        });
    }
}

/// Why the broker takes no publication.
fn unpublished(refused: &Refused) -> Failure {
    tracing::debug!(%refused, "a publication was refused");
    match refused.is_final() {
        true => Failure::LIMIT_EXCEEDED,
        false => Failure::INTERNAL,
    }
}

/// Appends the push of a publication, the same for all members that speak this format. The seed's clients say things
/// too; their connections have no name.
pub(in crate::node) fn publication(
    format: Format,
    room: &str,
    (said, data): (Taken<'_>, Payload<'_>),
    out: &mut Vec<u8>,
) {
    let publication = Publication {
        data,
        offset: said.stamp.map_or(0, |stamp| stamp.position.offset),
        time: said.stamp.map_or(0, |stamp| stamp.time as i64),
        ..shown(&[], said.from, (said.by.map(|by| &**by), said.tags))
    };
    Push::Publication(&publication).encode(format, room, out);
}

/// A publication as clients see it; without `from`, the tenant's backend said it.
pub(super) fn shown<'a>(
    data: &'a [u8],
    from: &'a str,
    (by, tags): (Option<&'a Speaker>, Option<&'a Tags>),
) -> Publication<'a> {
    let conn_info = by.and_then(|by| by.info.as_deref());
    let info = ClientInfo {
        user: from,
        client: by.map_or("", |by| &by.client),
        conn_info: conn_info.unwrap_or_default().as_bytes(),
        ..ClientInfo::default()
    };
    Publication {
        data: Payload::Whole(data),
        info: (!from.is_empty() || by.is_some()).then_some(info),
        tags: tags.map_or(&[], |tags| tags),
        ..Publication::default()
    }
}
