//! The threads that ask policies.
//!
//! Tenants take turns: each has a queue of its own and at most one call under way, so
//! that one which loops keeps one thread busy and nobody else waiting for more than its
//! turn. The threads run at a lower priority than the shards.

use super::breaker::Breaker;
use super::instance::{Asked, Loaded, processor_time};
use super::{CallError, Hook, Purpose, Ruling};
use crate::calls::{NoReads, Reads};
use crate::logs::Log;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most calls that wait, over all tenants.
const QUEUE_LIMIT: usize = 65_536;

/// More threads than this would only take turns.
const THREADS_LIMIT: usize = 4;

/// How much the shards go before: the steps of `nice`.
const NICENESS: i32 = 5;

/// Tenants that are remembered although they are at rest, before those are forgotten.
const RESTING_LIMIT: usize = 4_096;

type Reply = (Result<Ruling, CallError>, Box<dyn Reads>);

struct Job {
    policy: Arc<Loaded>,
    hook: Hook,
    configuration: Arc<str>,
    reads: Box<dyn Reads>,
    reply: oneshot::Sender<Reply>,
}

struct Tenant {
    /// Its name, whatever the call is made for.
    name: Arc<str>,
    jobs: VecDeque<Job>,
    busy: bool,
    breaker: Breaker,
    /// Of the component that was called last.
    digest: Box<str>,
    log: Arc<Log>,
    used: Usage,
}

/// A call that is to be made.
struct Turn {
    queue: Arc<str>,
    tenant: Arc<str>,
    log: Arc<Log>,
    job: Job,
}

/// What a tenant's policies have used since the host began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls made.
    pub calls: u64,
    /// Calls that gave no verdict.
    pub failed: u64,
    /// Of these, the ones that took too long.
    pub timed_out: u64,
    /// Calls that were not made, because the policy was suspended or too many waited.
    pub refused: u64,
    /// Processor time.
    pub processor: Duration,
    /// Whether calls are refused at present because of failures.
    pub suspended: bool,
}

impl Usage {
    fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            failed: self.failed + other.failed,
            timed_out: self.timed_out + other.timed_out,
            refused: self.refused + other.refused,
            processor: self.processor + other.processor,
            suspended: self.suspended || other.suspended,
        }
    }
}

#[derive(Default)]
struct State {
    tenants: HashMap<Arc<str>, Tenant>,
    /// Tenants with calls that wait and none under way, in turn.
    ready: VecDeque<Arc<str>>,
    waiting: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Asks policies. Dropping it ends the threads after the calls under way.
pub struct PolicyPool {
    shared: Arc<Shared>,
    threads: usize,
}

impl std::fmt::Debug for PolicyPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyPool").finish_non_exhaustive()
    }
}

impl PolicyPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the machine gives no more threads.
    pub fn new() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.clamp(1, THREADS_LIMIT);
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("policy-{index}"))
                .spawn(move || {
                    // On Linux this concerns the calling thread alone.
                    let _ = rustix::process::nice(NICENESS);
                    while let Some(turn) = shared.next() {
                        shared.run(turn);
                    }
                })?;
        }
        Ok(Self { shared, threads })
    }

    /// How many calls are made at a time.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Asks the policy of a tenant, and waits. Gives `reads` back.
    pub async fn call(
        &self,
        (tenant, purpose): (&str, Purpose),
        policy: Arc<Loaded>,
        hook: Hook,
        configuration: Arc<str>,
        reads: Box<dyn Reads>,
    ) -> Reply {
        let (reply, answered) = oneshot::channel();
        let job = Job {
            policy,
            hook,
            configuration,
            reads,
            reply,
        };
        match self.shared.push(tenant, purpose, job) {
            Err((error, reads)) => (Err(error), reads),
            Ok(()) => answered
                .await
                .unwrap_or_else(|_| (Err(CallError::Overloaded), Box::new(NoReads))),
        }
    }

    /// What a tenant's decisions and its clients' calls have used; `None` where there was
    /// none lately. Whether calls are refused is said of decisions.
    pub fn usage(&self, tenant: &str) -> Option<Usage> {
        let state = self.shared.lock();
        let decisions = state.tenants.get(tenant);
        let clients = state.tenants.get(&*Purpose::Client.queue(tenant));
        let used = decisions.into_iter().chain(clients).map(|it| it.used);
        let suspended = decisions.is_some_and(|it| it.breaker.is_open(Instant::now()));
        used.reduce(Usage::and)
            .map(|used| Usage { suspended, ..used })
    }

    /// Why a decision by this component would be refused now.
    pub fn suspended(&self, tenant: &str, digest: &str) -> Option<CallError> {
        let mut state = self.shared.lock();
        let tenant = state.tenants.get_mut(tenant)?;
        if *tenant.digest != *digest {
            return None;
        }
        let reason = tenant.breaker.refuses(Instant::now())?;
        tenant.used.refused += 1;
        Some(CallError::Suspended(reason))
    }
}

