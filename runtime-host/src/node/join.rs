//! Rooms that a session names itself, beside those that it is a member of.

use super::{Heard, Sessions};
use crate::hub::ConnectionKey;
use crate::policy::answer::Answer;
use crate::policy::memo::Verdict;
use crate::socket::{Flow, Turn};
use crate::wasm::authority::Question;
use sschat_protocol::seed::{self, ErrorCode};
use std::sync::Arc;

/// The most rooms that one session may name.
const JOINED_LIMIT: u32 = 128;

impl Sessions {
    /// Hears a room from now on, if the session may.
    pub(super) fn join(
        &mut self,
        key: ConnectionKey,
        room: &str,
        text: &str,
        decided: Option<&Arc<Verdict>>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return Flow::Continue;
        };
        let Some(who) = &session.who else {
            return Flow::Continue;
        };
        let tenant = Arc::clone(&who.tenant);
        if session.place(room).is_some() {
            self.answer(key, turn, |out| seed::membership(out, true, room));
            return Flow::Continue;
        }
        let (joined, watcher) = (session.joined, session.watcher);
        let (most, length) = self
            .may_name(key)
            .unwrap_or((JOINED_LIMIT as usize, usize::MAX));
        if joined as usize >= most || room.len() > length {
            let text = "the session hears as many rooms as it may, or the name is too long";
            return self.refuse(key, turn, ErrorCode::Limit.as_str(), text);
        }
        let question = |identity| Question::MayJoin(identity, room.to_owned(), None);
        let Some(verdict) = self.verdict(key, question, (text, None), decided) else {
            return Flow::Pause;
        };
        match verdict.answer() {
            Some(Answer::Rooms(heard, _)) => {
                // Ended since: asked again.
                let Some(new) = node.grants.join(watcher, (room, None), &verdict) else {
                    return self.join(key, room, text, None, turn);
                };
                let heard = Heard {
                    channel: node.channels.get(&tenant, room),
                    presence: heard.first().is_some_and(|heard| heard.presence),
                };
                self.enter(key, &heard, turn);
                if let Some(session) = self.session(key) {
                    session.joined += u32::from(new);
                }
                self.answer(key, turn, |out| seed::membership(out, true, room));
                Flow::Continue
            }
            Some(Answer::No(refusal)) => self.refuse(key, turn, &refusal.code, &refusal.reason),
            _ => Flow::Continue,
        }
    }

    /// Hears a room no more that the session named itself.
    pub(super) fn leave_named(
        &mut self,
        key: ConnectionKey,
        room: &str,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return Flow::Continue;
        };
        if session.who.is_none() {
            return Flow::Continue;
        }
        if !node.grants.leave(session.watcher, room) {
            let text = "the session did not join that room itself";
            return self.refuse(key, turn, ErrorCode::NotJoined.as_str(), text);
        }
        session.joined = session.joined.saturating_sub(1);
        let at = session
            .places
            .iter()
            .position(|place| *place.channel.room == *room);
        if let Some(place) = at.map(|at| session.places.swap_remove(at)) {
            self.leave(place.seat, &place.channel, false, turn);
            let who = self.present(key);
            self.tell_leaving(who.as_ref(), &place);
        }
        self.answer(key, turn, |out| seed::membership(out, false, room));
        Flow::Continue
    }
}
