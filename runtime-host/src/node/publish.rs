//! What a member says reaches the other members.

use super::session::Waiting;
use super::wire::{self, JSON, TEXT};
use super::{Command, Sessions, centrifuge};
use crate::broker::{
    Channel, Fanout, Origin, Publication, Receipt, Refused, Said, Speaker, Stamp, Tags, Taker,
};
use crate::hub::{ConnectionKey, RoomKey, Seat};
use crate::metrics::tally::{self, Figure};
use crate::policy::answer::Answer;
use crate::policy::memo::{Leave, Verdict, Watcher};
use crate::policy::trace::Occasion;
use crate::socket::{Flow, Turn};
use crate::wasm::authority::{Identity, Question};
use sschat_protocol::centrifuge::Disconnect;
use sschat_protocol::seed::{self, ErrorCode};
use std::sync::Arc;

/// A publication as it is taken in.
#[derive(Clone, Copy)]
pub(super) struct Taken<'a> {
    /// The message: a JSON value as text.
    pub(super) message: &'a str,
    /// Who said it.
    pub(super) from: &'a str,
    /// The connection that said it, where its protocol names connections.
    pub(super) by: Option<&'a Arc<Speaker>>,
    /// Its tags, if any.
    pub(super) tags: Option<&'a Tags>,
    /// Its place in the history, if there is one.
    pub(super) stamp: Option<Stamp>,
}

