//! What the callers' threads, the readers and the writer have in common.

use super::queue::{Operation, Queue};
use crate::engine::{Engine, Space, read_error};
use crate::record::{Row, decode_key, decode_publication, pair, room_key, unpair};
use crate::registry::{Budget, Found, Ids, Opened, Registry, Tenant, TenantLife};
use crate::room::{Life, Loaded, RoomLog, Selection, fill};
use crate::{Clock, HistoryError, Publication, Retention, UNSYNCED_LIMIT};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub(super) struct Shared {
    pub(super) registry: Registry,
    pub(super) queue: Queue,
    pub(super) budget: Arc<Budget>,
    pub(super) ids: Ids,
    pub(super) clock: Clock,
    /// Unclean stops until now.
    pub(super) crashes: u64,
    /// `None` while it is opened again after a failure, and when it is closed.
    pub(super) engine: RwLock<Option<Arc<Engine>>>,
}

impl Shared {
    pub(super) fn engine(&self) -> Result<Arc<Engine>, HistoryError> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let closed =
            || HistoryError::Unavailable("the disk fails, or the history is closed".into());
        engine.clone().ok_or_else(closed)
    }

    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// The tenant, from the disk where it is not known. Blocks.
    pub(super) fn tenant(&self, name: &str) -> Result<Arc<Tenant>, HistoryError> {
        if let Some(tenant) = self.registry.tenant(name) {
            return Ok(tenant);
        }
        let engine = self.engine()?;
        let found = engine.get(Space::Tenants, name.as_bytes());
        let life = match found.map_err(|error| read_error(&error))? {
            Some(bytes) => {
                let (id, bytes) = unpair(&bytes).ok_or_else(|| corrupt("a tenant", name))?;
                TenantLife::new(id, bytes)
            }
            None => TenantLife::new(self.ids.next(), 0),
        };
        Ok(self.registry.know_tenant(name, life))
    }

    /// Reads a channel that [`Registry::find`] told the caller to read. Blocks.
    pub(super) fn load(&self, tenant: &str, room: &str, retention: Retention) -> Opened {
        let read = || {
            let tenant = self.tenant(tenant)?;
            let life = tenant.life();
            let found = self.read_room(&life, room)?;
            Ok((tenant, life, found))
        };
        let read = read();
        self.registry.opened(tenant, room, || {
            let (tenant, read_in, found) = read?;
            let current = tenant.life();
            // A tenant that was removed meanwhile took the channel with it.
            let found = found.filter(|_| Arc::ptr_eq(&current, &read_in));
            let (life, loaded) = match found {
                Some((row, loaded)) => (self.revive(row, current, &loaded), loaded),
                None => (self.ids.life(current), Loaded::default()),
            };
            let budget = Arc::clone(&self.budget);
            let log = Arc::new(RoomLog::new(tenant, room, budget, life, loaded, retention));
            self.queue.push(Operation::Notice(Arc::clone(&log)))?;
            self.make_known(&log)?;
            Ok(log)
        })
    }

    /// Has the row of a channel written that has none.
    pub(super) fn make_known(&self, log: &Arc<RoomLog>) -> Result<(), HistoryError> {
        let life = log.life();
        if life.known.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let log = Arc::clone(log);
        self.queue.push(Operation::Touch { log, life })
    }

    /// Has the writer give back what a reading found expired.
    pub(super) fn give_back(&self, log: &Arc<RoomLog>, now: u64) {
        if let Some(life) = log.expire(now) {
            let log = Arc::clone(log);
            // A history that is closed gives it back when it is opened again.
            let _ = self.queue.push(Operation::Touch { log, life });
        }
    }

    fn revive(&self, row: Row, tenant: Arc<TenantLife>, loaded: &Loaded) -> Life {
        let lies = loaded.publications.iter().map(Publication::cost);
        Life {
            id: row.id,
            epoch: row.epoch,
            tenant,
            synced: AtomicU64::new(loaded.top),
            disk_bytes: AtomicU64::new(lies.sum()),
            known: AtomicBool::new(true),
        }
    }

    fn read_room(
        &self,
        tenant: &TenantLife,
        room: &str,
    ) -> Result<Option<(Row, Loaded)>, HistoryError> {
        let engine = self.engine()?;
        let key = room_key(tenant.id, room.as_bytes());
        let found = engine.get(Space::Rooms, &key);
        let Some(bytes) = found.map_err(|error| read_error(&error))? else {
            return Ok(None);
        };
        let row = Row::decode(&bytes).ok_or_else(|| corrupt("the row of the room", room))?;
        let publications = self.scan(row.id, row.floor + 1, row.top)?;
        let mut keys = Vec::new();
        let prefix = row.id.to_be_bytes();
        for record in engine.scan(Space::Keys, &prefix, Bound::Included(&prefix)) {
            let (place, bytes) = record.map_err(|error| read_error(&error))?;
            let known = unpair(&place).zip(decode_key(&bytes));
            let ((_, offset), (key, time)) = known.ok_or_else(|| corrupt("a key of", room))?;
            keys.push((key, offset, time));
        }
        // Whatever was handed out before an unclean stop and lost is not handed out again.
        let crashes = self.crashes.saturating_sub(row.crashes);
        let loaded = Loaded {
            top: row.top + crashes * UNSYNCED_LIMIT,
            floor: row.floor,
            publications,
            keys,
        };
        Ok(Some((row, loaded)))
    }

    /// The publications of a channel on the disk, of these offsets.
    fn scan(&self, id: u64, from: u64, to: u64) -> Result<Vec<Publication>, HistoryError> {
        let engine = self.engine()?;
        let first = pair(id, from);
        let prefix = id.to_be_bytes();
        let mut found = Vec::new();
        for record in engine.scan(Space::Publications, &prefix, Bound::Included(&first)) {
            let (place, bytes) = record.map_err(|error| read_error(&error))?;
            let offset = unpair(&place).map_or(u64::MAX, |(_, offset)| offset);
            if offset > to {
                break;
            }
            let publication = decode_publication(offset, &bytes);
            found.push(publication.ok_or_else(|| corrupt("a publication of channel", id))?);
        }
        Ok(found)
    }

    /// Reads what the selection lacks. Blocks.
    pub(super) fn complete(
        &self,
        log: &Arc<RoomLog>,
        mut selection: Selection,
    ) -> Result<Selection, HistoryError> {
        let Some((from, to)) = selection.missing() else {
            return Ok(selection);
        };
        let found = self.scan(selection.life.id, from, to)?;
        let found: Vec<_> = found.into_iter().map(Arc::new).collect();
        fill(&mut selection.entries, &found);
        log.refill(&selection.life, &found);
        let _ = self.queue.push(Operation::Notice(Arc::clone(log)));
        Ok(selection)
    }

    /// Drops what has expired in a channel that nobody may have open. Blocks.
    pub(super) fn expire(&self, tenant: &str, room: &str, now: u64) -> Result<(), HistoryError> {
        let log = match self.registry.find(tenant, room) {
            Found::Open(log) => log,
            Found::Wait(_) => return Ok(()),
            Found::Read => self.load(tenant, room, Retention::NONE)?,
        };
        log.expire(now);
        let life = log.life();
        self.queue.push(Operation::Touch { log, life })
    }
}

fn corrupt(what: &str, name: impl std::fmt::Debug) -> HistoryError {
    HistoryError::Corrupt(format!("{what} {name:?} cannot be read").into())
}
