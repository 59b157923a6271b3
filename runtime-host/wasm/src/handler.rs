//! How instances of REST components live: made on demand, one request at a time,
//! replaced after [`RestLimits::reuse`] requests, dropped when idle or late.
//!
//! Time: an instance yields to tokio at every epoch tick, so an endless loop never keeps
//! a worker from other tasks; one that goes on computing is also made to rest in between,
//! so that it gets a fraction of a worker. When its budget is over it is dropped where it
//! stands.

use super::guest::{Grants, Guest};
use super::logs::Log;
use super::rest::{IDLE_LIMIT, RestLimits};
use sschat_store::BATCH_BYTES_LIMIT;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

/// What is added to a budget where the exact enforcement lies elsewhere.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Bytes that one call of the host may be handed: the largest batch that a store takes.
const HANDOVER_LIMIT: usize = BATCH_BYTES_LIMIT + (1 << 20);

/// What all instances of one component share.
pub(super) struct Handler {
    pub(super) pre: ProxyPre<Guest>,
    pub(super) engine: Engine,
    pub(super) grants: Arc<Grants>,
    pub(super) log: Arc<Log>,
    pub(super) limits: RestLimits,
}

/// Instantiation took longer than a request may.
#[derive(Debug, thiserror::Error)]
#[error("instantiation took too long")]
pub(super) struct InstantiationTimeout;

/// A request that is worked on. It has its place among the instances until its response
/// has begun and its instance rests or ends, and not longer: how fast a client reads must
/// not decide how many others are served.
pub(super) struct Work {
    timed_out: AtomicBool,
    _place: OwnedSemaphorePermit,
}

impl Work {
    pub(super) fn new(place: OwnedSemaphorePermit) -> Self {
        Self {
            timed_out: AtomicBool::new(false),
            _place: place,
        }
    }

    /// Whether it took too long, as far as its instance can tell.
    pub(super) fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Acquire)
    }
}

impl HandlerState for Handler {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let mut store = Store::new(&self.engine, Guest::new(&self.grants, &self.log));
        store.limiter(|guest| &mut guest.limits);
        store.set_hostcall_fuel(HANDOVER_LIMIT);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().pace.tick()));
        let instantiated = self.pre.instantiate_async(&mut store);
        let proxy = tokio::time::timeout(self.limits.budget, instantiated)
            .await
            .map_err(|_| InstantiationTimeout)??;
        let current = Arc::new(Mutex::new(None));
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Expiration {
                budget: self.limits.budget,
                current: current.clone(),
                alarm: None,
            },
            state: Worker {
                component: self.grants.component.clone(),
                reuse: self.limits.reuse,
                current,
            },
        })
    }
}

/// The request that an instance works on.
type Current = Arc<Mutex<Option<Arc<Work>>>>;

fn locked(current: &Current) -> MutexGuard<'_, Option<Arc<Work>>> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(current: &Current) -> Option<Arc<Work>> {
    locked(current).take()
}

/// One instance's rules.
pub(super) struct Worker {
    component: Arc<str>,
    reuse: usize,
    current: Current,
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = Arc<Work>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.reuse {
            ShouldAccept::Never
        } else if concurrent > 0 {
            // A trap ends an instance with everything in it, so nobody shares one.
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        work: Arc<Work>,
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        // The deadline of an instance that rested is long over; counting begins now.
        store.set_epoch_deadline(1);
        store.data_mut().pace = Pace::default();
        *locked(&self.current) = Some(work);
        // `Expiration` alone keeps the time: it also sees instances that compute.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Guest>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            let component = &*self.component;
            if is_dropped(&error) {
                tracing::debug!(component, "an instance ended with the host");
            } else {
                tracing::error!(component, error = %format_args!("{error:?}"), "an instance ended");
            }
        }
        drop(store);
    }
}

/// Ends an instance that is late or idle for too long.
pub(super) struct Expiration {
    budget: Duration,
    current: Current,
    /// Set to the earliest deadline it was ever asked for; re-armed when it rings early,
    /// which makes it once a few seconds and not once a request.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let limit = match status {
            WorkerStatus::Idle => {
                // The work is done: its place is another's.
                drop(take(&self.current));
                IDLE_LIMIT
            }
            WorkerStatus::Requests | WorkerStatus::PostReturn => self.budget,
        };
        let deadline = tokio::time::Instant::from_std(start + limit);
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if tokio::time::Instant::now() >= deadline {
                if status == WorkerStatus::Requests
                    && let Some(work) = take(&self.current)
                {
                    work.timed_out.store(true, Ordering::Release);
                }
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// Ticks that a request may compute before its instance is made to rest. No ordinary
/// request computes this long.
const BRISK_TICKS: u32 = 4;

/// How long an instance rests after each further tick. While it does, a worker that has
/// nothing else to do waits for the network, as it must to see new requests in time.
const REST: Duration = Duration::from_millis(10);

/// How long an instance has been computing for its current request.
#[derive(Debug, Default)]
pub(super) struct Pace(u32);

impl Pace {
    /// Called at every tick in which the instance computes.
    fn tick(&mut self) -> UpdateDeadline {
        self.0 = self.0.saturating_add(1);
        if self.0 <= BRISK_TICKS {
            UpdateDeadline::Yield(1)
        } else {
            UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(REST)))
        }
    }
}

/// Whether the instance's task was dropped, as all are when the host ends. The handler then
/// reports a panic, for it cannot know better.
fn is_dropped(error: &wasmtime::Error) -> bool {
    !std::thread::panicking() && error.to_string() == "worker panicked"
}

/// Whether instantiation failed because all places of the pool are taken.
pub(super) fn is_pool_exhausted(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
}