impl Sessions {
    /// Publishes `message`, a JSON value, in `room`. `text` is the command it came in.
    pub(super) fn publish(
        &mut self,
        key: ConnectionKey,
        (room, message): (&str, &str),
        text: &str,
        decided: Option<&Arc<Verdict>>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let undecided = self.node.settings.undecided;
        let Some(session) = self
            .sessions
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return Flow::Continue;
        };
        let Some(who) = &session.who else {
            return Flow::Continue;
        };
        let from = Arc::clone(&who.user);
        // The common case: the verdict is at hand, nothing else is looked at.
        if let Some(place) = session.place(room)
            && (undecided
                || place
                    .speak
                    .as_mut()
                    .is_some_and(|leave| leave.holds(&self.ends)))
        {
            let (channel, seat) = (Arc::clone(&place.channel), place.seat);
            tally::add(Figure::Held, 1);
            let place = (&channel, Some(seat));
            return self.speak_here(key, place, (message, &from), turn);
        }
        if !session.may_publish {
            let code = ErrorCode::Denied.as_str();
            return self.refuse(key, turn, code, "this login may not publish");
        }
        let question = |identity| Question::MayPublish(identity, room.to_owned());
        match self.verdict(key, question, (text, Some(message)), decided) {
            None => Flow::Pause,
            Some(verdict) => self.speak_if(key, room, (message, &from), &verdict, turn),
        }
    }

    fn speak_if(
        &mut self,
        key: ConnectionKey,
        room: &str,
        said: (&str, &Arc<str>),
        verdict: &Arc<Verdict>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let (message, from) = said;
        let message = match verdict.answer() {
            Some(Answer::Yes) => message,
            Some(Answer::Rewrite(payload)) => payload,
            Some(Answer::No(refusal)) => {
                return self.refuse(key, turn, &refusal.code, &refusal.reason);
            }
            _ => return Flow::Continue,
        };
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return Flow::Continue;
        };
        let (channel, seat) = match session.place(room) {
            Some(place) => {
                place.speak = Leave::by(verdict);
                (Arc::clone(&place.channel), Some(place.seat))
            }
            // It may speak where it does not listen.
            None => match &session.who {
                Some(who) => (node.channels.get(&who.tenant, room), None),
                None => return Flow::Continue,
            },
        };
        self.speak_here(key, (&channel, seat), (message, from), turn)
    }

    fn speak_here(
        &mut self,
        key: ConnectionKey,
        place: (&Arc<Channel>, Option<Seat>),
        said: (&str, &Arc<str>),
        turn: &mut Turn<'_>,
    ) -> Flow {
        if let Err(refused) = self.speak(key, place, said, None, turn) {
            self.refuse_publication(key, &refused, turn);
        }
        Flow::Continue
    }

    /// Publishes in a channel what may be said there. `seat`, where there is one, is not owed it; `command` is what the
    /// session calls it, where it wants a receipt.
    ///
    /// # Errors
    /// Where it is refused at once; nobody hears it.
    pub(super) fn speak(
        &mut self,
        key: ConnectionKey,
        (channel, seat): (&Arc<Channel>, Option<Seat>),
        (message, from): (&str, &Arc<str>),
        command: Option<u32>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refused> {
        let shard = self.shard;
        let (watcher, (left_out, by)) = match self.session(key) {
            Some(session) => (session.watcher, session.publishes_as()),
            None => (Watcher::MAX, (Watcher::MAX, None)),
        };
        let said = Said {
            message,
            from,
            by: by.as_ref(),
            tags: None,
            key: None,
            passing: false,
        };
        let origin = Origin::Session {
            shard,
            session: left_out,
        };
        let taker = command.map(|command| Taker::Session {
            shard,
            session: watcher,
            command,
        });
        let fanout = self.node.broker.publish(channel, &said, origin, taker)?;
        tally::add(Figure::Publications, 1);
        let room = |turn: &Turn<'_>| match seat {
            Some(seat) => Some(seat.room),
            None => turn.hub.room(channel.id),
        };
        if let Fanout::Here(stamp) = fanout {
            let said = Taken {
                message,
                from,
                by: by.as_ref(),
                tags: None,
                stamp,
            };
            self.set_aside(channel, said);
            if let Some(room) = room(turn) {
                self.take_in(room, seat, channel, said, turn);
            }
        }
        Ok(())
    }

    fn refuse_publication(&mut self, key: ConnectionKey, refused: &Refused, turn: &mut Turn<'_>) {
        tracing::debug!(%refused, "a publication was refused");
        let code = if refused.is_final() {
            ErrorCode::TooLarge
        } else {
            ErrorCode::Temporary
        };
        self.refuse(key, turn, code.as_str(), &refused.to_string());
    }

    /// What became of publications of this shard's sessions. The seed's protocol hears of
    /// those alone that came to nothing.
    pub(super) fn acknowledged(&mut self, receipts: Vec<Receipt>, turn: &mut Turn<'_>) {
        for receipt in receipts {
            let Some(key) = self.find(receipt.session) else {
                continue;
            };
            if self.is_client(key) {
                self.receipt(key, receipt.command, &receipt.outcome, turn);
            } else if let Err(refused) = receipt.outcome {
                self.refuse_publication(key, &refused, turn);
            }
        }
    }

    /// A publication that came by mail.
    pub(super) fn deliver(
        &mut self,
        channel: &Channel,
        publication: &Publication,
        origin: Option<u64>,
        turn: &mut Turn<'_>,
    ) {
        channel.taken_in(self.shard);
        let said = Taken {
            message: &publication.message,
            from: &publication.from,
            by: publication.by.as_ref(),
            tags: publication.tags.as_ref(),
            stamp: publication.stamp,
        };
        self.set_aside(channel, said);
        let Some(room) = turn.hub.room(channel.id) else {
            return;
        };
        let seat = origin
            .and_then(|origin| self.find(origin))
            .and_then(|key| self.session(key))
            .and_then(|session| session.seated(room))
            .map(|place| place.seat);
        self.take_in(room, seat, channel, said, turn);
    }

    /// Publications of a channel were lost on their way to this host. Clients that count
    /// offsets come back and recover, or are told that they can't; the seed's protocol has
    /// no word for it.
    pub(super) fn lost(&mut self, channel: &Channel, turn: &mut Turn<'_>) {
        let Some(room) = turn.hub.room(channel.id) else {
            return;
        };
        let members: Vec<_> = turn.hub.everybody(room).collect();
        for key in members {
            if self.is_client(key) {
                self.disconnect(key, &Disconnect::INSUFFICIENT_STATE, turn);
            }
        }
    }

    /// Appends a publication to the room's log, one frame per wire format.
    fn take_in(
        &mut self,
        room: RoomKey,
        publisher: Option<Seat>,
        channel: &Channel,
        said: Taken<'_>,
        turn: &mut Turn<'_>,
    ) {
        let deltas = turn.hub.formats(room).any(wire::has_deltas);
        let delta = match deltas {
            true => self.difference(channel, said.message),
            false => None,
        };
        let filtered = turn.hub.formats(room).any(|it| wire::filter(it) > 0);
        let tags = match filtered {
            true => centrifuge::looked_at(said.tags),
            false => Vec::new(),
        };
        let filters = &self.clients.filters;
        let (scratch, deflater) = (&mut self.scratch, &mut self.deflater);
        turn.hub.publish(room, publisher, |format, log| {
            if filtered && !filters.want(wire::filter(format), &tags) {
                return;
            }
            scratch.clear();
            match wire::plain(format) {
                TEXT => seed::message_text(scratch, said.message),
                JSON => seed::message(scratch, said.message, said.from, &channel.room),
                other => match wire::client_format(other) {
                    Some(plain) => {
                        let payload = wire::payload(format, said.message, delta.as_deref());
                        centrifuge::publication(plain, &channel.room, (said, payload), scratch);
                    }
                    None => return,
                },
            }
            wire::push(deflater, format, scratch, log);
        });
        if deltas {
            self.heard_the_first(room, channel, said.message, turn);
        }
    }

    /// The verdict on a question about the session's user, if it is known: `decided`, or
    /// remembered. Otherwise the command is parked until it is.
    pub(super) fn verdict(
        &mut self,
        key: ConnectionKey,
        question: impl FnOnce(Identity) -> Question,
        (text, payload): (&str, Option<&str>),
        decided: Option<&Arc<Verdict>>,
    ) -> Option<Arc<Verdict>> {
        // It may have ended on its way here: then it is as if it had not been decided.
        if let Some(verdict) = decided.filter(|verdict| verdict.holds()) {
            return Some(Arc::clone(verdict));
        }
        let node = Arc::clone(&self.node);
        let session = self.session(key)?;
        let who = session.who.as_ref()?;
        let question = question(Identity {
            tenant: who.tenant.to_string(),
            user: who.user.to_string(),
        });
        if let Some(verdict) = node.policy.recall(&question) {
            return Some(verdict);
        }
        session.waiting = Some(Box::new(Waiting { text: text.into() }));
        let watcher = session.watcher;
        let occasion = Occasion {
            connection: Some(Arc::clone(&session.connection)),
            payload: payload.map(Arc::from),
        };
        let shard = self.shard;
        self.node.runtime.spawn(async move {
            let outcome = node.policy.decide(question, &occasion).await;
            node.post.tell(shard, Command::Decided(watcher, outcome));
        });
        None
    }
}
