//! Reading a channel: what of it is in memory, and what has to come from the disk.

use super::{Life, RoomLog};
use crate::{HistoryError, Page, Position, Publication, Query, Recovery, Unrecoverable};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A retained publication.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) time: u64,
    pub(crate) cost: u32,
    /// `None`: on the disk alone.
    pub(crate) publication: Option<Arc<Publication>>,
}

impl Entry {
    pub(super) fn new(publication: Publication) -> Self {
        Self {
            offset: publication.offset,
            time: publication.time,
            cost: u32::try_from(publication.cost()).unwrap_or(u32::MAX),
            publication: Some(Arc::new(publication)),
        }
    }
}

/// What a reading chose, at one moment.
pub(crate) struct Selection {
    pub(crate) life: Arc<Life>,
    pub(crate) top: Position,
    /// In the order asked for.
    pub(crate) entries: Vec<Entry>,
    pub(crate) complete: bool,
}

impl Selection {
    /// The least and the greatest offset that must come from the disk.
    pub(crate) fn missing(&self) -> Option<(u64, u64)> {
        let mut missing = None;
        for entry in self.entries.iter().filter(|it| it.publication.is_none()) {
            let (least, greatest) = missing.unwrap_or((entry.offset, entry.offset));
            missing = Some((least.min(entry.offset), greatest.max(entry.offset)));
        }
        missing
    }

    /// The page, where nothing is missing any more; what is, was trimmed since.
    pub(crate) fn page(self) -> Page {
        let wanted = self.entries.len();
        let shared = self.entries.into_iter().filter_map(|it| it.publication);
        let publications: Vec<_> = shared.collect();
        Page {
            complete: self.complete && publications.len() == wanted,
            publications,
            top: self.top,
        }
    }

    /// The recovery, if every publication is there.
    pub(crate) fn recovery(self) -> Recovery {
        let page = self.page();
        let top = page.top;
        if page.complete {
            let publications = page.publications;
            return Recovery::Recovered { publications, top };
        }
        let reason = Unrecoverable::Gone;
        Recovery::Unrecoverable { reason, top }
    }
}

/// Puts `found`, in ascending order, where `entries` lack their publications.
pub(crate) fn fill(entries: &mut [Entry], found: &[Arc<Publication>]) -> u64 {
    let mut filled = 0;
    for entry in entries.iter_mut().filter(|it| it.publication.is_none()) {
        if let Ok(at) = found.binary_search_by_key(&entry.offset, |it| it.offset) {
            entry.publication = Some(Arc::clone(&found[at]));
            filled += u64::from(entry.cost);
        }
    }
    filled
}

impl RoomLog {
    /// Chooses what `query` asks for.
    pub(crate) fn select(&self, query: Query, now: u64) -> Result<Selection, HistoryError> {
        let mut state = self.state();
        self.trim(&mut state, now);
        self.used.store(now, Ordering::Relaxed);
        let top = state.position();
        if query.since.is_some_and(|since| since.epoch != top.epoch) {
            return Err(HistoryError::WrongEpoch);
        }
        let all = &state.entries;
        let since = query.since.map(|since| since.offset);
        let entries: Vec<Entry> = match (query.reverse, since) {
            (false, since) => {
                let since = since.unwrap_or(0);
                let from = all.partition_point(|entry| entry.offset <= since);
                all.range(from..).take(query.limit).cloned().collect()
            }
            (true, since) => {
                let since = since.unwrap_or(u64::MAX);
                let until = all.partition_point(|entry| entry.offset < since);
                all.range(..until)
                    .rev()
                    .take(query.limit)
                    .cloned()
                    .collect()
            }
        };
        Ok(Selection {
            life: Arc::clone(&state.life),
            complete: complete(&entries, query, top.offset),
            top,
            entries,
        })
    }

    /// How many of its publications come after this offset and are kept.
    #[must_use]
    pub fn kept_after(&self, offset: u64) -> usize {
        let state = self.state();
        let from = state
            .entries
            .partition_point(|entry| entry.offset <= offset);
        state.entries.len() - from
    }

    /// Chooses everything after `since`.
    pub(crate) fn missed(
        &self,
        since: Position,
        limit: usize,
        now: u64,
    ) -> Result<Selection, Recovery> {
        let refuse = |reason, top| Err(Recovery::Unrecoverable { reason, top });
        let query = Query {
            since: Some(since),
            limit: usize::MAX,
            reverse: false,
        };
        let top = self.top();
        if since.epoch == top.epoch && since.offset > top.offset {
            return refuse(Unrecoverable::Future, top);
        }
        if since.epoch == top.epoch && top.offset - since.offset > limit as u64 {
            return refuse(Unrecoverable::TooMany, top);
        }
        let Ok(selection) = self.select(query, now) else {
            return refuse(Unrecoverable::WrongEpoch, self.top());
        };
        // What was published between the two looks counts as well.
        if selection.entries.len() > limit {
            return refuse(Unrecoverable::TooMany, selection.top);
        }
        let reached = selection.entries.len() as u64 == selection.top.offset - since.offset;
        if !reached || !selection.complete {
            return refuse(Unrecoverable::Gone, selection.top);
        }
        Ok(selection)
    }

    /// Keeps in memory what was read from the disk.
    pub(crate) fn refill(&self, life: &Arc<Life>, found: &[Arc<Publication>]) {
        let mut state = self.state();
        if Arc::ptr_eq(&state.life, life) {
            let filled = fill(state.entries.make_contiguous(), found);
            self.budget.add(filled);
        }
    }
}

/// Whether the page lacks nothing between its start and its end.
fn complete(entries: &[Entry], query: Query, top: u64) -> bool {
    let close = |pair: &[Entry]| pair[0].offset.abs_diff(pair[1].offset) == 1;
    let joined = entries.windows(2).all(close);
    let Some(since) = query.since.map(|since| since.offset) else {
        return joined;
    };
    let begins = match (entries.first(), query.reverse) {
        (Some(first), _) => first.offset.abs_diff(since) == 1,
        (None, false) => query.limit == 0 || since == top,
        (None, true) => query.limit == 0 || since <= 1,
    };
    joined && begins
}
