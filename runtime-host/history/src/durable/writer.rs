//! The one thread that writes.
//!
//! It takes everything that waits in the queue, writes it as one batch, flushes once and
//! tells who waits. While the disk fails it keeps the group and tries again.

use super::garbage::Heap;
use super::group::Group;
use super::shared::Shared;
use super::sweep::{Line, Removed, Sweep};
use crate::engine::{Engine, Item, Space, describe};
use crate::{CommitSink, HistoryError};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How often expired channels are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a failing disk is left alone before the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Attempts to write when the history is closed while the disk fails.
const LAST_ATTEMPTS: u32 = 2;

/// How long the writer waits for readers to let go of a failed engine, each time it looks.
const READER_PAUSE: Duration = Duration::from_millis(1);

/// Below this many channels in memory the dead are not worth looking for.
const TIDY_FROM: usize = 4_096;

/// Settings of the history itself.
pub(super) const STARTS: &[u8] = b"starts";
pub(super) const CRASHES: &[u8] = b"crashes";
pub(super) const CLEAN: &[u8] = b"clean";

pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Arc<dyn CommitSink>,
    pub(super) heap: Heap,
    pub(super) sweep: Sweep,
    pub(super) line: Line,
    pub(super) tidy: usize,
    pub(super) swept: Instant,
}

impl Writer {
    /// Serves the queue until it is closed, then says on the disk that it ended cleanly.
    pub(super) fn run(mut self) -> Result<(), HistoryError> {
        let mut sound = Ok(());
        loop {
            let patience = if self.heap.is_empty() {
                SWEEP_INTERVAL
            } else {
                Duration::ZERO
            };
            let Some(operations) = self.shared.queue.group(patience) else {
                break;
            };
            let now = self.shared.now();
            let mut group = Group::new(operations, self.shared.crashes, now);
            let removed = self.clean_up(&mut group, now);
            let written = match group.items.is_empty() {
                true => Ok(()),
                false => self.write(&group.items),
            };
            match &written {
                Ok(()) => self.acknowledge(group, removed),
                Err(_) => self.abandon(group, removed),
            }
            sound = sound.and(written);
        }
        self.finish(sound)
    }

    /// Adds to the group what gives disk space back.
    fn clean_up(&mut self, group: &mut Group, now: u64) -> Vec<Removed> {
        let Ok(engine) = self.shared.engine() else {
            return Vec::new();
        };
        let (items, garbage) = self.heap.step(&engine);
        group.items.extend(items);
        group.garbage.extend(garbage);
        if self.swept.elapsed() < SWEEP_INTERVAL || self.shared.queue.is_closed() {
            return Vec::new();
        }
        self.swept = Instant::now();
        let removed = self.sweep.step(&self.shared, &engine, now);
        for removed in &removed {
            let garbage = removed.garbage;
            group.items.push(removed.row.clone());
            group
                .items
                .push(Item::set(Space::Garbage, garbage.key(), [0]));
            group.garbage.push(garbage);
        }
        removed
    }

    /// Writes until it succeeds; gives up only when the history is being closed.
    fn write(&mut self, items: &[Item]) -> Result<(), HistoryError> {
        let mut last = LAST_ATTEMPTS;
        loop {
            let engine = self.shared.engine();
            let reason = match engine.map(|engine| engine.commit(items)) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => describe(&error),
                Err(error) => error.to_string(),
            };
            tracing::error!(writes = items.len(), "writing history failed: {reason}");
            self.shared.queue.fail(&reason);
            if self.shared.queue.is_closed() {
                last -= 1;
            }
            if last == 0 {
                return Err(HistoryError::Unavailable(reason.into()));
            }
            self.reopen();
        }
    }

    /// Opens the engine again: after a failure it writes no more.
    fn reopen(&self) {
        let lock = || {
            let engine = &self.shared.engine;
            engine.write().unwrap_or_else(PoisonError::into_inner)
        };
        let mut failed = lock().take();
        // Readers hold it for one reading only.
        while let Some(engine) = failed.take() {
            match Arc::try_unwrap(engine) {
                Ok(engine) => drop(engine),
                Err(engine) => {
                    failed = Some(engine);
                    std::thread::park_timeout(READER_PAUSE);
                }
            }
        }
        self.shared.queue.rest(RETRY_PAUSE);
        match Engine::open(&self.folder) {
            Ok(engine) => *lock() = Some(Arc::new(engine)),
            Err(error) => tracing::error!("opening the history again failed: {error}"),
        }
    }

    /// What the group holds is durable: says so to everybody who waits for it.
    fn acknowledge(&mut self, mut group: Group, removed: Vec<Removed>) {
        for (_, life, top) in &group.synced {
            life.synced.fetch_max(*top, Ordering::Release);
        }
        self.shared.queue.release(group.bytes);
        if !group.tokens.is_empty() {
            self.sink.committed(&group.tokens);
        }
        for barrier in group.barriers.drain(..) {
            // Who does not wait any more needs no answer.
            let _ = barrier.send(Ok(()));
        }
        for removed in removed {
            removed.done(&self.shared);
        }
        self.heap.add(group.garbage.drain(..));
        for (log, _, _) in &group.synced {
            self.line.add(log);
        }
        for log in &group.noticed {
            self.line.add(log);
        }
        if self.line.len() >= self.tidy.max(TIDY_FROM) {
            self.line.tidy();
            self.tidy = self.line.len() * 2;
        }
        let budget = &self.shared.budget;
        self.line.shed(|| budget.is_over(), |log| log.shed());
    }

    fn abandon(&self, mut group: Group, removed: Vec<Removed>) {
        self.shared.queue.release(group.bytes);
        if !group.tokens.is_empty() {
            self.sink.abandoned(&group.tokens);
        }
        for barrier in group.barriers.drain(..) {
            let _ = barrier.send(Err(HistoryError::Closed));
        }
        for removed in removed {
            removed.done(&self.shared);
        }
    }

    /// The last write: that nothing was lost.
    fn finish(mut self, sound: Result<(), HistoryError>) -> Result<(), HistoryError> {
        let clean = [Item::set(Space::Settings, CLEAN, [1])];
        let ended = sound.and_then(|()| self.write(&clean));
        if let Err(error) = &ended {
            tracing::error!("the history was not closed cleanly: {error}");
        }
        let engine = &self.shared.engine;
        let engine = engine
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(engine);
        ended
    }
}
