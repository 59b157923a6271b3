//! One channel in memory: offsets, what is retained, what is remembered.
//!
//! The state knows of every retained publication where and how large it is; the payloads
//! themselves may be on the disk alone. Absent on purpose: the disk.

mod keys;
mod reading;

pub(crate) use reading::{Entry, Selection, fill};

use crate::bounds;
use crate::registry::{Budget, Tenant, TenantLife};
use crate::{
    Ack, Epoch, HistoryError, KEY_WINDOW, NewPublication, Position, Publication, PublishError,
    Published, Retention, UNSYNCED_LIMIT,
};
use keys::Keys;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One channel between its making and its removal.
#[derive(Debug)]
pub(crate) struct Life {
    /// Names its publications on the disk.
    pub(crate) id: u64,
    pub(crate) epoch: Epoch,
    pub(crate) tenant: Arc<TenantLife>,
    /// Offsets up to this one are durable, or were never given to anybody.
    pub(crate) synced: AtomicU64,
    /// What lies on the disk, by cost. The writer's.
    pub(crate) disk_bytes: AtomicU64,
    /// Whether the writer knows of it, so that it is found again when nobody has it open.
    pub(crate) known: AtomicBool,
}

/// A channel of the history. Whoever holds it keeps it open.
#[derive(Debug)]
pub struct RoomLog {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) room: Box<str>,
    pub(crate) budget: Arc<Budget>,
    /// When it was last used, by the clock.
    pub(crate) used: AtomicU64,
    /// Whether it stands in the line of those whose payloads may be dropped.
    pub(crate) in_line: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    life: Arc<Life>,
    /// The last offset handed out.
    top: u64,
    /// Offsets up to this one were trimmed.
    floor: u64,
    time: u64,
    entries: VecDeque<Entry>,
    /// The cost of all entries.
    bytes: u64,
    retention: Retention,
    keys: Keys,
    /// Trimmed publications that the writer has not yet heard of, with their cost.
    trimmed: Vec<(u64, u32)>,
}

/// What a channel is made of when it comes from the disk.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) top: u64,
    pub(crate) floor: u64,
    pub(crate) publications: Vec<Publication>,
    pub(crate) keys: Vec<(Arc<str>, u64, u64)>,
}

/// What the writer is given of one accepted publication.
pub(crate) struct Accepted {
    pub(crate) life: Arc<Life>,
    pub(crate) publication: Arc<Publication>,
    pub(crate) key: Option<Arc<str>>,
}

/// What the writer has to bring to the disk of a channel beside its publications.
pub(crate) struct Settled {
    pub(crate) floor: u64,
    pub(crate) expires: u64,
    pub(crate) trimmed: Vec<(u64, u32)>,
    pub(crate) keys: Vec<u64>,
}

