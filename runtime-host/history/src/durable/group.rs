//! From a group of operations to one batch of writes.

use super::garbage::Garbage;
use super::queue::Operation;
use crate::HistoryError;
use crate::engine::{Item, Space};
use crate::record::{Row, encode_key, encode_publication, pair, room_key};
use crate::registry::TenantLife;
use crate::room::{Accepted, Life, RoomLog, Settled};
use futures::channel::oneshot;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A channel that the group changes.
struct Touched {
    log: Arc<RoomLog>,
    life: Arc<Life>,
    /// Its last offset in this group, or the last that is durable.
    top: u64,
    settled: Option<Settled>,
}

/// What is to be written, and who is to be told.
#[derive(Default)]
pub(super) struct Group {
    pub(super) items: Vec<Item>,
    pub(super) tokens: Vec<u64>,
    pub(super) barriers: Vec<oneshot::Sender<Result<(), HistoryError>>>,
    /// Channels and the offset up to which they will be durable.
    pub(super) synced: Vec<(Arc<RoomLog>, Arc<Life>, u64)>,
    /// Channels that came into memory.
    pub(super) noticed: Vec<Arc<RoomLog>>,
    /// What was removed, and lies on the disk until it is swept up.
    pub(super) garbage: Vec<Garbage>,
    /// The group's share of the queue.
    pub(super) bytes: u64,
    accepted: Vec<Accepted>,
    touched: HashMap<u64, Touched>,
    /// Which channel has a row, and which row is removed.
    rows: HashMap<Vec<u8>, Option<u64>>,
    tenants: HashMap<Box<str>, Option<Arc<TenantLife>>>,
    ended: Vec<Arc<Life>>,
}

impl Group {
    /// Takes the operations in; nothing of it is on the disk yet.
    pub(super) fn new(operations: Vec<Operation>, crashes: u64, now: u64) -> Self {
        let mut group = Self::default();
        for operation in operations {
            group.bytes += operation.cost();
            group.take(operation);
        }
        for touched in group.touched.values_mut() {
            touched.settled = touched.log.settle(&touched.life, touched.top, now);
        }
        group.write_trimmed();
        group.write_publications();
        group.write_rows(crashes, now);
        group.write_ended();
        group.write_tenants();
        group.synced = group
            .touched
            .drain()
            .map(|(_, touched)| (touched.log, touched.life, touched.top))
            .collect();
        group
    }

    fn take(&mut self, operation: Operation) {
        match operation {
            Operation::Publication {
                log,
                accepted,
                token,
            } => {
                self.touch(log, &accepted.life, accepted.publication.offset);
                self.tokens.push(token);
                self.accepted.push(accepted);
            }
            Operation::Repeat(token) => self.tokens.push(token),
            Operation::Touch { log, life } => {
                // What was removed meanwhile gets no row again.
                if Arc::ptr_eq(&log.life(), &life) {
                    self.touch(Arc::clone(&log), &life, 0);
                }
                self.noticed.push(log);
            }
            Operation::Notice(log) => self.noticed.push(log),
            Operation::End { log, ended } => {
                let key = room_key(ended.tenant.id, log.room.as_bytes());
                self.rows.insert(key, None);
                self.garbage.push(Garbage::Channel(ended.id));
                if Arc::ptr_eq(&log.tenant.life(), &ended.tenant) {
                    let tenant = Some(Arc::clone(&ended.tenant));
                    self.tenants.insert(log.tenant.name.clone(), tenant);
                }
                self.ended.push(ended);
            }
            Operation::EndTenant { tenant, ended } => {
                self.tenants.insert(tenant.name.clone(), None);
                self.garbage.push(Garbage::Tenant(ended.id));
            }
            Operation::Barrier(answer) => self.barriers.push(answer),
        }
    }

