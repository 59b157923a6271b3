//! Publications on their way to Redis.
//!
//! Each room has at most one batch on its way; what is published meanwhile is the next
//! one. So offsets follow the order of publishing, and a busy room costs one call for many
//! publications. A batch whose call was cut off is sent again under its number, by which
//! Redis knows whether it was there already.

use super::calls::{self, Mark, Published};
use super::link::Failed;
use super::{Shared, link::Link, record};
use crate::broker::{Channel, Mail, Position, Receipt, Refused, Taker, keeping, receipts};
use crate::events::Kind;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use sschat_history::HistoryError;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// Memory for publications that wait for Redis. Those that come when it is full are refused.
pub(super) const QUEUE_BYTES: usize = 64 << 20;

/// How long a publication waits for a Redis that is out of reach before it is refused.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What one publication occupies beside its record, about, in bytes.
pub(super) const OVERHEAD: usize = 200;

/// Publications of a call at most. A script keeps all others waiting, some microseconds
/// for each of them.
const BATCH: usize = 256;

/// Bytes of a call at most, for the same reason; one publication may be larger.
const BATCH_BYTES: usize = 256 << 10;

/// Calls on their way at once: enough for Redis never to wait for us.
const CALLS: usize = 1_024;

/// A publication that waits.
pub(super) struct Waiting {
    pub(super) channel: Arc<Channel>,
    pub(super) record: Vec<u8>,
    pub(super) key: Option<Box<str>>,
    /// Not to be kept.
    pub(super) passing: bool,
    pub(super) taker: Option<Taker>,
    pub(super) since: Instant,
}

impl Waiting {
    pub(super) fn cost(&self) -> usize {
        self.record.len() + OVERHEAD
    }

    fn mark(&self) -> Mark<'_> {
        match (&self.key, self.passing) {
            (_, true) => Mark::Passing,
            (Some(key), false) => Mark::Once(key),
            (None, false) => Mark::Kept,
        }
    }
}

/// Publications that go by one call.
struct Batch {
    number: u64,
    waiting: Vec<Waiting>,
}

#[derive(Default)]
struct Room {
    waiting: VecDeque<Waiting>,
    /// Its call was cut off.
    again: Option<Batch>,
    /// One of its batches is on its way, or it stands in line for that.
    busy: bool,
}

type Call = BoxFuture<'static, (u64, Batch, Result<Published, Failed>)>;

/// See the module's documentation.
pub(super) struct Outgoing<M: Mail> {
    shared: Arc<Shared<M>>,
    /// By channel.
    rooms: HashMap<u64, Room>,
    /// Rooms in line.
    ready: VecDeque<u64>,
    calls: FuturesUnordered<Call>,
    next: u64,
}

impl<M: Mail> Outgoing<M> {
    pub(super) fn new(shared: Arc<Shared<M>>) -> Self {
        Self {
            shared,
            rooms: HashMap::new(),
            ready: VecDeque::new(),
            calls: FuturesUnordered::new(),
            next: 0,
        }
    }

    /// Takes what is published to Redis for as long as the broker lives.
    pub(super) async fn run(mut self, mut queue: UnboundedReceiver<Waiting>) {
        let mut links = self.shared.link.subscribe();
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        loop {
            let link = links.borrow_and_update().clone();
            if let Some(link) = &link {
                self.send(link);
            }
            tokio::select! {
                waiting = queue.recv() => {
                    let Some(waiting) = waiting else { return };
                    self.enqueue(waiting);
                    while let Ok(waiting) = queue.try_recv() {
                        self.enqueue(waiting);
                    }
                }
                Some((channel, batch, outcome)) = self.calls.next() => self.done(channel, batch, outcome),
                changed = links.changed() => if changed.is_err() { return },
                _ = tick.tick() => if link.is_none() { self.give_up() },
            }
        }
    }

    fn enqueue(&mut self, waiting: Waiting) {
        let id = waiting.channel.id;
        let room = self.rooms.entry(id).or_default();
        room.waiting.push_back(waiting);
        if !std::mem::replace(&mut room.busy, true) {
            self.ready.push_back(id);
        }
    }

    fn send(&mut self, link: &Arc<Link>) {
        while self.calls.len() < CALLS {
            let Some(id) = self.ready.pop_front() else {
                return;
            };
            let Some(room) = self.rooms.get_mut(&id) else {
                continue;
            };
            let batch = room.again.take().or_else(|| {
                self.next += 1;
                take(&mut room.waiting).map(|waiting| Batch {
                    number: self.next,
                    waiting,
                })
            });
            match batch {
                None => drop(self.rooms.remove(&id)),
                Some(batch) => self.calls.push(self.call(link, id, batch)),
            }
        }
    }

