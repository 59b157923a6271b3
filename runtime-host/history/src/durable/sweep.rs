//! Expiry of channels in which nobody publishes any more, and of memory.

use super::garbage::Garbage;
use super::shared::Shared;
use crate::engine::{Engine, Item, Space, describe};
use crate::record::{Row, number, unpair};
use crate::registry::Found;
use crate::room::RoomLog;
use std::collections::{HashMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Rows looked at in one step.
const ROWS: usize = 2_048;

/// Walks over all channels, round after round.
#[derive(Default)]
pub(super) struct Sweep {
    /// The last row of the step before.
    cursor: Option<Vec<u8>>,
    /// Names of tenants by id, as far as this round needed them.
    tenants: Option<HashMap<u64, Box<str>>>,
}

impl Sweep {
    /// One step. What it returns removes rows of channels that were empty and closed for
    /// long; [`Sweep::removed`] is to be called when that is durable.
    pub(super) fn step(&mut self, shared: &Shared, engine: &Engine, now: u64) -> Vec<Removed> {
        let from = match &self.cursor {
            Some(key) => Bound::Excluded(&key[..]),
            None => Bound::Unbounded,
        };
        let records = engine.scan(Space::Rooms, &[], from).take(ROWS);
        let records: Vec<_> = match records.collect() {
            Ok(records) => records,
            Err(error) => {
                tracing::error!("the sweep fails: {}", describe(&error));
                self.cursor = None;
                return Vec::new();
            }
        };
        self.cursor = match records.last() {
            Some((key, _)) if records.len() == ROWS => Some(key.to_vec()),
            _ => None,
        };
        let mut removed = Vec::new();
        for (key, value) in &records {
            let Some(row) = Row::decode(value).filter(|row| row.expires <= now) else {
                continue;
            };
            let Some((tenant, room)) = self.name(engine, key) else {
                continue;
            };
            if row.top > row.floor {
                // It is found again in the next round if this fails.
                let _ = shared.expire(&tenant, &room, now);
                continue;
            }
            match shared.registry.find(&tenant, &room) {
                Found::Read => removed.push(Removed {
                    row: Item::remove(Space::Rooms, key.clone()),
                    garbage: Garbage::Channel(row.id),
                    tenant,
                    room,
                }),
                Found::Open(_) => {
                    let _ = shared.expire(&tenant, &room, now);
                }
                Found::Wait(_) => {}
            }
        }
        if self.cursor.is_none() {
            self.tenants = None;
        }
        removed
    }

    /// The tenant and room that a row's key means.
    fn name(&mut self, engine: &Engine, key: &[u8]) -> Option<(Box<str>, Box<str>)> {
        let tenants = self.tenants.get_or_insert_with(|| {
            let records = engine.scan(Space::Tenants, &[], Bound::Unbounded);
            let known = records.filter_map(|record| {
                let (name, value) = record.ok()?;
                let name = std::str::from_utf8(&name).ok()?;
                Some((unpair(&value)?.0, name.into()))
            });
            known.collect()
        });
        let (tenant, room) = key.split_at_checked(8)?;
        let tenant = tenants.get(&number(tenant)?)?.clone();
        Some((tenant, std::str::from_utf8(room).ok()?.into()))
    }
}

/// A row that is to be removed; its room cannot be opened until then.
pub(super) struct Removed {
    pub(super) row: Item,
    /// The keys that the channel may have left.
    pub(super) garbage: Garbage,
    tenant: Box<str>,
    room: Box<str>,
}

impl Removed {
    /// It is done: the room can be opened again.
    pub(super) fn done(self, shared: &Shared) {
        let busy = || Err(crate::HistoryError::Busy);
        let _ = shared.registry.opened(&self.tenant, &self.room, busy);
    }
}

/// Channels in memory, in about the order in which they were last used.
#[derive(Default)]
pub(crate) struct Line(VecDeque<(Weak<RoomLog>, u64)>);

impl Line {
    pub(crate) fn add(&mut self, log: &Arc<RoomLog>) {
        if !log.in_line.swap(true, Ordering::Relaxed) {
            let used = log.used.load(Ordering::Relaxed);
            self.0.push_back((Arc::downgrade(log), used));
        }
    }

    /// Drops payloads from memory until the budget is kept: `shed` drops those of one
    /// channel. Who was used since it was last looked at gets a second chance.
    pub(crate) fn shed(&mut self, is_over: impl Fn() -> bool, shed: impl Fn(&Arc<RoomLog>)) {
        for _ in 0..self.0.len() * 2 {
            if !is_over() {
                return;
            }
            let Some((log, stamp)) = self.0.pop_front() else {
                return;
            };
            let Some(log) = log.upgrade() else {
                continue;
            };
            let used = log.used.load(Ordering::Relaxed);
            if used > stamp {
                self.0.push_back((Arc::downgrade(&log), used));
                continue;
            }
            log.in_line.store(false, Ordering::Relaxed);
            shed(&log);
        }
    }

    /// Forgets those that are gone, once they are the greater part.
    pub(crate) fn tidy(&mut self) {
        self.0.retain(|(log, _)| log.strong_count() > 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
