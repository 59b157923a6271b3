//! The use cases of a host: log in, hear rooms, publish, see who is online.
//!
//! [`Node`] is what all shards share; [`sessions::Sessions`] is what each shard has of
//! its own. The path of a message: `Sessions::text` parses a command, `publish` asks
//! the verdict in the session's own place in the room, the broker assigns the offset,
//! and `take_in` appends one encoded frame per wire format to the room's log.
//!
//! Absent on purpose: sockets ([`crate::socket`]), rules ([`crate::policy`]), records.

mod apart;
mod centrifuge;
mod errands;
mod held_to;
mod join;
mod login;
mod presence;
mod publish;
mod reports;
mod roll;
mod seats;
mod session;
mod sessions;
mod wire;

pub(crate) use errands::{Act, Whose};
pub(crate) use roll::Present;
pub use sessions::Sessions;

use crate::broker::{Broker, Channel, Channels, Mail, Publication, Receipt, Visit};
use crate::hub::ConnectionKey;
use crate::peers::Others;
use crate::policy::answer;
use crate::policy::grants::{self, Grant, Grants, HoldGuard, Refused};
use crate::policy::memo::{Verdict, Watcher};
use crate::policy::trace::Connection;
use crate::policy::{Policy, Undecided};
use crate::socket::{Pace, ShardHandle};
use crate::wasm::authority::Limits;
use futures::future::BoxFuture;
use sschat_protocol::centrifuge as centrifuge_protocol;
use sschat_protocol::seed::Format;
use sschat_protocol::streaming::Streaming;
use sschat_protocol::websocket::deflate::Agreement;
use std::sync::Arc;
use uuid::Uuid;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The seed's protocol.
    Polling(Format),
    /// The Centrifuge protocol.
    Centrifuge(centrifuge_protocol::Format),
    /// The same in the body of an HTTP response; what the client says comes apart.
    Streaming(Streaming),
    /// Every message comes back: for outside suites that judge the framing.
    Echo,
}

/// What a connection brings from its handshake.
#[derive(Debug)]
pub struct Opening {
    /// The endpoint it asked for.
    pub endpoint: Endpoint,
    /// What it agreed on about compression, if it did.
    pub deflate: Option<Agreement>,
    /// The public id of the app that it named.
    pub app: Option<String>,
    /// What a policy can ask about it.
    pub connection: Connection,
}

/// Settings of the use cases.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rooms with more sessions than this are not told who comes and goes.
    pub presence_limit: u32,
    /// The most bytes of publications that one answer brings a session.
    pub recovery_bytes: usize,
    /// Members publish without being asked whether they may: for measuring.
    pub undecided: bool,
    /// The app that Centrifuge sessions belong to where neither they nor their tokens name one.
    pub fallback_app: Option<String>,
}

/// What a session holds once its grant is turned into channels.
#[derive(Debug)]
pub struct Admission {
    pub(crate) tenant: Arc<str>,
    pub(crate) user: Arc<str>,
    pub(crate) expires: Option<u64>,
    pub(crate) may_publish: bool,
    pub(crate) channels: Vec<Heard>,
    pub(crate) renew: Option<u64>,
    /// What others are shown of the user: JSON.
    pub(crate) info: Option<Arc<str>>,
    /// What its tenant holds the session to, if it says so.
    pub(crate) limits: Option<Arc<Limits>>,
    pub(crate) epoch: u32,
}

/// A room that a session hears.
#[derive(Debug, Clone)]
pub struct Heard {
    pub(crate) channel: Arc<Channel>,
    /// Whether the session may know who is online there.
    pub(crate) presence: bool,
}

/// What other threads tell a shard's sessions.
pub enum Command {
    /// A login was decided.
    LoggedIn(Watcher, Result<Admission, Refused>),
    /// A question that a command waited for was decided.
    Decided(Watcher, Result<Arc<Verdict>, Undecided>),
    /// Stop these sessions; each with the number of its hold.
    Hold(Vec<(Watcher, u32)>, HoldGuard),
    /// A grant was evaluated anew. The guards are dropped once it is in effect.
    Regrant(Watcher, Result<Admission, Refused>, Vec<HoldGuard>),
    /// A publication for a room that has members here.
    Deliver(Arc<Channel>, Arc<Publication>, Option<u64>),
    /// What became of what sessions of this shard published.
    Acknowledged(Vec<Receipt>),
    /// The history of a channel was read that a session catches up with.
    CaughtUp(Watcher, u64, centrifuge::Read),
    /// A part of a channel's history was read for a session.
    Read(Watcher, Box<centrifuge::Shelf>),
    /// What came of a session's call.
    Answered(Watcher, Box<centrifuge::Answered>),
    /// Publications of a channel were lost on their way to this host.
    Lost(Arc<Channel>),
    /// A user came or went; for those who share one of the rooms.
    Presence(Arc<presence::Notice>),
    /// Who of this shard hears a channel?
    Roll(Arc<roll::Roll>),
    /// Every shard has said who is.
    Rolled(Arc<roll::Roll>),
    /// Do something to sessions of a user.
    Errand(Arc<errands::Errand>),
    /// A session came into a room or left it; for those who asked.
    Coming(Arc<centrifuge::Coming>),
    /// A client said something by another way than its connection.
    Said(Box<apart::Said>),
}

