//! How the memory broker keeps history: one log a channel, opened when it is first
//! needed.
//!
//! Opening may read the disk, and shards never wait for that: what is published
//! meanwhile waits in the channel, in order, and is accepted once the log is open.

use super::channels::Spread;
use super::memory::post;
use super::receipts::NOBODY;
use super::{
    Channel, Mail, Origin, Position, Receipts, Refused, Retention, Said, Speaker, Stamp, Tags,
    Taker,
};
use crate::events::{Event, Kind, Tap};
use futures::FutureExt;
use futures::future::BoxFuture;
use sschat_history::{
    Ack, History, HistoryError, HistoryFuture, NewPublication, PublishError, Published, RoomLog,
};
use std::sync::Arc;

/// Publications that wait in a channel whose log is being opened, at most: many times what
/// a busy room says in the milliseconds that reading takes.
pub const WAITING_LIMIT: usize = 4_096;

/// How much of a room is kept, for as long as that stands.
#[derive(Debug)]
pub struct Kept {
    /// How much.
    pub retention: Retention,
    /// Absent where it never changes.
    pub standing: Option<Box<dyn Standing>>,
}

/// Something that holds until it does not.
pub trait Standing: std::fmt::Debug + Send {
    /// Whether it still holds. Asked with each publication: neither waits nor reads.
    fn holds(&mut self) -> bool;
}

/// Who says how much of each room is kept.
pub trait Retentions: Send + Sync + 'static {
    /// How much of this room. Ready at once where it is known.
    fn of(&self, tenant: &str, room: &str) -> BoxFuture<'static, Result<Kept, String>>;
}

/// A log that was opened, and for how long it keeps as much as it does.
type Opened = (Arc<RoomLog>, Option<Box<dyn Standing>>);

/// Where history is kept, and how much of it.
pub struct Keeping<M> {
    /// The history.
    pub history: Arc<dyn History>,
    /// How much of each room, where nobody says otherwise.
    pub retention: Retention,
    /// Who may say otherwise.
    pub terms: Option<Arc<dyn Retentions>>,
    /// Who is told what is durable: the history's own sink.
    pub receipts: Arc<Receipts<M>>,
    /// Where what must wait runs.
    pub runtime: tokio::runtime::Handle,
}

/// A channel's log.
#[derive(Debug)]
pub(super) enum Log {
    /// Nobody needed it so far, or there is no history.
    Unopened,
    /// Being read; these wait for it.
    Opening(Vec<Waiting>),
    /// Open as long as the channel.
    Open(Arc<RoomLog>),
}

/// A publication that waits until its channel's log is open.
#[derive(Debug)]
pub(super) struct Waiting {
    message: Box<str>,
    from: Arc<str>,
    by: Option<Arc<Speaker>>,
    tags: Option<Tags>,
    key: Option<Box<str>>,
    origin: Origin,
    taker: Option<Taker>,
}

impl Spread {
    /// Whether the log keeps what it is to keep.
    fn stands(&mut self) -> bool {
        self.standing
            .as_mut()
            .is_none_or(|standing| standing.holds())
    }
}

impl Waiting {
    pub(super) fn new(said: &Said<'_>, origin: Origin, taker: Option<Taker>) -> Self {
        Self {
            message: said.message.into(),
            from: Arc::clone(said.from),
            by: said.by.cloned(),
            tags: said.tags.cloned(),
            key: said.key.map(Into::into),
            origin,
            taker,
        }
    }
}

impl<M: Mail> Keeping<M> {
    /// Opens the log of a channel, or tells an open one how much to keep from now on.
    fn open(&self, channel: &Arc<Channel>, known: Option<Arc<RoomLog>>) -> HistoryFuture<Opened> {
        let Some(terms) = &self.terms else {
            let opening = self
                .history
                .open(&channel.tenant, &channel.room, self.retention);
            return opening.map(|log| Ok((log?, None))).boxed();
        };
        let kept = terms.of(&channel.tenant, &channel.room);
        let (history, channel) = (Arc::clone(&self.history), Arc::clone(channel));
        async move {
            let kept = kept.await;
            let Kept {
                retention,
                standing,
            } = kept.map_err(|reason| HistoryError::Unavailable(reason.into()))?;
            if let Some(log) = known {
                log.set_retention(retention);
                return Ok((log, standing));
            }
            let opening = history.open(&channel.tenant, &channel.room, retention);
            Ok((opening.await?, standing))
        }
        .boxed()
    }

    /// Sees to it that the log of a channel is open, or being opened, and keeps as much as it is to.
    pub(super) fn begin(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        spread: &mut Spread,
    ) -> Result<(), HistoryError> {
        let stands = spread.stands();
        let known = match &spread.log {
            Log::Opening(_) => return Ok(()),
            Log::Open(_) if stands => return Ok(()),
            Log::Open(log) => Some(Arc::clone(log)),
            Log::Unopened => None,
        };
        let mut opening = self.open(channel, known);
        match (&mut opening).now_or_never() {
            Some(Ok((log, standing))) => {
                (spread.log, spread.standing) = (Log::Open(log), standing);
            }
            Some(Err(error)) => return Err(error),
            None => {
                self.finish(channel, opening);
                spread.log = Log::Opening(Vec::new());
            }
        }
        Ok(())
    }

