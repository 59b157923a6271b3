//! Channels that a client names itself, beside the rooms that it is a member of.

use super::connect::time_left;
use super::refusals::failure;
use super::{Done, Until};
use crate::hub::ConnectionKey;
use crate::node::{Heard, Sessions};
use crate::policy::answer::Answer;
use crate::policy::memo::Verdict;
use crate::socket::Turn;
use crate::wasm::authority::Question;
use sschat_protocol::centrifuge::{Failure, Subscribe, Subscription};
use std::sync::Arc;

impl Sessions {
    /// Subscribes a client, if it may hear the room, by itself or by the token that it brings.
    pub(super) fn subscribe(
        &mut self,
        key: ConnectionKey,
        (id, wanted): (u32, &Subscribe<'_>),
        decided: Option<&Arc<Verdict>>,
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Done {
        if let Some(failure) = unavailable(wanted) {
            return self.refused(key, id, &failure, out);
        }
        let node = Arc::clone(&self.node);
        let room = &*wanted.channel;
        let mut decided = decided;
        let pass = self.pass(key, &wanted.token);
        loop {
            let question = |identity| Question::MayJoin(identity, room.to_owned(), pass.clone());
            let Some(verdict) = self.verdict(key, question, ("", None), decided.take()) else {
                return Done::Wait(Until::Verdict);
            };
            let (presence, expires) = match verdict.answer() {
                Some(Answer::Rooms(heard, _)) => heard
                    .first()
                    .map_or((false, None), |it| (it.presence, it.expires)),
                Some(Answer::No(refusal)) => return self.refused(key, id, &failure(refusal), out),
                _ => return self.refused(key, id, &Failure::INTERNAL, out),
            };
            let Some(session) = self.session(key) else {
                return Done::Next;
            };
            let Some(who) = &session.who else {
                return Done::Next;
            };
            let channel = node.channels.get(&who.tenant, room);
            // Where it ended since, it is asked again.
            if node
                .grants
                .join(session.watcher, (room, pass.clone()), &verdict)
            {
                session.joined += 1;
                let heard = Heard { channel, presence };
                self.hear(key, (id, wanted), (&heard, expires), out, turn);
                return Done::Next;
            }
        }
    }

    fn hear(
        &mut self,
        key: ConnectionKey,
        (id, wanted): (u32, &Subscribe<'_>),
        (heard, expires): (&Heard, Option<u64>),
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) {
        let ttl = time_left(expires);
        let result = Subscription {
            expires: ttl.is_some(),
            ttl: ttl.unwrap_or(0),
            was_recovering: wanted.recover,
            ..Subscription::default()
        };
        self.with(key, |session, now, settings| {
            session.subscribed(now, settings, id, &result, out)
        });
        let room = &heard.channel.room;
        let place = |sessions: &mut Self| {
            let place = sessions.session(key)?.place(room)?;
            place.join_leave |= wanted.join_leave;
            Some(())
        };
        // Before it enters, for it is told of itself, too.
        if wanted.join_leave {
            self.node.listeners.add(&heard.channel);
        }
        // The server may have subscribed it while this was decided.
        if place(self).is_none() {
            self.enter(key, heard, turn);
            place(self);
        }
    }

    /// A client hears a channel no more, because it said so or because its time was over.
    pub(super) fn hear_no_more(&mut self, key: ConnectionKey, room: &str, turn: &mut Turn<'_>) {
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return;
        };
        if node.grants.leave(session.watcher, room) {
            session.joined = session.joined.saturating_sub(1);
        }
        let at = session
            .places
            .iter()
            .position(|place| *place.channel.room == *room);
        if let Some(place) = at.map(|at| session.places.swap_remove(at)) {
            self.leave(place.seat, &place.channel, false, turn);
            let who = self.present(key);
            self.tell_leaving(who.as_ref(), &place);
        }
    }
}

/// What a client wants of a subscription that is not offered.
fn unavailable(wanted: &Subscribe<'_>) -> Option<Failure> {
    if wanted.filter.is_some() {
        return Some(Failure::NOT_AVAILABLE);
    }
    let strict = wanted.flag & Subscribe::REJECT_UNRECOVERED != 0;
    (wanted.recover && strict).then_some(Failure::UNRECOVERABLE_POSITION)
}
