//! One call of a policy, in an instance of its own.

use super::rulings::{self, check};
use super::{Hook, Ruling};
use crate::bindings::policy as bindings;
use crate::bindings::policy::exports::sschat::policy::{calls, hooks};
use crate::bindings::policy::sschat::policy::{
    clock, configuration, connection, payload, state, types,
};
use crate::calls::{Attribute, CallError, NoReads, ReadError, Reads, failed};
use crate::engine::{TRACED_MEMORY_LIMIT, ticks};
use crate::guest::Limits;
use crate::inert::{self, CallTime};
use crate::logs::Log;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, HasSelf, Instance, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// How much of the processor one call may take, instantiation included.
pub const BUDGET: Duration = Duration::from_millis(50);

/// How long it may last. More than [`BUDGET`], because its thread goes after the shards: what
/// a busy host withholds from a call, or a slow store takes, is not the policy's doing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Host objects that an instance may hold: streams and what can be polled.
const HANDLE_LIMIT: usize = 64;

/// Handles of all kinds that an instance may hold, those of its own resources included. The
/// host keeps a few words for each, outside of the component's memory.
const COMPONENT_HANDLE_LIMIT: usize = 4_096;

/// Bytes that one host call may bring from the component: keys and what it prints.
const HOSTCALL_BYTES: usize = 1 << 20;

/// Host calls that one call may make through the world's own imports.
const HOSTCALL_LIMIT: u32 = 4_096;

/// What a policy that answers calls exports.
const CALLS: &str = "sschat:policy/calls@1.0.0";

/// A policy that is compiled and fits the world.
pub struct Loaded {
    engine: Engine,
    pre: InstancePre<Host>,
    hooks: hooks::GuestIndices,
    /// Where it answers calls.
    calls: Option<calls::GuestIndices>,
    digest: Box<str>,
    bytes: usize,
    code: usize,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// Links a component of so many bytes that was compiled to so many.
    pub(super) fn link(
        component: &Component,
        digest: &str,
        [bytes, code]: [usize; 2],
    ) -> wasmtime::Result<Self> {
        let engine = component.engine().clone();
        let mut linker = Linker::new(&engine);
        inert::link(&mut linker)?;
        bindings::PolicyWithCalls::add_to_linker::<_, HasSelf<_>>(
            &mut linker,
            |host: &mut Host| host,
        )?;
        let pre = linker.instantiate_pre(component)?;
        let hooks = hooks::GuestIndices::new(&pre)?;
        let calls = match component.get_export_index(None, CALLS) {
            Some(_) => Some(calls::GuestIndices::new(&pre)?),
            None => None,
        };
        Ok(Self {
            engine,
            pre,
            hooks,
            calls,
            digest: digest.into(),
            bytes,
            code,
        })
    }

    /// SHA-256 of the component, 64 lower-case hex digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it answers calls.
    pub fn answers_calls(&self) -> bool {
        self.calls.is_some()
    }

    /// The size of the component.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The size of what it was compiled to.
    pub fn code(&self) -> usize {
        self.code
    }

    /// Asks, in a fresh instance.
    pub(super) fn call(&self, asked: Asked<'_>) -> (Result<Ruling, CallError>, Box<dyn Reads>) {
        let hook = asked.hook;
        let mut store = Store::new(&self.engine, Host::new(asked));
        store.limiter(|host| &mut host.limits);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_max_component_handles(COMPONENT_HANDLE_LIMIT);
        // Before the instance exists, for its start functions run in the same budget.
        bound(&mut store);
        let ruling = self
            .pre
            .instantiate(&mut store)
            .and_then(|instance| self.ask(&instance, &mut store, hook));
        let host = store.data_mut();
        if host.time.was_asked() {
            host.reads.note_time();
        }
        let outcome = match (host.failed.take(), ruling) {
            // What the component made of a failed read is not its verdict.
            (Some(failed), _) => Err(failed),
            (None, Err(_)) if host.limits.refused() => {
                Err(CallError::Limit("it needs too much memory".to_owned()))
            }
            (None, Err(error)) => Err(failed(&error)),
            (None, Ok(ruling)) => check(ruling, hook),
        };
        let reads = std::mem::replace(&mut host.reads, Box::new(NoReads));
        (outcome, reads)
    }