impl Drop for PolicyPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        tenant: &str,
        purpose: Purpose,
        job: Job,
    ) -> Result<(), (CallError, Box<dyn Reads>)> {
        let now = Instant::now();
        let queue = purpose.queue(tenant);
        let name = &*queue;
        let mut state = self.lock();
        let state = &mut *state;
        if state.closed || state.waiting >= QUEUE_LIMIT {
            return Err((CallError::Overloaded, job.reads));
        }
        if !state.tenants.contains_key(name) {
            state.make_room(now);
            let tenant = Tenant::new(name, tenant, now);
            state.tenants.insert(name.into(), tenant);
        }
        let Some((name, tenant)) = state
            .tenants
            .get_key_value(name)
            .map(|(name, _)| Arc::clone(name))
            .and_then(|key| state.tenants.get_mut(name).map(|tenant| (key, tenant)))
        else {
            return Err((CallError::Overloaded, job.reads));
        };
        if *tenant.digest != *job.policy.digest() {
            tenant.digest = job.policy.digest().into();
            tenant.breaker.forgive();
        }
        if let Some(reason) = tenant.breaker.refuses(now) {
            tenant.used.refused += 1;
            return Err((CallError::Suspended(reason), job.reads));
        }
        if tenant.jobs.len() >= purpose.limit() {
            tenant.used.refused += 1;
            return Err((CallError::Overloaded, job.reads));
        }
        tenant.jobs.push_back(job);
        state.waiting += 1;
        if tenant.jobs.len() == 1 && !tenant.busy {
            state.ready.push_back(name);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// The next call; `None` once the pool is gone.
    fn next(&self) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            while let Some(name) = state.ready.pop_front() {
                let Some(tenant) = state.tenants.get_mut(&name) else {
                    continue;
                };
                if let Some(job) = tenant.jobs.pop_front() {
                    tenant.busy = true;
                    let turn = Turn {
                        queue: name,
                        tenant: Arc::clone(&tenant.name),
                        log: Arc::clone(&tenant.log),
                        job,
                    };
                    state.waiting -= 1;
                    return Some(turn);
                }
            }
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self, turn: Turn) {
        let began = processor_time();
        let job = turn.job;
        let asked = Asked {
            tenant: &turn.tenant,
            configuration: &job.configuration,
            hook: &job.hook,
            reads: job.reads,
            log: &turn.log,
        };
        // A thread that ended would be missing for ever, and the tenant's turn with it.
        // What a call leaves behind is dropped, so there is nothing to be found broken.
        let call = AssertUnwindSafe(|| job.policy.call(asked));
        let (outcome, reads) = catch_unwind(call).unwrap_or_else(|_| {
            let error = CallError::Failed("the host failed under it".to_owned());
            (Err(error), Box::new(NoReads))
        });
        let took = processor_time().saturating_sub(began);
        if let Err(error) = &outcome {
            let (hook, digest) = (job.hook.name(), job.policy.digest());
            tracing::warn!(tenant = &*turn.queue, hook, digest, %error, "a policy gave no verdict");
        }
        let refused = self.done(&turn.queue, took, outcome.as_ref().err());
        // Nobody waits any more where the session is gone.
        let _ = job.reply.send((outcome, reads));
        for job in refused {
            let error = CallError::Suspended("it failed too often");
            let _ = job.reply.send((Err(error), job.reads));
        }
    }

    /// Notes the end of a call; gives back what no longer needs to be asked.
    fn done(&self, name: &Arc<str>, took: Duration, error: Option<&CallError>) -> VecDeque<Job> {
        let now = Instant::now();
        let mut state = self.lock();
        let state = &mut *state;
        let Some(tenant) = state.tenants.get_mut(name) else {
            return VecDeque::new();
        };
        // A store that fails is not the policy's fault.
        let failed = !matches!(error, None | Some(CallError::Store(_)));
        tenant.breaker.note(took, failed, now);
        tenant.used.calls += 1;
        tenant.used.failed += u64::from(error.is_some());
        tenant.used.timed_out += u64::from(error == Some(&CallError::TimedOut));
        tenant.used.processor += took;
        tenant.busy = false;
        if tenant.breaker.is_open(now) {
            let refused = std::mem::take(&mut tenant.jobs);
            state.waiting -= refused.len();
            tenant.used.refused += refused.len() as u64;
            return refused;
        }
        if !tenant.jobs.is_empty() {
            state.ready.push_back(Arc::clone(name));
            self.changed.notify_one();
        }
        VecDeque::new()
    }
}

impl State {
    /// Forgets tenants at rest once there are many.
    fn make_room(&mut self, now: Instant) {
        if self.tenants.len() >= RESTING_LIMIT {
            self.tenants.retain(|_, tenant| {
                tenant.busy || !tenant.jobs.is_empty() || !tenant.breaker.is_fresh(now)
            });
        }
    }
}

impl Tenant {
    fn new(queue: &str, name: &str, now: Instant) -> Self {
        Self {
            name: name.into(),
            jobs: VecDeque::new(),
            busy: false,
            breaker: Breaker::new(now),
            digest: Box::default(),
            log: Log::new(format!("policy of {queue}").into()),
            used: Usage::default(),
        }
    }
}
