//! What a tenant's backend has done to sessions of a user: every shard looks for them among its own.
//!
//! Absent on purpose: rights. A subscription that the backend asks for needs a verdict like any other, which comes with
//! the errand; and a room that a session hears as a member is left by removing the member.

use super::{Command, Heard, Post, Sessions};
use crate::broker::Channel;
use crate::hub::ConnectionKey;
use crate::policy::answer::Answer;
use crate::policy::memo::Verdict;
use crate::socket::Turn;
use sschat_protocol::centrifuge::Disconnect;
use sschat_protocol::seed;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Whose sessions are meant.
#[derive(Debug, Clone)]
pub(crate) struct Whose {
    /// The tenant's public id.
    pub(crate) tenant: Box<str>,
    /// The user.
    pub(crate) user: Box<str>,
    /// One connection alone.
    pub(crate) client: Option<Box<str>>,
    /// Connections that are not meant.
    pub(crate) spared: Vec<Box<str>>,
}

/// What is done to them.
pub(crate) enum Act {
    /// They end.
    Disconnect {
        /// The close code.
        code: u16,
        /// Why, at most 123 bytes.
        reason: Box<str>,
    },
    /// They hear a room from now on, as the verdict allows.
    Subscribe(Arc<Channel>, Arc<Verdict>),
    /// They hear a room no more that they named themselves, or were made to hear.
    Unsubscribe(Box<str>),
}

/// What came of an errand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Sessions that it was done to.
    pub(crate) sessions: usize,
    /// Whether some hear the room as members, and go on to.
    pub(crate) members: bool,
}

/// An errand on its way to the shards.
pub struct Errand {
    whose: Whose,
    act: Act,
    /// Shards that have not done it yet.
    left: AtomicUsize,
    sessions: AtomicUsize,
    members: AtomicBool,
    done: Mutex<Option<oneshot::Sender<Done>>>,
}

impl Post {
    /// Does something to all sessions of a user on this host; ends when it is done.
    pub(crate) async fn run(&self, whose: Whose, act: Act) -> Done {
        let (sender, receiver) = oneshot::channel();
        let errand = Arc::new(Errand {
            whose,
            act,
            left: AtomicUsize::new(self.shards.len()),
            sessions: AtomicUsize::new(0),
            members: AtomicBool::new(false),
            done: Mutex::new(Some(sender)),
        });
        for shard in 0..self.shards.len() {
            self.tell(shard, Command::Errand(Arc::clone(&errand)));
        }
        drop(errand);
        // Where the host ends, all its sessions do.
        receiver.await.unwrap_or_default()
    }
}

impl Sessions {
    /// Does an errand to the sessions of this shard.
    pub(super) fn run(&mut self, errand: &Errand, turn: &mut Turn<'_>) {
        for key in self.meant(&errand.whose) {
            if self.act_on(key, errand, turn) {
                errand.sessions.fetch_add(1, Ordering::Relaxed);
            }
        }
        if errand.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let done = Done {
            sessions: errand.sessions.load(Ordering::Relaxed),
            members: errand.members.load(Ordering::Relaxed),
        };
        let sender = errand
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Who asked may have gone.
        sender.map(|sender| sender.send(done));
    }

    /// The sessions that are meant. Looks through all of the shard: backends seldom ask.
    fn meant(&mut self, whose: &Whose) -> Vec<ConnectionKey> {
        let of_user = |key: &ConnectionKey| {
            let session = self.sessions.get(*key as usize).and_then(Option::as_deref);
            let who = session.and_then(|session| session.who.as_ref());
            who.is_some_and(|who| *who.tenant == *whose.tenant && *who.user == *whose.user)
        };
        let keys = 0..self.sessions.len() as ConnectionKey;
        let mut keys: Vec<ConnectionKey> = keys.filter(of_user).collect();
        if whose.client.is_some() || !whose.spared.is_empty() {
            keys.retain(|key| {
                let name = self.named(*key).map(|it| it.client);
                let is = |other: &str| name.as_deref() == Some(other);
                whose.client.as_deref().is_none_or(is) && !whose.spared.iter().any(|it| is(it))
            });
        }
        keys
    }

    fn act_on(&mut self, key: ConnectionKey, errand: &Errand, turn: &mut Turn<'_>) -> bool {
        match &errand.act {
            Act::Disconnect { code, reason } => {
                let why = Disconnect {
                    code: *code,
                    reason: Cow::Owned(reason.to_string()),
                };
                self.disconnect(key, &why, turn);
                true
            }
            Act::Subscribe(channel, verdict) => self.made_to_hear(key, channel, verdict, turn),
            Act::Unsubscribe(room) => {
                let left = self.made_to_leave(key, room, turn);
                let stays = self.session(key).and_then(|it| it.place(room)).is_some();
                if stays {
                    errand.members.store(true, Ordering::Relaxed);
                }
                left
            }
        }
    }

    fn made_to_hear(
        &mut self,
        key: ConnectionKey,
        channel: &Arc<Channel>,
        verdict: &Arc<Verdict>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(Answer::Rooms(rooms, _)) = verdict.answer() else {
            return false;
        };
        let heard = Heard {
            channel: Arc::clone(channel),
            presence: rooms.first().is_some_and(|it| it.presence),
        };
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return false;
        };
        let hears = session.place(&channel.room).is_some();
        let watcher = session.watcher;
        if hears || self.is_catching_up(key, channel.id) {
            return true;
        }
        // Ended since: then it may not hear it any more.
        let Some(new) = node.grants.join(watcher, (&channel.room, None), verdict) else {
            return false;
        };
        if let Some(session) = self.session(key) {
            session.joined += u32::from(new);
        }
        if self.is_client(key) {
            self.becomes_member(key, &heard, turn);
        } else {
            self.enter(key, &heard, turn);
            self.answer(key, turn, |out| seed::membership(out, true, &channel.room));
        }
        true
    }

    fn made_to_leave(&mut self, key: ConnectionKey, room: &str, turn: &mut Turn<'_>) -> bool {
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return false;
        };
        if !node.grants.leave(session.watcher, room) {
            return false;
        }
        session.joined = session.joined.saturating_sub(1);
        let at = session
            .places
            .iter()
            .position(|place| *place.channel.room == *room);
        let Some(place) = at.map(|at| session.places.swap_remove(at)) else {
            self.give_up_catching(key, |heard| *heard.channel.room == *room);
            return true;
        };
        self.leave(place.seat, &place.channel, false, turn);
        let who = self.present(key);
        self.tell_leaving(who.as_ref(), &place);
        if self.is_client(key) {
            self.end_subscription(key, room, turn);
        } else {
            self.answer(key, turn, |out| seed::membership(out, false, room));
        }
        true
    }
}
