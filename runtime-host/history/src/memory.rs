//! The history of one process: nothing is written, everything is gone with it.
//!
//! Where memory runs short, the channels that were used least recently lose their
//! publications, as if these were outside of the retention; a channel that nobody has
//! open and that holds nothing is forgotten, and has another epoch when it comes back.

use crate::durable::sweep::Line;
use crate::registry::{Budget, Ids, Tenant, TenantLife, is_name};
use crate::room::{Loaded, Selection};
use crate::{
    Ack, Clock, History, HistoryError, HistoryFuture, NewPublication, Page, Position, PublishError,
    Published, Query, Recovery, Retention, RoomLog,
};
use futures::FutureExt;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Below this many rooms of a tenant those that can be forgotten are not worth looking for.
const SWEEP_FROM: usize = 1_024;

struct Rooms {
    tenant: Arc<Tenant>,
    rooms: HashMap<Box<str>, Arc<RoomLog>>,
    sweep: usize,
}

/// See the module's documentation.
pub struct MemoryHistory {
    tenants: Mutex<HashMap<Box<str>, Rooms>>,
    budget: Arc<Budget>,
    line: Mutex<Line>,
    ids: Ids,
    clock: Clock,
    closed: AtomicBool,
}

impl MemoryHistory {
    /// No channels yet. `memory_bytes`: memory for payloads.
    #[must_use]
    pub fn new(memory_bytes: u64, clock: Clock) -> Self {
        Self {
            tenants: Mutex::default(),
            budget: Arc::new(Budget::new(memory_bytes, false)),
            line: Mutex::default(),
            ids: Ids::new(0),
            clock,
            closed: AtomicBool::new(false),
        }
    }

    /// Payloads in memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.budget.bytes()
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Box<str>, Rooms>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, tenant: &str, room: &str, retention: Retention) -> Arc<RoomLog> {
        let mut tenants = self.tenants();
        let rooms = tenants.entry(tenant.into()).or_insert_with(|| Rooms {
            tenant: Arc::new(Tenant::new(tenant, TenantLife::new(self.ids.next(), 0))),
            rooms: HashMap::new(),
            sweep: SWEEP_FROM,
        });
        if let Some(log) = rooms.rooms.get(room) {
            log.set_retention(retention);
            return Arc::clone(log);
        }
        if rooms.rooms.len() >= rooms.sweep {
            let now = (self.clock)();
            rooms.rooms.retain(|_, log| {
                log.expire(now);
                Arc::strong_count(log) > 1 || !log.is_bare()
            });
            rooms.sweep = SWEEP_FROM.max(rooms.rooms.len() * 2);
        }
        let life = self.ids.life(rooms.tenant.life());
        let log = Arc::new(RoomLog::new(
            Arc::clone(&rooms.tenant),
            room,
            Arc::clone(&self.budget),
            life,
            Loaded::default(),
            retention,
        ));
        rooms.rooms.insert(room.into(), Arc::clone(&log));
        log
    }
}

fn ready<T: Send + 'static>(value: Result<T, HistoryError>) -> HistoryFuture<T> {
    futures::future::ready(value).boxed()
}

impl History for MemoryHistory {
    fn durable(&self) -> bool {
        false
    }

    fn open(&self, tenant: &str, room: &str, retention: Retention) -> HistoryFuture<Arc<RoomLog>> {
        if !is_name(tenant) || !is_name(room) {
            return ready(Err(HistoryError::BadName));
        }
        if self.closed.load(Ordering::Relaxed) {
            return ready(Err(HistoryError::Closed));
        }
        ready(Ok(self.room(tenant, room, retention)))
    }

    fn publish(
        &self,
        log: &Arc<RoomLog>,
        publication: NewPublication,
        _token: u64,
    ) -> Result<Published, PublishError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(PublishError::Closed);
        }
        let published = log.publish(
            publication,
            (self.clock)(),
            |accepted| {
                let offset = accepted.publication.offset;
                accepted.life.synced.store(offset, Ordering::Release);
                Ok(Ack::Now)
            },
            || Ok(Ack::Now),
        )?;
        if !log.in_line.load(Ordering::Relaxed) || self.budget.is_over() {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            line.add(log);
            line.shed(|| self.budget.is_over(), |log| log.forget());
        }
        Ok(published)
    }

    fn read(&self, log: &Arc<RoomLog>, query: Query) -> HistoryFuture<Page> {
        let selection = log.select(query, (self.clock)());
        ready(selection.map(Selection::page))
    }

    fn recover(
        &self,
        log: &Arc<RoomLog>,
        since: Position,
        limit: usize,
    ) -> HistoryFuture<Recovery> {
        let missed = log.missed(since, limit, (self.clock)());
        let recovery = missed.map(Selection::recovery);
        ready(Ok(recovery.unwrap_or_else(|refused| refused)))
    }

    fn remove(&self, tenant: &str, room: &str) -> HistoryFuture<()> {
        let tenants = self.tenants();
        let log = tenants.get(tenant).and_then(|rooms| rooms.rooms.get(room));
        ready(log.map_or(Ok(()), |log| {
            log.restart(self.ids.life(log.tenant.life()), |_| Ok(()))
        }))
    }

    fn remove_tenant(&self, tenant: &str) -> HistoryFuture<()> {
        let mut tenants = self.tenants();
        let Some(rooms) = tenants.get_mut(tenant) else {
            return ready(Ok(()));
        };
        rooms.tenant.restart(TenantLife::new(self.ids.next(), 0));
        let restart = |log: &Arc<RoomLog>| {
            let life = self.ids.life(rooms.tenant.life());
            log.restart(life, |_| Ok(()))
        };
        ready(rooms.rooms.values().try_for_each(restart))
    }

    fn tenant_bytes(&self, tenant: &str) -> HistoryFuture<u64> {
        let tenants = self.tenants();
        let life = tenants.get(tenant).map(|rooms| rooms.tenant.life());
        ready(Ok(life.map_or(0, |life| life.bytes.load(Ordering::Relaxed))))
    }

    fn close(&self) -> HistoryFuture<()> {
        self.closed.store(true, Ordering::Relaxed);
        ready(Ok(()))
    }
}
