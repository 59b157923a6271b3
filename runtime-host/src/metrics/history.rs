//! What the history does, counted from outside of it: what it takes, refuses and has yet to
//! make durable, and how long that takes.
//!
//! Of the publications under way one at a time is timed, so that a fast room costs two
//! counters and no list of times.

use super::Counter;
use super::text::Text;
use crate::store::latency::Latency;
use sschat_history::{
    Ack, CommitSink, History, HistoryFuture, NewPublication, Page, Position, PublishError,
    Published, Query, Recovery, Retention, RoomLog,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The figures of one history.
#[derive(Debug, Default)]
pub struct HistoryFigures {
    appended: Counter,
    refused: [Counter; REASONS.len()],
    /// Those that were to be made durable.
    queued: AtomicU64,
    /// Those of them whose end was told.
    settled: AtomicU64,
    abandoned: AtomicU64,
    receipts: Latency,
    /// Which of the queued is timed, and since when.
    timed: Mutex<Option<(u64, Instant)>>,
}

/// Why a publication was refused, in the order of [`reason`].
const REASONS: [&str; 4] = ["too_large", "full", "failing", "closed"];

fn reason(refused: &PublishError) -> usize {
    match refused {
        PublishError::TooLarge(_) => 0,
        PublishError::Full => 1,
        PublishError::Failing(_) => 2,
        PublishError::Closed => 3,
    }
}

impl HistoryFigures {
    fn count(&self, outcome: &Result<Published, PublishError>) {
        match outcome {
            Ok(published) => {
                // One whose key was seen before is appended to nothing.
                if published.publication.is_some() {
                    self.appended.count();
                }
                if published.ack == Ack::Later {
                    self.queue();
                }
            }
            Err(refused) => self.refused[reason(refused)].count(),
        }
    }

    fn queue(&self) {
        let number = self.queued.fetch_add(1, Ordering::Relaxed) + 1;
        // Who finds another one being timed lets it be: nobody waits here.
        if let Ok(mut timed) = self.timed.try_lock() {
            timed.get_or_insert_with(|| (number, Instant::now()));
        }
    }

    fn settle(&self, count: usize) {
        let count = count as u64;
        let settled = self.settled.fetch_add(count, Ordering::Relaxed) + count;
        let mut timed = self.timed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = timed.take_if(|(number, _)| *number <= settled) {
            self.receipts.record(since.elapsed());
        }
    }

    /// Writes them.
    pub fn write(&self, text: &mut Text) {
        let help = "Publications that were given a place in the history.";
        text.counter("sschat_history_appended_total", help)
            .value(self.appended.total());
        let help = "Publications that the history refused, by reason; nobody heard them.";
        let mut metric = text.counter("sschat_history_refused_total", help);
        for (reason, counter) in REASONS.iter().zip(&self.refused) {
            metric.sample(&[("reason", reason)], counter.total());
        }
        let settled = self.settled.load(Ordering::Relaxed);
        let queued = self.queued.load(Ordering::Relaxed);
        let help = "Publications that were accepted and are not durable yet.";
        text.gauge("sschat_history_waiting", help)
            .value(queued.saturating_sub(settled));
        let help = "Publications that were accepted and could not be made durable.";
        text.counter("sschat_history_abandoned_total", help)
            .value(self.abandoned.load(Ordering::Relaxed));
        let help = "From a publication's acceptance until it was durable; one at a time is timed.";
        text.histogram("sschat_history_receipt_seconds", help)
            .latency(&[], &self.receipts);
    }
}

/// A history whose publications are counted.
pub struct Counted {
    inner: Arc<dyn History>,
    figures: Arc<HistoryFigures>,
}

impl Counted {
    /// Counts what goes into `inner`.
    pub fn new(inner: Arc<dyn History>, figures: Arc<HistoryFigures>) -> Self {
        Self { inner, figures }
    }
}

impl History for Counted {
    fn durable(&self) -> bool {
        self.inner.durable()
    }

    fn open(&self, tenant: &str, room: &str, retention: Retention) -> HistoryFuture<Arc<RoomLog>> {
        self.inner.open(tenant, room, retention)
    }

    fn publish(
        &self,
        log: &Arc<RoomLog>,
        publication: NewPublication,
        token: u64,
    ) -> Result<Published, PublishError> {
        let outcome = self.inner.publish(log, publication, token);
        self.figures.count(&outcome);
        outcome
    }

    fn read(&self, log: &Arc<RoomLog>, query: Query) -> HistoryFuture<Page> {
        self.inner.read(log, query)
    }

    fn recover(
        &self,
        log: &Arc<RoomLog>,
        since: Position,
        limit: usize,
    ) -> HistoryFuture<Recovery> {
        self.inner.recover(log, since, limit)
    }

    fn remove(&self, tenant: &str, room: &str) -> HistoryFuture<()> {
        self.inner.remove(tenant, room)
    }

    fn remove_tenant(&self, tenant: &str) -> HistoryFuture<()> {
        self.inner.remove_tenant(tenant)
    }

    fn tenant_bytes(&self, tenant: &str) -> HistoryFuture<u64> {
        self.inner.tenant_bytes(tenant)
    }

    fn close(&self) -> HistoryFuture<()> {
        self.inner.close()
    }
}

/// Tells `inner` what it is told, and counts it.
pub struct CountedSink {
    inner: Arc<dyn CommitSink>,
    figures: Arc<HistoryFigures>,
}

impl CountedSink {
    /// Counts what is told to `inner`.
    pub fn new(inner: Arc<dyn CommitSink>, figures: Arc<HistoryFigures>) -> Self {
        Self { inner, figures }
    }
}

impl CommitSink for CountedSink {
    fn committed(&self, tokens: &[u64]) {
        self.figures.settle(tokens.len());
        self.inner.committed(tokens);
    }

    fn abandoned(&self, tokens: &[u64]) {
        let count = tokens.len() as u64;
        self.figures.abandoned.fetch_add(count, Ordering::Relaxed);
        self.figures.settled.fetch_add(count, Ordering::Relaxed);
        self.inner.abandoned(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sschat_history::{DurableHistory, Options};
    use std::sync::mpsc::{Sender, channel};

    struct Told(Mutex<Sender<usize>>);

    impl CommitSink for Told {
        fn committed(&self, tokens: &[u64]) {
            self.0.lock().unwrap().send(tokens.len()).unwrap();
        }

        fn abandoned(&self, tokens: &[u64]) {
            self.committed(tokens);
        }
    }

    #[test]
    fn what_is_accepted_waits_until_it_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let figures = Arc::new(HistoryFigures::default());
        let (told, commits) = channel();
        let sink = CountedSink::new(Arc::new(Told(Mutex::new(told))), Arc::clone(&figures));
        let options = Options::new(folder.path().join("history"));
        let inner = DurableHistory::open(options, Arc::new(sink)).unwrap();
        let history = Counted::new(Arc::new(inner), Arc::clone(&figures));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let opened = history.open("t", "r", Retention::default());
        let log = runtime.unwrap().block_on(opened).unwrap();
        let said = || NewPublication {
            payload: "1".into(),
            key: Some("k".into()),
            ..NewPublication::default()
        };
        history.publish(&log, said(), 1).unwrap();
        history.publish(&log, said(), 2).unwrap();
        let large = NewPublication {
            payload: vec![0; sschat_history::PAYLOAD_LIMIT + 1].into(),
            ..NewPublication::default()
        };
        history.publish(&log, large, 3).unwrap_err();
        let mut settled = 0;
        while settled < 2 {
            settled += commits.recv().unwrap();
        }
        let mut text = Text::default();
        figures.write(&mut text);
        let text = text.finish();
        for line in [
            "sschat_history_appended_total 1",
            "sschat_history_refused_total{reason=\"too_large\"} 1",
            "sschat_history_refused_total{reason=\"full\"} 0",
            "sschat_history_waiting 0",
            "sschat_history_abandoned_total 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(figures.receipts.seen().counts.iter().sum::<u64>() >= 1);
    }
}