impl RoomLog {
    pub(crate) fn new(
        tenant: Arc<Tenant>,
        room: &str,
        budget: Arc<Budget>,
        life: Life,
        loaded: Loaded,
        retention: Retention,
    ) -> Self {
        let entries: VecDeque<Entry> = loaded.publications.into_iter().map(Entry::new).collect();
        let bytes = entries.iter().map(|entry| u64::from(entry.cost)).sum();
        budget.add(bytes);
        let state = State {
            life: Arc::new(life),
            top: loaded.top,
            floor: loaded.floor,
            time: entries.back().map_or(0, |entry| entry.time),
            entries,
            bytes,
            retention,
            keys: Keys::new(loaded.keys),
            trimmed: Vec::new(),
        };
        Self {
            tenant,
            room: room.into(),
            budget,
            used: AtomicU64::new(0),
            in_line: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the channel is: the last offset handed out.
    #[must_use]
    pub fn top(&self) -> Position {
        self.state().position()
    }

    /// The tenant's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant.name
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Changes what is kept, at the next publication or reading.
    pub fn set_retention(&self, retention: Retention) {
        self.state().retention = retention;
    }

    pub(crate) fn life(&self) -> Arc<Life> {
        Arc::clone(&self.state().life)
    }

    /// Gives the publication its offset if `accept` takes it. `repeat` is asked instead
    /// where the key was seen before and the first is not yet durable.
    pub(crate) fn publish(
        &self,
        new: NewPublication,
        now: u64,
        accept: impl FnOnce(Accepted) -> Result<Ack, PublishError>,
        repeat: impl FnOnce() -> Result<Ack, PublishError>,
    ) -> Result<Published, PublishError> {
        bounds::check(&new)?;
        let mut state = self.state();
        let life = Arc::clone(&state.life);
        let synced = life.synced.load(Ordering::Acquire);
        if let Some(key) = &new.key {
            state.keys.expire(now);
            if let Some(offset) = state.keys.get(key) {
                let ack = if offset <= synced {
                    Ack::Now
                } else {
                    repeat()?
                };
                let epoch = life.epoch;
                return Ok(Published {
                    position: Position { epoch, offset },
                    publication: None,
                    ack,
                });
            }
        }
        if state.top.saturating_sub(synced) >= UNSYNCED_LIMIT {
            return Err(PublishError::Full);
        }
        let publication = Arc::new(Publication {
            offset: state.top + 1,
            time: now.max(state.time),
            payload: new.payload,
            from: new.from,
            by: new.by,
            tags: new.tags,
        });
        let key: Option<Arc<str>> = new.key.map(Into::into);
        let ack = accept(Accepted {
            life,
            publication: Arc::clone(&publication),
            key: key.clone(),
        })?;
        if let Some(key) = key {
            state.keys.add(key, publication.offset, now);
        }
        self.budget.add(publication.cost());
        state.append(&publication);
        self.trim(&mut state, now);
        self.used.store(now, Ordering::Relaxed);
        Ok(Published {
            position: state.position(),
            publication: Some(publication),
            ack,
        })
    }

    /// Drops what is outside of the retention.
    fn trim(&self, state: &mut State, now: u64) {
        let retention = state.retention;
        let age = u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX);
        while let Some(oldest) = state.entries.front() {
            let over = state.entries.len() > retention.count as usize
                || state.bytes > retention.bytes
                || oldest.time.saturating_add(age) <= now;
            if !over {
                break;
            }
            let Some(oldest) = state.entries.pop_front() else {
                break;
            };
            state.floor = oldest.offset;
            state.bytes -= u64::from(oldest.cost);
            state
                .life
                .tenant
                .bytes
                .fetch_sub(oldest.cost.into(), Ordering::Relaxed);
            if oldest.publication.is_some() {
                self.budget.subtract(oldest.cost.into());
            }
            if self.budget.disk {
                state.trimmed.push((oldest.offset, oldest.cost));
            }
        }
        if !self.budget.disk {
            state.keys.dropped.clear();
        }
    }

    /// Drops what has expired; whether the writer has to hear of it.
    pub(crate) fn expire(&self, now: u64) -> Option<Arc<Life>> {
        let mut state = self.state();
        self.trim(&mut state, now);
        state.keys.expire(now);
        let told = state.trimmed.is_empty() && state.keys.dropped.is_empty();
        (!told).then(|| Arc::clone(&state.life))
    }

    /// What the writer has to know when it writes the channel up to `top`; `None` if the
    /// channel has another life by now.
    pub(crate) fn settle(&self, life: &Arc<Life>, top: u64, now: u64) -> Option<Settled> {
        let mut state = self.state();
        if !Arc::ptr_eq(&state.life, life) {
            return None;
        }
        let until = state.trimmed.partition_point(|(offset, _)| *offset <= top);
        let later = state.trimmed.split_off(until);
        let trimmed = std::mem::replace(&mut state.trimmed, later);
        let newest = state.entries.back().map(|entry| entry.time);
        let age = u64::try_from(state.retention.age.as_millis()).unwrap_or(u64::MAX);
        Some(Settled {
            floor: state.floor,
            expires: newest
                .map_or(now, |time| time)
                .saturating_add(match newest {
                    Some(_) => age,
                    None => EMPTY_MILLISECONDS,
                }),
            trimmed,
            keys: state.keys.take_dropped(top),
        })
    }

    /// Gives the channel a new life and names the old one to `tell`, before anybody can
    /// publish in the new.
    pub(crate) fn restart(
        &self,
        life: Life,
        tell: impl FnOnce(Arc<Life>) -> Result<(), HistoryError>,
    ) -> Result<(), HistoryError> {
        let mut state = self.state();
        tell(Arc::clone(&state.life))?;
        self.budget.subtract(state.in_memory());
        state
            .life
            .tenant
            .bytes
            .fetch_sub(state.bytes, Ordering::Relaxed);
        *state = State {
            life: Arc::new(life),
            top: 0,
            floor: 0,
            time: state.time,
            entries: VecDeque::new(),
            bytes: 0,
            retention: state.retention,
            keys: Keys::default(),
            trimmed: Vec::new(),
        };
        Ok(())
    }

    /// Drops the payloads that are on the disk.
    pub(crate) fn shed(&self) {
        let mut state = self.state();
        let synced = state.life.synced.load(Ordering::Acquire);
        for entry in &mut state.entries {
            if entry.offset <= synced && entry.publication.take().is_some() {
                self.budget.subtract(entry.cost.into());
            }
        }
    }

    /// Drops all publications, for where there is no disk.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.floor = state.top;
        let bytes = std::mem::take(&mut state.bytes);
        state.entries.clear();
        state.life.tenant.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.subtract(bytes);
    }

    /// Whether nothing would be missed if the channel were made anew, but its epoch.
    pub(crate) fn is_bare(&self) -> bool {
        self.state().entries.is_empty()
    }
}

impl Drop for RoomLog {
    fn drop(&mut self) {
        let state = self.state();
        self.budget.subtract(state.in_memory());
        // What the writer never heard of still lies on the disk, and is trimmed again
        // when the channel is opened again.
        let lies: u64 = state.trimmed.iter().map(|(_, cost)| u64::from(*cost)).sum();
        state.life.tenant.bytes.fetch_add(lies, Ordering::Relaxed);
    }
}

impl State {
    fn position(&self) -> Position {
        Position {
            epoch: self.life.epoch,
            offset: self.top,
        }
    }

    fn append(&mut self, publication: &Arc<Publication>) {
        let cost = publication.cost();
        self.top = publication.offset;
        self.time = publication.time;
        self.bytes += cost;
        self.life.tenant.bytes.fetch_add(cost, Ordering::Relaxed);
        self.entries.push_back(Entry {
            offset: publication.offset,
            time: publication.time,
            cost: u32::try_from(cost).unwrap_or(u32::MAX),
            publication: Some(Arc::clone(publication)),
        });
    }

    fn in_memory(&self) -> u64 {
        let shared = self.entries.iter().filter(|it| it.publication.is_some());
        shared.map(|entry| u64::from(entry.cost)).sum()
    }
}

/// How long the epoch and the top of a channel without publications are kept while nobody
/// has it open: 30 days, longer than any client waits to come back.
const EMPTY_MILLISECONDS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// How long a key is remembered, in the clock's milliseconds.
const KEY_MILLISECONDS: u64 = KEY_WINDOW.as_millis() as u64;
