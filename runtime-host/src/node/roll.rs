//! Who hears a room: every shard says who of its own does, and the last one passes the answer on.

use super::{Command, Post, Sessions};
use crate::broker::Channel;
use crate::hub::ConnectionKey;
use crate::peers;
use crate::policy::memo::Watcher;
use crate::socket::Turn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// A session that hears a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Present {
    /// Its user.
    pub(crate) user: Arc<str>,
    /// The name of its connection.
    pub(crate) client: Arc<str>,
    /// What its token says of it: JSON.
    pub(crate) info: Option<Arc<str>>,
}

/// A question who hears a room.
#[derive(Debug)]
pub struct Roll {
    channel: Arc<Channel>,
    /// Shards that have not said yet.
    left: AtomicUsize,
    present: Mutex<Vec<Present>>,
    /// Whether some other host has not said.
    incomplete: bool,
    asker: Asker,
}

/// Who asks.
#[derive(Debug)]
pub(super) enum Asker {
    /// A session of the Centrifuge protocol, by a command.
    Session {
        shard: usize,
        session: Watcher,
        /// The command's id.
        command: u32,
        /// Whether only numbers are wanted.
        counted: bool,
    },
    /// A task, once.
    Task(Mutex<Option<oneshot::Sender<Vec<Present>>>>),
}

impl Roll {
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn present(&self) -> Vec<Present> {
        std::mem::take(&mut *self.present.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Post {
    /// Asks every shard who hears a channel; `elsewhere`: who does on other hosts, unless some have not said.
    pub(super) fn ask_who_hears(
        &self,
        channel: &Arc<Channel>,
        elsewhere: Option<Vec<Present>>,
        asker: Asker,
    ) {
        let roll = Arc::new(Roll {
            channel: Arc::clone(channel),
            left: AtomicUsize::new(self.shards.len()),
            incomplete: elsewhere.is_none(),
            present: Mutex::new(elsewhere.unwrap_or_default()),
            asker,
        });
        for shard in 0..self.shards.len() {
            self.tell(shard, Command::Roll(Arc::clone(&roll)));
        }
    }

    /// The sessions of this host that hear a channel; none where the host is ending.
    pub(crate) async fn who_hears(&self, channel: &Arc<Channel>) -> Vec<Present> {
        let (sender, receiver) = oneshot::channel();
        let asker = Asker::Task(Mutex::new(Some(sender)));
        self.ask_who_hears(channel, Some(Vec::new()), asker);
        receiver.await.unwrap_or_default()
    }
}

impl Sessions {
    /// Says who of this shard hears the channel.
    pub(super) fn call_roll(&mut self, roll: &Arc<Roll>, turn: &Turn<'_>) {
        if let Some(room) = turn.hub.room(roll.channel.id) {
            let keys: Vec<_> = turn.hub.everybody(room).collect();
            let present: Vec<_> = keys.into_iter().filter_map(|key| self.named(key)).collect();
            roll.present
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(present);
        }
        if roll.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        match &roll.asker {
            Asker::Session { shard, .. } => {
                let command = Command::Rolled(Arc::clone(roll));
                self.node.post.tell(*shard, command);
            }
            Asker::Task(task) => {
                let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
                // Who asked may have gone.
                task.map(|task| task.send(roll.present()));
            }
        }
    }

    /// Who a session is to others. On the seed's protocol connections have no name; they get one that stays the same
    /// while their login lasts.
    pub(super) fn named(&mut self, key: ConnectionKey) -> Option<Present> {
        let node = Arc::clone(&self.node);
        let session = self.session(key)?;
        let user = Arc::clone(&session.who.as_ref()?.user);
        let client = match &session.client {
            Some(client) => client.name(),
            None => node.listeners.name(session.watcher),
        };
        let info = session.client.as_ref().and_then(|client| client.info());
        Some(Present { user, client, info })
    }
}

impl From<peers::Present> for Present {
    fn from(present: peers::Present) -> Self {
        Self {
            user: present.user.into(),
            client: present.client.into(),
            info: present.info.map(Into::into),
        }
    }
}
