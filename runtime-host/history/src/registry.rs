//! Who is known: tenants, open channels, ids. Everything here is in memory.

use crate::room::{Life, RoomLog};
use crate::{Epoch, HistoryError, NAME_LIMIT};
use futures::channel::oneshot;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Below this many rooms of a tenant the dead are not worth looking for.
const SWEEP_FROM: usize = 1_024;

/// A tenant between its first channel and its removal.
#[derive(Debug)]
pub(crate) struct TenantLife {
    pub(crate) id: u64,
    /// What its channels retain, by cost.
    pub(crate) bytes: AtomicU64,
    /// What of it lies on the disk. The writer's.
    pub(crate) disk: AtomicU64,
}

impl TenantLife {
    pub(crate) fn new(id: u64, bytes: u64) -> Self {
        Self {
            id,
            bytes: AtomicU64::new(bytes),
            disk: AtomicU64::new(bytes),
        }
    }
}

/// A tenant by name.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) name: Box<str>,
    life: Mutex<Arc<TenantLife>>,
}

impl Tenant {
    pub(crate) fn new(name: &str, life: TenantLife) -> Self {
        Self {
            name: name.into(),
            life: Mutex::new(Arc::new(life)),
        }
    }

    pub(crate) fn life(&self) -> Arc<TenantLife> {
        Arc::clone(&self.life.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins another life; the one that ends is returned.
    pub(crate) fn restart(&self, life: TenantLife) -> Arc<TenantLife> {
        let mut current = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(life))
    }
}

/// How much memory the payloads of all channels take.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Whether what is dropped from memory is still on the disk.
    pub(crate) disk: bool,
    limit: u64,
    bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64, disk: bool) -> Self {
        let bytes = AtomicU64::new(0);
        Self { disk, limit, bytes }
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes() > self.limit
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Makes ids that no other start of the same history makes.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Ids of the start with this number.
    pub(crate) fn new(start: u64) -> Self {
        Self(AtomicU64::new(start << 32))
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// A channel that never was.
    pub(crate) fn life(&self, tenant: Arc<TenantLife>) -> Life {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        Life {
            id: self.next(),
            // The fixed bits of either half meet random ones of the other.
            epoch: Epoch(high ^ low),
            tenant,
            synced: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(0),
            known: AtomicBool::new(false),
        }
    }
}

/// Whether this can name a tenant or a room.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
}

/// What opening a channel ends with.
pub(crate) type Opened = Result<Arc<RoomLog>, HistoryError>;

/// What is known of a room.
enum Slot {
    /// Open, if anybody still has it.
    Open(Weak<RoomLog>),
    /// Being read from the disk; these wait for it.
    Loading(Vec<oneshot::Sender<Opened>>),
}

#[derive(Default)]
struct Rooms {
    tenant: Option<Arc<Tenant>>,
    rooms: HashMap<Box<str>, Slot>,
    /// The number of rooms at which the dead are swept out next.
    sweep: usize,
}

/// Tenants and their open channels.
#[derive(Default)]
pub(crate) struct Registry(Mutex<HashMap<Box<str>, Rooms>>);

/// What a look at the registry came to.
pub(crate) enum Found {
    Open(Arc<RoomLog>),
    /// Somebody else reads it.
    Wait(oneshot::Receiver<Opened>),
    /// The caller has to read it and say so by [`Registry::opened`].
    Read,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Rooms>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a room.
    pub(crate) fn find(&self, tenant: &str, room: &str) -> Found {
        let mut tenants = self.lock();
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.into(), Rooms::default());
        }
        let Some(rooms) = tenants.get_mut(tenant) else {
            return Found::Read;
        };
        match rooms.rooms.get_mut(room) {
            Some(Slot::Open(log)) => {
                if let Some(log) = log.upgrade() {
                    return Found::Open(log);
                }
            }
            Some(Slot::Loading(waiting)) => {
                let (sender, receiver) = oneshot::channel();
                waiting.push(sender);
                return Found::Wait(receiver);
            }
            None => {}
        }
        if rooms.rooms.len() >= rooms.sweep.max(SWEEP_FROM) {
            rooms.rooms.retain(|_, slot| match slot {
                Slot::Open(log) => log.strong_count() > 0,
                Slot::Loading(_) => true,
            });
            rooms.sweep = rooms.rooms.len() * 2;
        }
        rooms.rooms.insert(room.into(), Slot::Loading(Vec::new()));
        Found::Read
    }

    /// The tenant, if it was known before.
    pub(crate) fn tenant(&self, name: &str) -> Option<Arc<Tenant>> {
        self.lock().get(name)?.tenant.clone()
    }

    /// The tenant; `life` is its life if it was not known before.
    pub(crate) fn know_tenant(&self, name: &str, life: TenantLife) -> Arc<Tenant> {
        let mut tenants = self.lock();
        let rooms = tenants.entry(name.into()).or_default();
        let tenant = rooms
            .tenant
            .get_or_insert_with(|| Arc::new(Tenant::new(name, life)));
        Arc::clone(tenant)
    }

    /// Ends the reading of a room. `make` is called with the registry locked, so that the
    /// tenant has the life it sees until the room can be found.
    pub(crate) fn opened(&self, tenant: &str, room: &str, make: impl FnOnce() -> Opened) -> Opened {
        let (opened, waiting) = {
            let mut tenants = self.lock();
            let rooms = &mut tenants.entry(tenant.into()).or_default().rooms;
            let opened = make();
            let before = match &opened {
                Ok(log) => rooms.insert(room.into(), Slot::Open(Arc::downgrade(log))),
                Err(_) => rooms.remove(room),
            };
            match before {
                Some(Slot::Loading(waiting)) => (opened, waiting),
                _ => (opened, Vec::new()),
            }
        };
        for waiting in waiting {
            // Who does not wait any more needs no answer.
            let _ = waiting.send(opened.clone());
        }
        opened
    }

    /// Gives a tenant another life and names its open channels to `restart`, with the
    /// life that has ended, before any other can be opened.
    pub(crate) fn restart_tenant(
        &self,
        tenant: &Arc<Tenant>,
        life: TenantLife,
        restart: impl FnOnce(Arc<TenantLife>, Vec<Arc<RoomLog>>) -> Result<(), HistoryError>,
    ) -> Result<(), HistoryError> {
        let mut tenants = self.lock();
        let ended = tenant.restart(life);
        let rooms = tenants.get_mut(&tenant.name).map(|rooms| &rooms.rooms);
        let open = rooms
            .into_iter()
            .flatten()
            .filter_map(|(_, slot)| match slot {
                Slot::Open(log) => log.upgrade(),
                Slot::Loading(_) => None,
            });
        restart(ended, open.collect())
    }

    /// Calls `act` while no tenant changes its life and no room is opened.
    pub(crate) fn hold<T>(&self, act: impl FnOnce() -> T) -> T {
        let _tenants = self.lock();
        act()
    }
}
