//! The broker of several hosts on one Redis 7 (or Valkey).
//!
//! A publication is given its offset, kept and sent to every host that hears its room by
//! one script ([`outgoing`]); each of those delivers by offset and reads from the room's
//! log what it missed ([`rooms`], [`tail`]). Who is online is mirrored on every host, with
//! a lease ([`hosts`], [`presence`]).
//!
//! All keys of a room bear one hash tag, and its channel is a sharded one, so that a
//! cluster spreads rooms: a link has connections to each of its primaries ([`link`],
//! [`slots`]). Hosts meet at that of the first slot.
//!
//! **Order and loss.** A publication that was accepted reaches every session that hears the
//! room on any host, once and in the order of offsets, also across lost connections, as
//! long as the log keeps it; where it does not, [`Mail::lost`] says so. A session hears a
//! room once [`super::Broker::attend`] is done.
//!
//! **Durability.** A receipt says that Redis has it. What Redis makes of that is for its
//! `appendonly` and `appendfsync` to say. Where it comes back with less than a host has
//! delivered of a room, the room has another epoch.
//!
//! Hosts ask each other what only a session's host knows ([`asking`]), and tell who comes
//! into rooms and leaves them ([`visits`]).

mod asking;
mod calls;
mod contract;
mod hosts;
mod link;
mod node;
mod outgoing;
mod places;
mod presence;
mod pulse;
mod record;
mod removal;
mod rooms;
mod slots;
mod supervise;
mod tail;
mod users;
mod visits;

pub use hosts::LEASE;

use super::{
    Channel, Channels, Mail, Page, Position, Query, Reading, Recovery, Retention, Retentions,
    Unrecoverable,
};
use asking::Asking;
use futures::FutureExt;
use hosts::{CONTROL, Presence};
use link::{Failed, Link};
use node::Hear;
use outgoing::{Outgoing, PATIENCE, Waiting};
use places::Places;
use redis::{PushInfo, PushKind, Value};
use rooms::Rooms;
use sschat_history::HistoryError;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tail::Found;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use visits::Visits;

/// Where hosts keep what they tell each other, and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `redis://` or, for TLS, `rediss://[user[:password]@]host[:port][/database]`; of a cluster
    /// one or several of its Redises, between commas, which name the others.
    pub url: String,
    /// The host's name: unlike all others, up to 64 printable characters.
    pub host: Arc<str>,
    /// How much of a room is kept.
    pub retention: Retention,
    /// Whether sessions may read what is kept. If not, it only serves to fill gaps.
    pub history: bool,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Figures {
    /// Publications that Redis took from this host.
    pub publications: AtomicU64,
    /// The calls that they took.
    pub calls: AtomicU64,
    /// Gaps that were filled from logs.
    pub looks: AtomicU64,
}

