//! Channels that a client names itself, beside the rooms that it is a member of.

use super::connect::time_left;
use super::filters::Kept;
use super::recovery::{Asked, Caught, Claim, Purpose};
use super::refusals::failure;
use super::{Done, Until};
use crate::broker::Channel;
use crate::hub::ConnectionKey;
use crate::node::{Heard, Sessions};
use crate::policy::answer::Answer;
use crate::policy::memo::Verdict;
use crate::socket::Turn;
use crate::wasm::authority::Question;
use sschat_protocol::centrifuge::{Delta, Failure, Subscribe, Subscription};
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
            let filter = wanted.filter.clone().map(|it| Arc::new(it.into_owned()));
            // Before it joins, so that a refusal leaves everything as it was.
            if let Some(failure) = self.refuses_filter(key, filter.as_ref(), &channel, turn) {
                return self.refused(key, id, &failure, out);
            }
            let Some(session) = self.session(key) else {
                return Done::Next;
            };
            // Where it ended since, it is asked again.
            let joining = (room, pass.clone());
            if let Some(new) = node.grants.join(session.watcher, joining, &verdict) {
                session.joined += u32::from(new);
                let heard = Heard { channel, presence };
                let wanted = (id, wanted, filter);
                return self.hear(key, wanted, (&heard, expires), out, turn);
            }
        }
    }

    fn hear(
        &mut self,
        key: ConnectionKey,
        (id, wanted, filter): (u32, &Subscribe<'_>, Option<Kept>),
        (heard, expires): (&Heard, Option<u64>),
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Done {
        let channel = heard.channel.id;
        let asked = Asked {
            id,
            expires,
            join_leave: wanted.join_leave,
            // What one heard before, another who filters alike may not have.
            deltas: wanted.delta == Delta::Fossil && filter.is_none(),
            filter,
            strict: wanted.flag & Subscribe::REJECT_UNRECOVERED != 0,
        };
        let claim = wanted.recover.then(|| Claim {
            epoch: (*wanted.epoch).into(),
            offset: wanted.offset,
        });
        // The server may have subscribed it while this was decided, or be about to.
        let room = &heard.channel.room;
        if self.session(key).is_some_and(|it| it.place(room).is_some()) {
            return self.subscribed_already(key, asked, (heard, claim.is_some()), out);
        }
        self.give_up_catching(key, |it| it.channel.id == channel);
        match self.catch_up(key, heard, (Purpose::Subscribe(asked.clone()), claim)) {
            None => Done::Wait(Until::Answer),
            Some(caught) => {
                self.subscribed(key, asked, (heard, &caught), out, turn);
                Done::Next
            }
        }
    }

    /// A client caught up with a channel that it subscribed to: it is answered, and hears it from now on.
    pub(super) fn subscribed(
        &mut self,
        key: ConnectionKey,
        asked: Asked,
        (heard, caught): (&Heard, &Caught),
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) {
        let channel = &heard.channel;
        if asked.strict && !caught.recovered() {
            self.refused(key, asked.id, &Failure::UNRECOVERABLE_POSITION, out);
            return self.stays_away(key, channel);
        }
        let filter = asked.filter.as_ref();
        // Others may have brought theirs while it caught up.
        if let Some(failure) = self.refuses_filter(key, filter, channel, turn) {
            self.refused(key, asked.id, &failure, out);
            return self.stays_away(key, channel);
        }
        let publications = caught.publications(asked.deltas, filter);
        let result = Subscription {
            delta: asked.deltas,
            ..lasting(asked.expires, caught.subscription(&publications))
        };
        let stays = self.with(key, |session, now, settings| {
            session.subscribed(now, settings, asked.id, &result, out)
        });
        if stays != Some(true) {
            return self.stays_away(key, channel);
        }
        // Before it is seated, for it is told of itself, too.
        if asked.join_leave {
            self.node.listeners.add(channel);
            self.node.broker.listens(true);
        }
        self.take_seat(key, heard, (asked.deltas, filter), turn);
        if let Some(place) = self.session(key).and_then(|it| it.place(&channel.room)) {
            place.join_leave = asked.join_leave;
        }
    }

    /// Why a client may not hear a channel through this filter.
    fn refuses_filter(
        &mut self,
        key: ConnectionKey,
        filter: Option<&Kept>,
        channel: &Channel,
        turn: &Turn<'_>,
    ) -> Option<Failure> {
        let filter = filter?;
        // The server made it hear all of it.
        if self.session(key)?.place(&channel.room).is_some() {
            return Some(Failure::NOT_AVAILABLE);
        }
        let takes = (self.clients.filters).takes(filter, turn.hub.room(channel.id), turn);
        (!takes).then_some(Failure::LIMIT_EXCEEDED)
    }

    /// A client asks for a channel that it hears already, because the server subscribed it meanwhile.
    fn subscribed_already(
        &mut self,
        key: ConnectionKey,
        asked: Asked,
        (heard, was_recovering): (&Heard, bool),
        out: &mut Vec<u8>,
    ) -> Done {
        let (channel, node) = (&heard.channel, Arc::clone(&self.node));
        let position = node.broker.position(channel, self.shard);
        let caught = Caught::heard_since(position, was_recovering);
        let result = lasting(asked.expires, caught.subscription(&[]));
        self.with(key, |session, now, settings| {
            session.subscribed(now, settings, asked.id, &result, out)
        });
        if let Some(place) = self.session(key).and_then(|it| it.place(&channel.room))
            && asked.join_leave
            && !std::mem::replace(&mut place.join_leave, true)
        {
            node.listeners.add(channel);
            node.broker.listens(true);
        }
        Done::Next
    }

    /// A client does not hear a channel after all that it was about to.
    pub(super) fn stays_away(&mut self, key: ConnectionKey, channel: &Channel) {
        channel.left(self.shard);
        self.forget_joining(key, channel);
    }

    fn forget_joining(&mut self, key: ConnectionKey, channel: &Channel) {
        let node = Arc::clone(&self.node);
        if let Some(session) = self.session(key)
            && node.grants.leave(session.watcher, &channel.room)
        {
            session.joined = session.joined.saturating_sub(1);
        }
    }

    /// Subscriptions that a client waited for and may not have any more.
    pub(in crate::node) fn give_up_all_but(
        &mut self,
        key: ConnectionKey,
        keep: &[Heard],
        turn: &mut Turn<'_>,
    ) {
        let keeps = |heard: &Heard| keep.iter().any(|it| it.channel.id == heard.channel.id);
        for (_, command) in self.give_up_catching(key, |heard| !keeps(heard)) {
            if let Some(id) = command {
                self.say(key, turn, |session, _, _, out| {
                    session.refused(id, &Failure::PERMISSION_DENIED, out);
                });
                self.go_on_after(key, Until::Answer, turn);
            }
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

/// A subscription that its token ends at this time, if it does.
fn lasting(expires: Option<u64>, subscription: Subscription<'_>) -> Subscription<'_> {
    let ttl = time_left(expires);
    Subscription {
        expires: ttl.is_some(),
        ttl: ttl.unwrap_or(0),
        ..subscription
    }
}