    /// Puts a publication into the log. `None` where its key was seen before. Where it is
    /// refused, the taker of its receipt comes back.
    pub(super) fn append(
        &self,
        (log, tap): (&Arc<RoomLog>, Option<&Arc<Tap>>),
        said: &Said<'_>,
        taker: Option<Taker>,
    ) -> Result<Option<Stamp>, (Option<Taker>, PublishError)> {
        let new = NewPublication {
            payload: bytes::Bytes::copy_from_slice(said.message.as_bytes()),
            from: (!said.from.is_empty()).then(|| Arc::clone(said.from)),
            key: said.key.map(Into::into),
            by: said.by.cloned(),
            tags: said.tags.cloned(),
        };
        let tell = |published: &Published, token| {
            let place = published.position;
            published.publication.is_some() && report(tap, (log.room(), said), Some(place), token)
        };
        let published = match taker {
            None => {
                let published = self.history.publish(log, new, NOBODY);
                let published = published.map_err(|error| (None, error))?;
                tell(&published, NOBODY);
                published
            }
            Some(taker) => {
                let (token, told) = (self.receipts.token(), self.receipts.token());
                let mut waiting = self.receipts.waiting();
                let published = match self.history.publish(log, new, token) {
                    Ok(published) => published,
                    Err(error) => return Err((Some(taker), error)),
                };
                // The event stands behind it in the same queue: who waits for the one has
                // waited for both.
                let reported = tell(&published, told);
                if published.ack == Ack::Now {
                    drop(waiting);
                    self.receipts.give(taker, Ok(Some(published.position)));
                } else {
                    let token = if reported { told } else { token };
                    waiting.insert(token, (taker, published.position));
                }
                published
            }
        };
        let position = published.position;
        Ok(published.publication.map(|publication| Stamp {
            position,
            time: publication.time,
        }))
    }

    /// The log of a channel: the open one, or it is opened.
    pub(super) fn log(self: &Arc<Self>, channel: &Arc<Channel>) -> HistoryFuture<Arc<RoomLog>> {
        let known = {
            let mut spread = channel.spread();
            let stands = spread.stands();
            match &spread.log {
                Log::Open(log) if stands => {
                    return futures::future::ready(Ok(Arc::clone(log))).boxed();
                }
                Log::Open(log) => Some(Arc::clone(log)),
                _ => None,
            }
        };
        let (opening, channel) = (self.open(channel, known), Arc::clone(channel));
        async move {
            let (log, standing) = opening.await?;
            let mut spread = channel.spread();
            if !matches!(spread.log, Log::Opening(_)) {
                (spread.log, spread.standing) = (Log::Open(Arc::clone(&log)), standing);
            }
            Ok(log)
        }
        .boxed()
    }

    /// Accepts what waits for the channel's log once that is open.
    fn finish(self: &Arc<Self>, channel: &Arc<Channel>, opening: HistoryFuture<Opened>) {
        let (keeping, channel) = (Arc::clone(self), Arc::clone(channel));
        self.runtime.spawn(async move {
            let opened = opening.await;
            let mut spread = channel.spread();
            let opened = opened.map(|(log, standing)| {
                spread.standing = standing;
                log
            });
            let log = match &opened {
                Ok(log) => Log::Open(Arc::clone(log)),
                Err(error) => {
                    tracing::warn!(%error, "the history of a room can't be opened");
                    Log::Unopened
                }
            };
            let Log::Opening(waiting) = std::mem::replace(&mut spread.log, log) else {
                return;
            };
            for waiting in waiting {
                match &opened {
                    Ok(log) => keeping.accept(&channel, &mut spread, log, waiting),
                    Err(error) => keeping.refuse(waiting, error.clone().into()),
                }
            }
        });
    }

    fn accept(
        &self,
        channel: &Arc<Channel>,
        spread: &mut Spread,
        log: &Arc<RoomLog>,
        mut waiting: Waiting,
    ) {
        let taker = waiting.taker.take();
        let said = Said {
            message: &waiting.message,
            from: &waiting.from,
            by: waiting.by.as_ref(),
            tags: waiting.tags.as_ref(),
            key: waiting.key.as_deref(),
            passing: false,
        };
        match self.append((log, channel.tap.as_ref()), &said, taker) {
            Ok(None) => {}
            Ok(stamp) => post(
                &self.receipts.mail,
                channel,
                spread,
                &said,
                waiting.origin,
                stamp,
            ),
            Err((taker, error)) => {
                waiting.taker = taker;
                self.refuse(waiting, error.into());
            }
        }
    }

    /// Tells whoever published that it came to nothing.
    fn refuse(&self, waiting: Waiting, refused: Refused) {
        let taker = match (waiting.taker, waiting.origin) {
            (Some(taker), _) => taker,
            (None, Origin::Session { shard, session }) => Taker::Session {
                shard,
                session,
                command: 0,
            },
            (None, Origin::Outside) => return,
        };
        self.receipts.give(taker, Err(refused));
    }
}

/// Tells the tenant's backend what was said in a room, if it wants to be told. Whether the
/// history's sink is told of `token` once that is durable.
pub(super) fn report(
    tap: Option<&Arc<Tap>>,
    (room, said): (&str, &Said<'_>),
    position: Option<Position>,
    token: u64,
) -> bool {
    let Some(tap) = tap.filter(|tap| tap.wants(Kind::Published)) else {
        return false;
    };
    let event = Event {
        room: Some(room),
        user: Some(said.from),
        client: said.by.map(|by| &*by.client),
        place: position.map(|it| (it.offset, it.epoch)),
        said: Some(said.message),
    };
    tap.put(Kind::Published, &event, token)
}