struct Shared<M: Mail> {
    mail: M,
    channels: Arc<Channels>,
    address: String,
    retention: Retention,
    /// Who may say otherwise of a room.
    terms: OnceLock<Arc<dyn Retentions>>,
    kept: bool,
    /// Unlike that of every other host and of every other life of this one.
    host: u64,
    /// What others ask it by.
    name: Arc<str>,
    runtime: Handle,
    /// The connections, while there are any.
    link: watch::Sender<Option<Arc<Link>>>,
    rooms: Rooms,
    presence: Presence,
    pulse: pulse::Pulse,
    asking: Asking,
    visits: Visits,
    /// Bytes that wait for Redis.
    queued: AtomicUsize,
    figures: Figures,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module's documentation.
pub struct RedisBroker<M: Mail> {
    shared: Arc<Shared<M>>,
    queue: mpsc::UnboundedSender<Waiting>,
    /// A thread of its own: what other hosts say is heard however busy everybody else is.
    runtime: Option<Runtime>,
}

impl<M: Mail> RedisBroker<M> {
    /// Connects, and says what went wrong where that does not succeed at once. Blocks
    /// meanwhile, at most some seconds.
    ///
    /// # Errors
    /// Where the URL can't be used, or Redis is out of reach or lacks what is needed.
    pub fn open(settings: &Settings, mail: M, channels: Arc<Channels>) -> Result<Self, String> {
        let places = Places::read(&settings.url)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("redis-broker")
            .enable_all()
            .build()
            .map_err(|error| format!("no thread for it: {error}"))?;
        let (visits, visitors) = Visits::new();
        let shared = Arc::new(Shared {
            mail,
            channels,
            address: places.shown(),
            retention: settings.retention,
            terms: OnceLock::new(),
            kept: settings.history,
            host: calls::random(),
            name: Arc::clone(&settings.host),
            runtime: runtime.handle().clone(),
            link: watch::Sender::default(),
            rooms: Rooms::default(),
            presence: Presence::default(),
            pulse: pulse::Pulse::default(),
            asking: Asking::default(),
            visits,
            queued: AtomicUsize::new(0),
            figures: Figures::default(),
        });
        let (queue, queued) = mpsc::unbounded_channel();
        runtime.spawn(Outgoing::new(Arc::clone(&shared)).run(queued));
        runtime.spawn(Arc::clone(&shared).sweep());
        runtime.spawn(Arc::clone(&shared).tell_visits(visitors));
        let (first, opened) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(supervise::supervise(Arc::clone(&shared), places, first));
        let opened = opened.recv().unwrap_or_else(|_| Err("closed".to_owned()));
        let broker = Self {
            shared,
            queue,
            runtime: Some(runtime),
        };
        let address = broker.shared.address.clone();
        opened.map_err(|reason| format!("Redis at {address}: {reason}"))?;
        Ok(broker)
    }

    /// Has others say how much of each room is kept, where sessions may read that.
    #[must_use]
    pub fn with_terms(self, terms: Arc<dyn Retentions>) -> Self {
        if self.shared.kept {
            // Set once, here.
            let _ = self.shared.terms.set(terms);
        }
        self
    }

    /// What was done so far.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// Other hosts on the same Redis that were heard of within the lease.
    pub fn peers(&self) -> usize {
        self.shared.presence.peers()
    }

    /// Whether Redis is connected.
    pub fn is_connected(&self) -> bool {
        self.shared.link.borrow().is_some()
    }

    /// Runs `reading` on this broker's own thread, whoever awaits it.
    fn reading<T: Send + 'static>(
        &self,
        reading: impl Future<Output = Result<T, HistoryError>> + Send + 'static,
    ) -> Reading<T> {
        let running = self.shared.runtime.spawn(reading);
        async move {
            match running.await {
                Ok(read) => Ok(read?),
                Err(_) => Err(HistoryError::Closed.into()),
            }
        }
        .boxed()
    }
}

