//! Who is online: told to those who share a room, and answered when asked.

use super::{Command, Post, Sessions, wire};
use crate::broker::Channel;
use crate::hub::{ConnectionKey, RoomKey};
use crate::policy::answer::Answer;
use crate::policy::memo::Verdict;
use crate::socket::{Flow, Turn};
use crate::wasm::authority::Question;
use sschat_protocol::seed;
use sschat_protocol::websocket::{Opcode, push_frame};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A user came or went.
#[derive(Debug)]
pub struct Notice {
    user: Arc<str>,
    online: bool,
    channels: Vec<Arc<Channel>>,
}

impl Notice {
    pub(super) fn new(user: Arc<str>, online: bool, channels: Vec<Arc<Channel>>) -> Self {
        Self {
            user,
            online,
            channels,
        }
    }
}

impl Post {
    /// Tells every shard.
    pub(super) fn announce(&self, notice: Notice) {
        let notice = Arc::new(notice);
        for shard in 0..self.shards.len() {
            self.tell(shard, Command::Presence(Arc::clone(&notice)));
        }
    }
}

impl Sessions {
    /// Tells every shard that a user came or went, for those rooms that are not too big.
    pub(super) fn announce(&mut self, user: &Arc<str>, online: bool, channels: &[Arc<Channel>]) {
        let channels = channels.iter().filter(|channel| self.is_told_of(channel));
        let channels: Vec<_> = channels.cloned().collect();
        if !channels.is_empty() {
            let notice = Notice::new(Arc::clone(user), online, channels);
            self.node.post.announce(notice);
        }
    }

    /// Whether anybody hears the channel, and not too many to be told who comes and goes.
    fn is_told_of(&self, channel: &Channel) -> bool {
        let members = channel.members.load(Ordering::Relaxed);
        members > 0 && members <= self.node.settings.presence_limit
    }

    /// Tells those sessions of this shard that share a room with the user, each once.
    pub(super) fn tell_presence(&mut self, notice: &Notice, turn: &mut Turn<'_>) {
        let mut connections: Vec<ConnectionKey> = Vec::new();
        for channel in &notice.channels {
            if self.is_told_of(channel)
                && let Some(room) = turn.hub.room(channel.id)
            {
                for format in wire::ENVELOPES {
                    let members = turn.hub.members(room, format);
                    connections.extend(members.filter(|key| self.sees(*key, room)));
                }
            }
        }
        connections.sort_unstable();
        connections.dedup();
        connections.retain(|key| {
            self.session(*key)
                .and_then(|session| session.who.as_ref())
                .is_some_and(|who| who.user != notice.user)
        });
        if connections.is_empty() {
            return;
        }
        self.scratch.clear();
        seed::presence(&mut self.scratch, notice.online, &notice.user);
        let scratch = &self.scratch;
        turn.hub.tell(connections.into_iter(), |out| {
            push_frame(out, Opcode::Text, scratch);
        });
    }

    /// Whether the connection may know who is online in the room.
    fn sees(&mut self, key: ConnectionKey, room: RoomKey) -> bool {
        self.session(key)
            .and_then(|session| session.seated(room))
            .is_some_and(|place| place.presence)
    }

    /// Answers whether a user is online.
    pub(super) fn ping(
        &mut self,
        key: ConnectionKey,
        user: &str,
        text: &str,
        decided: Option<&Arc<Verdict>>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let Some(session) = self.session(key) else {
            return Flow::Continue;
        };
        let Some(who) = &session.who else {
            return Flow::Continue;
        };
        let tenant = Arc::clone(&who.tenant);
        let question = |identity| Question::MaySee(identity, user.to_owned());
        let Some(verdict) = self.verdict(key, question, (text, None), decided) else {
            return Flow::Pause;
        };
        match verdict.answer() {
            Some(Answer::Yes) => {
                let online = self.node.broker.online(&tenant, user);
                self.answer(key, turn, |out| seed::presence(out, online, user));
            }
            Some(Answer::No(refusal)) => {
                self.refuse(key, turn, &refusal.code, &refusal.reason);
            }
            _ => {}
        }
        Flow::Continue
    }
}
