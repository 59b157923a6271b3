//! Who is in a room: every shard says who of its own is, and the last one sends the answer back.

use super::{Done, Until};
use crate::broker::Channel;
use crate::hub::{ConnectionKey, FORMATS};
use crate::node::{Command, Sessions};
use crate::policy::memo::Watcher;
use crate::socket::Turn;
use sschat_protocol::centrifuge::{ClientInfo, Failure, Reply};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A session in a room: its user, and the name of its connection.
pub(in crate::node) type Present = (Arc<str>, Arc<str>);

/// A question who is in a room.
#[derive(Debug)]
pub struct Roll {
    channel: Arc<Channel>,
    asker: Watcher,
    shard: usize,
    /// The command's id.
    id: u32,
    /// Whether only numbers are wanted.
    counted: bool,
    /// Shards that have not said yet.
    left: AtomicUsize,
    present: Mutex<Vec<Present>>,
}

impl Sessions {
    /// Asks every shard who is in a room, for a client that hears it and may know. Rooms with more sessions than the
    /// limit of presence don't say.
    pub(super) fn presence(
        &mut self,
        key: ConnectionKey,
        (id, room): (u32, &str),
        counted: bool,
        out: &mut Vec<u8>,
    ) -> Done {
        let node = Arc::clone(&self.node);
        let shard = self.shard;
        let Some(session) = self.session(key) else {
            return Done::Next;
        };
        let asker = session.watcher;
        let channel = match session.place(room) {
            Some(place) if place.presence => Arc::clone(&place.channel),
            _ => return self.refused(key, id, &Failure::PERMISSION_DENIED, out),
        };
        if channel.members.load(Ordering::Relaxed) > node.settings.presence_limit {
            return self.refused(key, id, &Failure::NOT_AVAILABLE, out);
        }
        let shards = node.post.shards.len();
        let roll = Arc::new(Roll {
            channel,
            asker,
            shard,
            id,
            counted,
            left: AtomicUsize::new(shards),
            present: Mutex::default(),
        });
        for shard in 0..shards {
            node.post.tell(shard, Command::Roll(Arc::clone(&roll)));
        }
        Done::Wait(Until::Roll)
    }

    /// Says who of this shard is in the room.
    pub(in crate::node) fn call_roll(&mut self, roll: &Arc<Roll>, turn: &Turn<'_>) {
        if let Some(room) = turn.hub.room(roll.channel.id) {
            let keys: Vec<_> = (0..FORMATS as u8)
                .flat_map(|format| turn.hub.members(room, format))
                .collect();
            let present: Vec<_> = keys.into_iter().filter_map(|key| self.named(key)).collect();
            roll.present
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(present);
        }
        if roll.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let command = Command::Rolled(Arc::clone(roll));
            self.node.post.tell(roll.shard, command);
        }
    }

    /// Everybody has said: the client that asked gets its answer.
    pub(in crate::node) fn rolled(&mut self, roll: &Roll, turn: &mut Turn<'_>) {
        let Some(key) = self.find(roll.asker) else {
            return;
        };
        let present = roll.present.lock().unwrap_or_else(PoisonError::into_inner);
        let clients: Vec<_> = present
            .iter()
            .map(|(user, client)| ClientInfo {
                user,
                client,
                ..ClientInfo::default()
            })
            .collect();
        let users: HashSet<_> = present.iter().map(|(user, _)| user).collect();
        let reply = match roll.counted {
            false => Reply::Presence(&clients),
            true => Reply::PresenceStats {
                clients: clients.len() as u32,
                users: users.len() as u32,
            },
        };
        self.say(key, turn, |session, _, _, out| {
            session.replied(roll.id, &reply, out);
        });
        self.go_on_after(key, Until::Roll, turn);
    }

    /// Who a session is to others. On the seed's protocol connections have no name; they get one that stays the same
    /// while their login lasts.
    pub(super) fn named(&mut self, key: ConnectionKey) -> Option<Present> {
        let names = Arc::clone(&self.node);
        let session = self.session(key)?;
        let user = Arc::clone(&session.who.as_ref()?.user);
        let client = match &session.client {
            Some(client) => client.name(),
            None => names.listeners.name(session.watcher),
        };
        Some((user, client))
    }
}