    fn call(&self, link: &Arc<Link>, id: u64, batch: Batch) -> Call {
        let (shared, link) = (Arc::clone(&self.shared), Arc::clone(link));
        Box::pin(async move {
            let Some(first) = batch.waiting.first() else {
                return (id, batch, Err(Failed::Cut));
            };
            let retention = shared.retention_of(&first.channel).await;
            let retention = match retention {
                Ok(retention) => retention,
                Err(error) => return (id, batch, Err(Failed::Refused(error.to_string()))),
            };
            let keys = calls::Keys::of(&first.channel.tenant, &first.channel.room);
            let heard = shared.rooms.at(id);
            let records = batch.waiting.iter();
            let records = records.map(|it| (&it.record[..], it.mark()));
            let name = (shared.host, batch.number);
            let script = &link.scripts.publish;
            let command = calls::publish(script, &keys, name, &retention, heard, records);
            let outcome = link.call(&command).await.and_then(|answer| {
                let read = Published::read(&answer);
                read.ok_or_else(|| Failed::Refused("an answer that nobody understands".to_owned()))
            });
            if matches!(outcome, Err(Failed::Cut)) {
                // At once, so that nothing more is sent by it.
                link.break_off();
                shared.cut(&link);
            }
            (id, batch, outcome)
        })
    }

    fn done(&mut self, id: u64, batch: Batch, outcome: Result<Published, Failed>) {
        match outcome {
            Err(Failed::Cut) => {
                let room = self.rooms.entry(id).or_default();
                (room.again, room.busy) = (Some(batch), true);
                // First in line, for it is the oldest.
                return self.ready.push_front(id);
            }
            Err(Failed::Refused(reason)) => self.refuse(batch.waiting, &reason),
            Ok(published) => self.published(batch, published),
        }
        self.ready.push_back(id);
    }

    fn published(&mut self, batch: Batch, published: Published) {
        let shared = &self.shared;
        shared.figures.calls.fetch_add(1, Ordering::Relaxed);
        let count = batch.waiting.len() as u64;
        shared
            .figures
            .publications
            .fetch_add(count, Ordering::Relaxed);
        if published.begun
            && let Some(first) = batch.waiting.first()
        {
            shared.note_room(&first.channel);
        }
        let mut by_shard: HashMap<usize, Vec<Receipt>> = HashMap::new();
        for (waiting, offset) in batch.waiting.into_iter().zip(published.offsets) {
            shared.queued.fetch_sub(waiting.cost(), Ordering::Relaxed);
            let position = Position {
                epoch: published.epoch,
                offset,
            };
            let position = (shared.kept && !waiting.passing).then_some(position);
            report(&waiting, position);
            let outcome = Ok(position);
            match waiting.taker {
                None => {}
                Some(Taker::Session {
                    shard,
                    session,
                    command,
                }) => by_shard.entry(shard).or_default().push(Receipt {
                    session,
                    command,
                    outcome,
                }),
                Some(task) => receipts::give(&shared.mail, task, outcome),
            }
        }
        for (shard, receipts) in by_shard {
            shared.mail.acknowledge(shard, receipts);
        }
    }

    /// Refuses what has waited too long.
    fn give_up(&mut self) {
        let mut late = Vec::new();
        for room in self.rooms.values_mut() {
            let over = |waiting: &Waiting| waiting.since.elapsed() >= PATIENCE;
            let again = room.again.take_if(|batch| batch.waiting.iter().all(over));
            late.extend(again.into_iter().flat_map(|batch| batch.waiting));
            if room.again.is_some() {
                continue;
            }
            let count = room.waiting.partition_point(over);
            late.extend(room.waiting.drain(..count));
        }
        self.refuse(late, "it can't be reached");
    }

    fn refuse(&self, late: Vec<Waiting>, reason: &str) {
        for waiting in late {
            self.shared
                .queued
                .fetch_sub(waiting.cost(), Ordering::Relaxed);
            if let Some(taker) = waiting.taker {
                let refused = self.shared.unavailable(reason);
                receipts::give(&self.shared.mail, taker, Err(refused));
            }
        }
    }
}

/// Tells the tenant's backend what was said, if it wants to be told. One that was said
/// again under its key is told again.
fn report(waiting: &Waiting, position: Option<Position>) {
    let tap = waiting.channel.tap.as_ref();
    if !tap.is_some_and(|tap| tap.wants(Kind::Published)) {
        return;
    }
    if let Some(record) = record::decode(&mut &waiting.record[..]) {
        let said = record.said();
        let room = &waiting.channel.room;
        keeping::report(tap, (room, &said), position, receipts::NOBODY);
    }
}

/// Takes a batch off what waits.
fn take(waiting: &mut VecDeque<Waiting>) -> Option<Vec<Waiting>> {
    let mut bytes = 0;
    let fits = |waiting: &&Waiting| {
        bytes += waiting.record.len();
        bytes <= BATCH_BYTES
    };
    let count = waiting.iter().take(BATCH).take_while(fits).count();
    let count = count.max(1).min(waiting.len());
    (count > 0).then(|| waiting.drain(..count).collect())
}

impl<M: Mail> Shared<M> {
    /// Why Redis does not do what it is asked for.
    pub(super) fn unavailable(&self, reason: &str) -> Refused {
        self.unread(reason).into()
    }

    /// The same for who reads.
    pub(super) fn unread(&self, reason: &str) -> HistoryError {
        HistoryError::Unavailable(format!("Redis at {}: {reason}", self.address).into())
    }
}
