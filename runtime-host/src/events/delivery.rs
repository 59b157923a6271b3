//! Posting events to a tenant's webhook.
//!
//! One task for each tenant that has anything to be told, and one request at a time, so
//! that the order of the log is the order of arrival. What the webhook took is noted in a
//! log of its own; a note that is lost in a crash means that the events come again.

use super::learning::AGES;
use super::packing::{self, Told};
use super::signature::sign;
use super::tap::{NOBODY, State, Tap, Wanted};
use super::{DELIVERED, Settings};
use crate::clock::unix_now;
use crate::fetch::Posted;
use sschat_history::{HistoryError, NewPublication, Page, Position, Query, Retention, RoomLog};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Events of one request at most.
const BATCH: usize = 100;

/// Bytes of one request at most; one event may be larger.
const BATCH_BYTES: usize = 256 << 10;

/// The pause after a first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after failures.
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// The longest pause that a webhook can ask for.
const ASKED_PAUSE: Duration = Duration::from_secs(3_600);

/// How often a pause looks whether the settings changed.
const LOOK: Duration = Duration::from_secs(1);

/// One note is enough.
const LAST_NOTE: Retention = Retention {
    count: 1,
    bytes: 1 << 20,
    age: AGES,
};

/// One tenant's deliveries.
struct Courier {
    tap: Arc<Tap>,
    /// Where the notes are.
    notes: Arc<RoomLog>,
    /// The last event that the webhook took.
    taken: Option<Position>,
    failures: u32,
}

/// What is posted at once.
struct Batch {
    body: Vec<u8>,
    first: Position,
    last: Position,
    events: u64,
    missing: u64,
}

impl Tap {
    /// Posts what there is until there is nothing more.
    pub(super) fn start_delivery(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.delivering, true) {
            return;
        }
        let tap = Arc::clone(self);
        self.events.runtime.spawn(async move {
            let mut ending = tap.events.ending.subscribe();
            tokio::select! {
                () = Arc::clone(&tap).deliver() => {}
                // What is left is told after the next start.
                _ = ending.wait_for(|ending| *ending) => {}
            }
        });
    }

    async fn deliver(self: Arc<Self>) {
        let mut courier = loop {
            match Courier::new(Arc::clone(&self)).await {
                Ok(courier) => break courier,
                Err(error) => {
                    tracing::warn!(%error, "events can't be delivered now");
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
            }
        };
        while let Some(wanted) = courier.wanted().await {
            match courier.step(&wanted).await {
                Ok(true) => {}
                Ok(false) if courier.is_done(&wanted) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "events can't be delivered now");
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
            }
        }
    }
}

impl Courier {
    async fn new(tap: Arc<Tap>) -> Result<Self, HistoryError> {
        let history = &tap.events.history;
        let notes = history.open(&tap.tenant, DELIVERED, LAST_NOTE).await?;
        let query = Query {
            limit: 1,
            reverse: true,
            ..Query::default()
        };
        let last = history.read(&notes, query).await?;
        let last = last.publications.first();
        let taken = last.and_then(|it| packing::position(std::str::from_utf8(&it.payload).ok()?));
        Ok(Self {
            tap,
            notes,
            taken,
            failures: 0,
        })
    }

    /// What is to be delivered where; `None` once nothing is.
    async fn wanted(&self) -> Option<Wanted> {
        loop {
            let known = self.tap.known().await;
            if let Some(wanted) = known.wanted
                && wanted.settings.url.is_some()
            {
                return Some(wanted);
            }
            let mut state = self.tap.state();
            // Other settings may have come in between.
            let posts = |wanted: &Wanted| wanted.settings.url.is_some();
            let standing = state.standing();
            if !standing.is_some_and(|known| known.wanted.as_ref().is_some_and(posts)) {
                state.delivering = false;
                return None;
            }
        }
    }

    /// Whether nothing came since the last look.
    fn is_done(&self, wanted: &Wanted) -> bool {
        let mut state = self.tap.state();
        let top = wanted.log.top();
        let taken = self.taken.filter(|it| it.epoch == top.epoch);
        let done = wanted.log.kept_after(taken.map_or(0, |it| it.offset)) == 0;
        if done {
            state.delivering = false;
        }
        done
    }

