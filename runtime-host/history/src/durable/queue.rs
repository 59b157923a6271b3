//! What waits for the writer: bounded in bytes, refused while the disk fails.

use crate::registry::{Tenant, TenantLife};
use crate::room::{Accepted, Life, RoomLog};
use crate::{HistoryError, PublishError};
use futures::channel::oneshot;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Operations in one commit group at most, so that the first does not wait long for the last.
const GROUP_OPERATIONS: usize = 4_096;

/// Bytes in one commit group at most, for the same reason.
const GROUP_BYTES: u64 = 8 << 20;

/// What a repeated publication counts in the queue.
const REPEAT_BYTES: u64 = 64;

pub(super) enum Operation {
    Publication {
        log: Arc<RoomLog>,
        accepted: Accepted,
        token: u64,
    },
    /// A publication that is in the queue or in the group before was published again.
    Repeat(u64),
    /// The row of the channel is to be written.
    Touch { log: Arc<RoomLog>, life: Arc<Life> },
    /// The channel came into memory.
    Notice(Arc<RoomLog>),
    /// The channel was removed.
    End { log: Arc<RoomLog>, ended: Arc<Life> },
    /// The tenant was removed.
    EndTenant {
        tenant: Arc<Tenant>,
        ended: Arc<TenantLife>,
    },
    /// Answered when everything before it is durable.
    Barrier(oneshot::Sender<Result<(), HistoryError>>),
}

impl Operation {
    pub(super) fn cost(&self) -> u64 {
        match self {
            Self::Publication { accepted, .. } => accepted.publication.cost(),
            Self::Repeat(_) => REPEAT_BYTES,
            _ => 0,
        }
    }
}

pub(super) struct Queue {
    limit: u64,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    operations: VecDeque<Operation>,
    /// Of what waits and of what the writer is about to write.
    bytes: u64,
    closed: bool,
    /// Why the disk fails, while it does.
    failing: Option<Arc<str>>,
    /// Whether the writer waits for something to do.
    waiting: bool,
}

impl Queue {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut state: MutexGuard<'_, State>, operation: Operation) {
        state.operations.push_back(operation);
        let wake = std::mem::take(&mut state.waiting);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Queues a publication, or refuses it.
    pub(super) fn publish(&self, operation: Operation) -> Result<(), PublishError> {
        let mut state = self.state();
        if state.closed {
            return Err(PublishError::Closed);
        }
        if let Some(reason) = &state.failing {
            return Err(PublishError::Failing(Arc::clone(reason)));
        }
        let bytes = state.bytes + operation.cost();
        if bytes > self.limit {
            return Err(PublishError::Full);
        }
        state.bytes = bytes;
        self.put(state, operation);
        Ok(())
    }

    /// Queues anything else. Their number is bounded by the calls that wait for them and
    /// by the channels that are open.
    pub(super) fn push(&self, operation: Operation) -> Result<(), HistoryError> {
        let state = self.state();
        if state.closed {
            return Err(HistoryError::Closed);
        }
        self.put(state, operation);
        Ok(())
    }

    /// Refuses everything from now on; false if that was so before.
    pub(super) fn close(&self) -> bool {
        let mut state = self.state();
        let first = !std::mem::replace(&mut state.closed, true);
        drop(state);
        self.wake.notify_one();
        first
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The next group; empty if nothing came for `patience`; `None` if nothing ever will.
    pub(super) fn group(&self, patience: Duration) -> Option<Vec<Operation>> {
        let mut state = self.state();
        if state.operations.is_empty() && !state.closed && !patience.is_zero() {
            state.waiting = true;
            let idle = |state: &mut State| state.operations.is_empty() && !state.closed;
            let waited = self.wake.wait_timeout_while(state, patience, idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = false;
        }
        if state.operations.is_empty() && state.closed {
            return None;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < GROUP_OPERATIONS && bytes < GROUP_BYTES {
            let Some(operation) = state.operations.pop_front() else {
                break;
            };
            bytes += operation.cost();
            group.push(operation);
        }
        Some(group)
    }

    /// A group of this many bytes is done with.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes -= bytes;
        state.failing = None;
    }

    /// The disk fails: everything is refused until a group is released.
    pub(super) fn fail(&self, reason: &str) {
        self.state().failing = Some(reason.into());
    }

    /// Waits while the queue is open, `pause` at most.
    pub(super) fn rest(&self, pause: Duration) {
        let open = |state: &mut State| !state.closed;
        let _ = self.wake.wait_timeout_while(self.state(), pause, open);
    }
}