    fn ask(
        &self,
        instance: &Instance,
        store: &mut Store<Host>,
        hook: &Hook,
    ) -> wasmtime::Result<Ruling> {
        if !matches!(hook, Hook::Call(..)) {
            return rulings::of_hook(&self.hooks.load(&mut *store, instance)?, store, hook);
        }
        let Some(calls) = &self.calls else {
            wasmtime::bail!("it answers no calls");
        };
        rulings::of_call(&calls.load(&mut *store, instance)?, store, hook)
    }
}

/// Interrupts the call once its budget is used up. Epochs pass whether or not the thread
/// runs, so at their end its own clock is asked.
fn bound(store: &mut Store<Host>) {
    let (began, used) = (Instant::now(), processor_time());
    store.set_epoch_deadline(ticks(BUDGET));
    store.epoch_deadline_callback(move |_| {
        let left = BUDGET.saturating_sub(processor_time().saturating_sub(used));
        if left.is_zero() || began.elapsed() >= PATIENCE {
            return Err(Trap::Interrupt.into());
        }
        Ok(UpdateDeadline::Continue(ticks(left)))
    });
}

/// The processor time of this thread.
pub(super) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// What a call is about.
pub(super) struct Asked<'a> {
    pub(super) tenant: &'a str,
    /// The key of the policy's configuration.
    pub(super) configuration: &'a str,
    pub(super) hook: &'a Hook,
    pub(super) reads: Box<dyn Reads>,
    pub(super) log: &'a Arc<Log>,
}

/// The data of an instance's store.
struct Host {
    reads: Box<dyn Reads>,
    /// What all keys of the tenant begin with.
    prefix: String,
    configuration: String,
    host_calls: u32,
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limits,
    time: CallTime,
    failed: Option<CallError>,
}

impl Host {
    fn new(asked: Asked<'_>) -> Self {
        let time = CallTime::default();
        time.begin(asked.reads.time());
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLE_LIMIT);
        Self {
            reads: asked.reads,
            prefix: format!("{}/", asked.tenant),
            configuration: asked.configuration.to_owned(),
            host_calls: 0,
            wasi: inert::context(asked.log, &time),
            table,
            limits: Limits::new(TRACED_MEMORY_LIMIT),
            time,
            failed: None,
        }
    }

    /// Counts a host call; the one too many ends the component.
    fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > HOSTCALL_LIMIT {
            self.failed = Some(CallError::Limit("it calls the host too often".to_owned()));
            wasmtime::bail!("too many host calls");
        }
        Ok(())
    }

    fn read(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, state::Error> {
        match self.reads.get_many(keys) {
            Ok(values) => Ok(values
                .into_iter()
                .map(|value| value.map(|bytes| bytes.to_vec()))
                .collect()),
            Err(ReadError::Limit) => {
                self.failed = Some(CallError::Limit("it reads too much".to_owned()));
                Err(state::Error::Limit)
            }
            Err(ReadError::Store(reason)) => {
                self.failed = Some(CallError::Store(reason.clone()));
                Err(state::Error::Store(reason))
            }
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for Host {}

impl state::Host for Host {
    fn get_many(
        &mut self,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<Vec<u8>>>, state::Error>> {
        self.count()?;
        let keys: Vec<String> = keys
            .into_iter()
            .map(|key| format!("{}{key}", self.prefix))
            .collect();
        Ok(self.read(&keys))
    }
}

impl clock::Host for Host {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.count()?;
        self.reads.note_time();
        Ok(self.reads.time())
    }
}

impl payload::Host for Host {
    fn get(&mut self) -> wasmtime::Result<String> {
        self.count()?;
        Ok(self.reads.payload().as_ref().to_owned())
    }
}

impl connection::Host for Host {
    fn remote_address(&mut self) -> wasmtime::Result<Option<String>> {
        self.count()?;
        Ok(self.reads.attribute(Attribute::RemoteAddress))
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count()?;
        Ok(self.reads.attribute(Attribute::Header(&name)))
    }

    fn claim(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count()?;
        Ok(self.reads.attribute(Attribute::Claim(&name)))
    }
}

impl configuration::Host for Host {
    fn get(&mut self) -> wasmtime::Result<Option<String>> {
        self.count()?;
        let key = self.configuration.clone();
        let value = self.read(&[key]).ok().and_then(|mut values| values.pop());
        Ok(value
            .flatten()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