    /// Posts a batch, or waits after one that was not taken. `false` where there is none.
    async fn step(&mut self, wanted: &Wanted) -> Result<bool, HistoryError> {
        let Wanted { settings, log } = wanted;
        let (page, since) = self.read(log).await?;
        let offset = since.map_or(0, |it| it.offset);
        self.tap.delivered.store(offset, Ordering::Relaxed);
        let told = packing::told(&page, offset);
        let Some(batch) = Batch::pack(&self.tap.tenant, told) else {
            return Ok(false);
        };
        let outcome = self.post(settings, &batch).await;
        let figures = &self.tap.events.figures;
        match outcome {
            Ok(Posted { status, .. }) if (200..300).contains(&status) => {
                figures.delivered.fetch_add(batch.events, Ordering::Relaxed);
                figures.dropped.fetch_add(batch.missing, Ordering::Relaxed);
                self.failures = 0;
                self.note(batch.last);
            }
            Ok(Posted { status, pause }) => {
                self.failed(wanted, &format!("it answered {status}"), pause)
                    .await;
            }
            Err(error) => self.failed(wanted, &format!("{error:#}"), None).await,
        }
        Ok(true)
    }

    /// What comes after what was taken, and where that was.
    async fn read(&self, log: &Arc<RoomLog>) -> Result<(Page, Option<Position>), HistoryError> {
        let history = &self.tap.events.history;
        let query = |since| Query {
            since,
            limit: BATCH,
            reverse: false,
        };
        match history.read(log, query(self.taken)).await {
            Ok(page) => Ok((page, self.taken)),
            // Another life of the log: all of it is new.
            Err(HistoryError::WrongEpoch) => Ok((history.read(log, query(None)).await?, None)),
            Err(error) => Err(error),
        }
    }

    async fn post(&self, settings: &Settings, batch: &Batch) -> anyhow::Result<Posted> {
        let _turn = self.tap.events.permits.acquire().await?;
        let time = unix_now();
        let signature = sign(&settings.secrets, time, &batch.body);
        let (first, last) = (packing::id(batch.first), packing::id(batch.last));
        let headers = [
            ("sschat-signature", signature.as_str()),
            ("sschat-first-event", first.as_str()),
            ("sschat-last-event", last.as_str()),
        ];
        let url = settings.url.as_deref().unwrap_or_default();
        let body = batch.body.clone().into();
        self.tap.events.fetcher.post(url, &headers, body).await
    }

    fn note(&mut self, taken: Position) {
        self.taken = Some(taken);
        self.tap.delivered.store(taken.offset, Ordering::Relaxed);
        let new = NewPublication {
            payload: packing::id(taken).into(),
            ..NewPublication::default()
        };
        let history = &self.tap.events.history;
        if let Err(error) = history.publish(&self.notes, new, NOBODY) {
            tracing::debug!(%error, "events will be delivered again after a restart");
        }
    }

    /// Waits before the next try: longer each time, as long as the webhook asks for, and no
    /// longer than the settings stand.
    async fn failed(&mut self, wanted: &Wanted, reason: &str, asked: Option<Duration>) {
        let figures = &self.tap.events.figures;
        figures.failed.fetch_add(1, Ordering::Relaxed);
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_PAUSE);
        self.failures += 1;
        let pause = asked.map_or(jittered(pause), |asked| asked.min(ASKED_PAUSE).max(pause));
        let (tenant, tries) = (&*self.tap.tenant, self.failures);
        tracing::warn!(tenant, reason, tries, ?pause, "a webhook took no events");
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            tokio::time::sleep(left.min(LOOK)).await;
            let known = self.tap.known().await;
            let same = known
                .wanted
                .is_some_and(|it| it.settings == wanted.settings);
            if !same {
                self.failures = 0;
                return;
            }
        }
    }
}

impl Batch {
    /// As many as fit.
    fn pack(tenant: &str, told: Vec<Told>) -> Option<Self> {
        let first = told.first()?.position;
        let mut batch = Self {
            body: format!("{{\"app_id\":\"{tenant}\",\"events\":[").into_bytes(),
            first,
            last: first,
            events: 0,
            missing: 0,
        };
        for (at, told) in told.into_iter().enumerate() {
            if at > 0 && batch.body.len() + told.object.len() > BATCH_BYTES {
                break;
            }
            if at > 0 {
                batch.body.push(b',');
            }
            batch.body.extend_from_slice(&told.object);
            batch.last = told.position;
            batch.missing += told.missing;
            batch.events += 1;
        }
        batch.body.extend_from_slice(b"]}");
        Some(batch)
    }
}

/// From half of it to all of it, so that webhooks that failed together are not tried again
/// together.
fn jittered(pause: Duration) -> Duration {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    pause.mul_f64(0.5 + (random >> 11) as f64 / (1_u64 << 54) as f64)
}
