//! Events for a backend that reads them: `text/event-stream` (the WHATWG's HTML standard,
//! section 9.2), one frame an event.
//!
//! Nothing is buffered for a reader. A page is read when the one before was taken; whoever
//! is too slow for [`super::KEPT`] is told that something is missing.

use super::Events;
use super::packing::{self, Told};
use super::tap::{Tap, Wanted};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use sschat_history::{HistoryError, Position, Query};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Events of a page: some hundred kilobytes at most where they are small.
const PAGE: usize = 64;

/// How often something is sent at least, so that both ends know of each other.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How often a stream looks whether it may go on.
const LOOK: Duration = Duration::from_secs(1);

/// Where a reader begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Since {
    /// With the next event.
    #[default]
    Now,
    /// With the oldest that is kept.
    Start,
    /// Behind the event of this id.
    Event(String),
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStream {
    /// The tenant wants to be told nothing.
    Off,
    /// The cursor is none that was ever given out.
    Cursor,
    /// Too many read already.
    Crowded,
    /// The log can't be read now.
    Unavailable,
}

struct Reader {
    tap: Arc<Tap>,
    wanted: Wanted,
    /// The last event that was sent.
    after: Position,
    /// Whether what was asked for is of another life of the log.
    broken_off: bool,
    greeted: bool,
    sent: Instant,
    signal: watch::Receiver<u64>,
    ending: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Events {
    /// The tenant's events, as frames.
    ///
    /// # Errors
    /// Why there are none to read.
    pub async fn read(
        self: &Arc<Self>,
        tenant: &str,
        since: &Since,
    ) -> Result<BoxStream<'static, Bytes>, NoStream> {
        let tap = self.tap(tenant);
        let place = Arc::clone(&tap.streams).try_acquire_owned();
        let place = place.map_err(|_| NoStream::Crowded)?;
        // Before the first look, so that nothing that comes after it goes unnoticed.
        let signal = tap.signal.subscribe();
        let known = tokio::time::timeout(HEARTBEAT, tap.known()).await;
        let known = known.map_err(|_| NoStream::Unavailable)?;
        let wanted = known.wanted.ok_or(NoStream::Off)?;
        let top = wanted.log.top();
        let begin = |offset| Position {
            epoch: top.epoch,
            offset,
        };
        let (after, broken_off) = match since {
            Since::Now => (top, false),
            Since::Start => {
                let query = Query {
                    limit: 1,
                    ..Query::default()
                };
                let page = self.history.read(&wanted.log, query).await;
                let page = page.map_err(|_| NoStream::Unavailable)?;
                let first = page.publications.first();
                (begin(first.map_or(top.offset, |it| it.offset - 1)), false)
            }
            Since::Event(id) => {
                let position = packing::position(id).ok_or(NoStream::Cursor)?;
                match position.epoch == top.epoch {
                    true if position.offset > top.offset => return Err(NoStream::Cursor),
                    true => (position, false),
                    false => (begin(0), true),
                }
            }
        };
        let reader = Reader {
            tap,
            wanted,
            after,
            broken_off,
            greeted: false,
            sent: Instant::now(),
            signal,
            ending: self.ending.subscribe(),
            _place: place,
        };
        Ok(stream::unfold(reader, Reader::next).boxed())
    }
}

impl Reader {
    /// The next frames; `None` where the stream ends.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some((Bytes::from_static(b"retry: 1000\n\n"), self));
        }
        loop {
            self.signal.mark_unchanged();
            let known = self.tap.known().await;
            let same = known
                .wanted
                .is_some_and(|it| Arc::ptr_eq(&it.log, &self.wanted.log));
            if !same || *self.ending.borrow() {
                return None;
            }
            let told = match self.page().await {
                Ok(told) => told,
                Err(error) => {
                    tracing::debug!(%error, "a stream of events ends");
                    return None;
                }
            };
            if let Some(last) = told.last() {
                self.after = last.position;
                self.sent = Instant::now();
                return Some((frames(&told), self));
            }
            if self.sent.elapsed() >= HEARTBEAT {
                self.sent = Instant::now();
                return Some((Bytes::from_static(b":\n\n"), self));
            }
            tokio::select! {
                _ = self.signal.changed() => {}
                _ = self.ending.changed() => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn page(&mut self) -> Result<Vec<Told>, HistoryError> {
        let query = Query {
            since: Some(self.after),
            limit: PAGE,
            reverse: false,
        };
        let history = &self.tap.events.history;
        let page = history.read(&self.wanted.log, query).await?;
        if std::mem::take(&mut self.broken_off) {
            let lost = packing::broken_off(&page);
            let offset = lost.position.offset;
            return Ok([lost]
                .into_iter()
                .chain(packing::told(&page, offset))
                .collect());
        }
        Ok(packing::told(&page, self.after.offset))
    }
}

fn frames(told: &[Told]) -> Bytes {
    let size = told.iter().map(|it| it.object.len() + 64).sum();
    let mut frames = Vec::with_capacity(size);
    for told in told {
        frames.extend_from_slice(b"id: ");
        frames.extend_from_slice(packing::id(told.position).as_bytes());
        frames.extend_from_slice(b"\ndata: ");
        frames.extend_from_slice(&told.object);
        frames.extend_from_slice(b"\n\n");
    }
    frames.into()
}