    fn touch(&mut self, log: Arc<RoomLog>, life: &Arc<Life>, offset: u64) {
        let touched = self.touched.entry(life.id).or_insert_with(|| {
            let key = room_key(life.tenant.id, log.room.as_bytes());
            self.rows.insert(key, Some(life.id));
            let tenant = Some(Arc::clone(&life.tenant));
            self.tenants.insert(log.tenant.name.clone(), tenant);
            Touched {
                log,
                life: Arc::clone(life),
                top: life.synced.load(Ordering::Acquire),
                settled: None,
            }
        });
        touched.top = touched.top.max(offset);
    }

    /// Removes what was written before and is outside of the retention by now.
    fn write_trimmed(&mut self) {
        for touched in self.touched.values() {
            let life = &touched.life;
            let synced = life.synced.load(Ordering::Acquire);
            let Some(settled) = &touched.settled else {
                continue;
            };
            for (offset, cost) in settled.trimmed.iter().filter(|it| it.0 <= synced) {
                let place = pair(life.id, *offset);
                self.items.push(Item::remove(Space::Publications, place));
                life.disk_bytes.fetch_sub((*cost).into(), Ordering::Relaxed);
                life.tenant
                    .disk
                    .fetch_sub((*cost).into(), Ordering::Relaxed);
            }
            for offset in settled.keys.iter().filter(|it| **it <= synced) {
                let place = pair(life.id, *offset);
                self.items.push(Item::remove(Space::Keys, place));
            }
        }
    }

    /// Writes what is not outside of the retention already.
    fn write_publications(&mut self) {
        let forgotten: HashSet<(u64, u64)> = self
            .touched
            .iter()
            .filter_map(|(id, touched)| Some((*id, touched.settled.as_ref()?)))
            .flat_map(|(id, settled)| settled.keys.iter().map(move |offset| (id, *offset)))
            .collect();
        for accepted in std::mem::take(&mut self.accepted) {
            let (life, publication) = (accepted.life, accepted.publication);
            let place = pair(life.id, publication.offset);
            if let Some(key) = accepted.key
                && !forgotten.contains(&(life.id, publication.offset))
            {
                let value = encode_key(&key, publication.time);
                self.items.push(Item::set(Space::Keys, place, value));
            }
            let settled = self
                .touched
                .get(&life.id)
                .and_then(|it| it.settled.as_ref());
            if settled.is_some_and(|settled| publication.offset <= settled.floor) {
                continue;
            }
            let cost = publication.cost();
            life.disk_bytes.fetch_add(cost, Ordering::Relaxed);
            life.tenant.disk.fetch_add(cost, Ordering::Relaxed);
            let value = encode_publication(&publication);
            self.items
                .push(Item::set(Space::Publications, place, value));
        }
    }

    fn write_rows(&mut self, crashes: u64, now: u64) {
        for (key, id) in std::mem::take(&mut self.rows) {
            let touched = id.and_then(|id| self.touched.get(&id));
            self.items.push(match touched {
                None => Item::remove(Space::Rooms, key),
                Some(touched) => {
                    let settled = touched.settled.as_ref();
                    let row = Row {
                        id: touched.life.id,
                        epoch: touched.life.epoch,
                        top: touched.top,
                        crashes,
                        floor: settled.map_or(0, |settled| settled.floor),
                        expires: settled.map_or(now, |settled| settled.expires),
                    };
                    Item::set(Space::Rooms, key, row.encode())
                }
            });
        }
    }

    fn write_ended(&mut self) {
        for ended in self.ended.drain(..) {
            let lay = ended.disk_bytes.swap(0, Ordering::Relaxed);
            ended.tenant.disk.fetch_sub(lay, Ordering::Relaxed);
        }
        for garbage in &self.garbage {
            self.items
                .push(Item::set(Space::Garbage, garbage.key(), [0]));
        }
    }

    fn write_tenants(&mut self) {
        for (name, life) in std::mem::take(&mut self.tenants) {
            self.items.push(match life {
                None => Item::remove(Space::Tenants, name.as_bytes()),
                Some(life) => {
                    let disk = life.disk.load(Ordering::Relaxed);
                    Item::set(Space::Tenants, name.as_bytes(), pair(life.id, disk))
                }
            });
        }
    }
}