impl<M: Mail> Drop for RedisBroker<M> {
    fn drop(&mut self) {
        if let Some(link) = self.shared.link.send_replace(None) {
            link.break_off();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl<M: Mail> Shared<M> {
    /// Does with what comes by the listening connection what is to be done, in its order.
    fn ear(self: &Arc<Self>) -> Hear {
        let shared = Arc::downgrade(self);
        Arc::new(move |push: PushInfo| {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            // The slot of its channel moved, or it was asked for.
            if push.kind == PushKind::SUnsubscribe {
                if let Some(Value::BulkString(channel)) = push.data.first() {
                    shared.unsubscribed(channel);
                }
                return;
            }
            let [Value::BulkString(channel), Value::BulkString(message)] = &push.data[..] else {
                return;
            };
            let Ok(channel) = std::str::from_utf8(channel) else {
                return;
            };
            match push.kind {
                PushKind::SMessage if shared.visited(channel, message) => {}
                PushKind::SMessage => shared.heard(channel, message),
                PushKind::Message if channel == CONTROL => shared.word(message),
                PushKind::Message => shared.asked(message),
                _ => {}
            }
        })
    }

    /// How much of a room is kept now. Ready at once where that is known.
    async fn retention_of(&self, channel: &Channel) -> Result<Retention, HistoryError> {
        let Some(terms) = self.terms.get() else {
            return Ok(self.retention);
        };
        let kept = terms.of(&channel.tenant, &channel.room).await;
        kept.map(|kept| kept.retention)
            .map_err(|reason| HistoryError::Unavailable(reason.into()))
    }

    /// The connection, waited for a moment where it is being made.
    async fn connected(&self) -> Result<Arc<Link>, HistoryError> {
        let mut link = self.link.subscribe();
        let there = link.wait_for(Option::is_some);
        match tokio::time::timeout(PATIENCE, there).await {
            Ok(Ok(link)) => link.clone().ok_or(HistoryError::Closed),
            _ => Err(self.unread("it can't be reached")),
        }
    }

    /// Notes in the tenant's list that a room has a log.
    fn note_room(self: &Arc<Self>, channel: &Arc<Channel>) {
        let (shared, channel) = (Arc::clone(self), Arc::clone(channel));
        self.runtime.spawn(async move {
            let mut command = redis::cmd("SADD");
            command
                .arg(calls::index(&channel.tenant))
                .arg(&*channel.room);
            let link = shared.link.borrow().clone();
            if let Some(link) = link
                && link.call(&command).await.is_err()
            {
                tracing::warn!("a room's log will end by its age alone");
            }
        });
    }

    async fn run(&self, command: &redis::Cmd) -> Result<Value, HistoryError> {
        let link = self.connected().await?;
        self.run_on(&link, command).await
    }

    async fn run_on(&self, link: &Link, command: &redis::Cmd) -> Result<Value, HistoryError> {
        link.call(command).await.map_err(|failed| match failed {
            Failed::Cut => self.unread("the connection ended"),
            Failed::Refused(reason) => self.unread(&reason),
        })
    }

    /// Reads a part of a channel's log.
    async fn part(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        part: calls::Part,
    ) -> Result<Found, HistoryError> {
        let room = self.rooms.find(channel.id);
        if let Some(room) = &room {
            room.heard().await;
        }
        let keys = calls::Keys::of(&channel.tenant, &channel.room);
        let retention = self.retention_of(channel).await?;
        let link = self.connected().await?;
        let heard = self.rooms.at(channel.id);
        let command = calls::read(&link.scripts.read, &keys, &retention, heard, part);
        let answer = self.run_on(&link, &command).await?;
        let found = calls::found(&answer);
        let (found, begun) = found.ok_or_else(|| HistoryError::Corrupt("a room's log".into()))?;
        if begun {
            self.note_room(channel);
        }
        if let Some(room) = &room {
            // What was accepted before is mailed before the answer.
            room.reached(found.top).await;
        }
        Ok(found)
    }

    async fn page(
        self: Arc<Self>,
        channel: Arc<Channel>,
        query: Query,
    ) -> Result<Page, HistoryError> {
        let part = calls::Part {
            since: query.since,
            limit: query.limit,
            reverse: query.reverse,
        };
        let Found { top, gone, placed } = self.part(&channel, part).await?;
        if query.since.is_some_and(|since| since.epoch != top.epoch) {
            return Err(HistoryError::WrongEpoch);
        }
        let next = placed.first().map(|it| it.stamp.position.offset);
        let complete = match query.since {
            None => true,
            Some(since) if query.reverse => next.is_none_or(|next| next + 1 == since.offset),
            Some(since) => since.offset >= gone && since.offset <= top.offset,
        };
        Ok(Page {
            publications: placed.into_iter().map(record::shown).collect(),
            top,
            complete,
        })
    }

    async fn missed(
        self: Arc<Self>,
        channel: Arc<Channel>,
        since: Position,
        limit: usize,
    ) -> Result<Recovery, HistoryError> {
        let part = calls::Part {
            since: Some(since),
            limit,
            reverse: false,
        };
        let Found { top, gone, placed } = self.part(&channel, part).await?;
        let missing = top.offset.saturating_sub(since.offset);
        let reason = if since.epoch != top.epoch {
            Unrecoverable::WrongEpoch
        } else if since.offset > top.offset {
            Unrecoverable::Future
        } else if since.offset < gone {
            Unrecoverable::Gone
        } else if missing > limit as u64 {
            Unrecoverable::TooMany
        } else if missing != placed.len() as u64 {
            Unrecoverable::Gone
        } else {
            let publications = placed.into_iter().map(record::shown).collect();
            return Ok(Recovery::Recovered { publications, top });
        };
        Ok(Recovery::Unrecoverable { reason, top })
    }
}