impl Command {
    /// New grants and logins come in thousands at once. A hold must not wait for them, nor
    /// publications; a session that is on hold or not logged in hears none meanwhile.
    fn pace(&self) -> Pace {
        match self {
            Self::LoggedIn(..) | Self::Regrant(..) => Pace::Bulk,
            Self::Decided(..)
            | Self::Hold(..)
            | Self::Deliver(..)
            | Self::Acknowledged(..)
            | Self::CaughtUp(..)
            | Self::Read(..)
            | Self::Answered(..)
            | Self::Lost(..)
            | Self::Presence(..)
            | Self::Roll(..)
            | Self::Rolled(..)
            | Self::Errand(..)
            | Self::Coming(..)
            | Self::Said(..) => Pace::Prompt,
        }
    }
}

/// Reaches the shards of this host.
#[derive(Clone)]
pub struct Post {
    shards: Arc<[ShardHandle<Sessions>]>,
    /// Names this host among others and those before it, to clients that come back with it.
    host: Arc<str>,
}

impl Post {
    /// Reaches `shards`, by their index.
    pub fn new(shards: Vec<ShardHandle<Sessions>>) -> Self {
        Self {
            shards: shards.into(),
            host: Uuid::new_v4().to_string().into(),
        }
    }

    fn tell(&self, shard: usize, command: Command) {
        if let Some(shard) = self.shards.get(shard) {
            let pace = command.pace();
            shard.tell(command, pace);
        }
    }
}

impl Mail for Post {
    fn deliver(
        &self,
        shard: usize,
        channel: &Arc<Channel>,
        publication: &Arc<Publication>,
        origin: Option<u64>,
    ) {
        let command = Command::Deliver(Arc::clone(channel), Arc::clone(publication), origin);
        self.tell(shard, command);
    }

    fn acknowledge(&self, shard: usize, receipts: Vec<Receipt>) {
        self.tell(shard, Command::Acknowledged(receipts));
    }

    fn lost(&self, channel: &Arc<Channel>) {
        for shard in 0..self.shards.len() {
            self.tell(shard, Command::Lost(Arc::clone(channel)));
        }
    }

    fn visited(&self, channel: &Arc<Channel>, visit: Visit) {
        self.pass_on(channel, visit);
    }

    fn elsewhere(&self, user: &str, online: bool, channels: Vec<Arc<Channel>>) {
        self.announce(presence::Notice::new(user.into(), online, channels));
    }
}

/// What all shards of a host share.
pub struct Node {
    pub(crate) policy: Arc<Policy>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) post: Post,
    pub(crate) settings: Settings,
    /// The other hosts, where there may be any.
    others: Option<Others>,
    listeners: centrifuge::Listeners,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Node {
    /// A node over its parts. What must wait runs on the current tokio runtime.
    pub fn new(
        policy: Arc<Policy>,
        grants: Arc<Grants>,
        broker: Arc<dyn Broker>,
        channels: Arc<Channels>,
        post: Post,
        settings: Settings,
    ) -> Self {
        Self {
            others: broker.peers().map(Others::new),
            policy,
            grants,
            broker,
            channels,
            post,
            settings,
            listeners: centrifuge::Listeners::default(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    fn admission(&self, grant: Grant) -> Admission {
        admit(&self.channels, grant)
    }

    /// Sees to it that an admitted session hears its rooms; to be awaited where it does not yet.
    fn attend(&self, outcome: &Result<Admission, Refused>) -> Option<BoxFuture<'static, ()>> {
        let rooms = outcome.as_ref().ok()?.channels.iter();
        let channels: Vec<_> = rooms.map(|heard| Arc::clone(&heard.channel)).collect();
        self.broker.attend(&channels)
    }
}

fn admit(channels: &Channels, grant: Grant) -> Admission {
    let tenant = grant.login.who.tenant;
    let heard = |heard: &answer::Heard| Heard {
        channel: channels.get(&tenant, &heard.room),
        presence: heard.presence,
    };
    Admission {
        channels: grant.rooms.iter().map(heard).collect(),
        tenant: tenant.into(),
        user: grant.login.who.user.into(),
        expires: grant.login.expires,
        may_publish: grant.login.may_publish,
        renew: grant.renew,
        info: grant.login.info,
        limits: grant.login.limits,
        epoch: grant.epoch,
    }
}

/// How grants reach the sessions on their shards.
pub struct Reach {
    /// The shards.
    pub post: Post,
    /// Where rooms become channels.
    pub channels: Arc<Channels>,
}

impl grants::Sessions for Reach {
    fn hold(&self, watchers: Vec<(Watcher, u32)>, guard: &HoldGuard) {
        let mut by_shard = vec![Vec::new(); self.post.shards.len()];
        for (watcher, epoch) in watchers {
            if let Some(list) = by_shard.get_mut(shard_of(watcher)) {
                list.push((watcher, epoch));
            }
        }
        for (shard, list) in by_shard.into_iter().enumerate() {
            if !list.is_empty() {
                self.post
                    .tell(shard, Command::Hold(list, Arc::clone(guard)));
            }
        }
    }

    fn regrant(&self, watcher: Watcher, outcome: Result<Grant, Refused>, guards: Vec<HoldGuard>) {
        let outcome = outcome.map(|grant| admit(&self.channels, grant));
        self.post.tell(
            shard_of(watcher),
            Command::Regrant(watcher, outcome, guards),
        );
    }
}

/// A session's number: its shard, its connection, and which login of the shard it is, so
/// that a late answer to a session that is gone finds nobody.
fn watcher(shard: usize, connection: ConnectionKey, serial: u32) -> Watcher {
    (shard as u64) << 56 | u64::from(connection & 0x00FF_FFFF) << 32 | u64::from(serial)
}

fn shard_of(watcher: Watcher) -> usize {
    (watcher >> 56) as usize
}

fn connection_of(watcher: Watcher) -> ConnectionKey {
    (watcher >> 32) as u32 & 0x00FF_FFFF
}
