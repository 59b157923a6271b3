//! WASI 0.2 as compilers' standard libraries want it, for calls that are traced: inert.
//!
//! There are no arguments, no environment, no files; random numbers are constant; the
//! clocks tell the one time of the call and note that they were asked; waiting takes no
//! time, so that no component can sleep on the thread that calls it; what is printed
//! goes to the log. Sockets and HTTP are absent on purpose: a component that imports
//! them is not linked.

use super::logs::{Log, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::sync;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::{Deterministic, WasiRandom};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiView};

/// Bytes of random numbers that one import call may ask for.
const RANDOM_LIMIT: u64 = 64 << 10;

/// The context of one instance.
pub(super) fn context(log: &Arc<Log>, time: &CallTime) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    // Random numbers that are none, so that no decision depends on them.
    wasi.secure_random(Deterministic::new(vec![4]))
        .insecure_random(Deterministic::new(vec![4]))
        .insecure_random_seed(0)
        .max_random_size(RANDOM_LIMIT)
        .wall_clock(time.clone())
        .monotonic_clock(time.clone())
        .allow_blocking_current_thread(true)
        .stdout(log.stream(Source::Stdout))
        .stderr(log.stream(Source::Stderr));
    wasi.build()
}

/// Offers the inert interfaces.
pub(super) fn link<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let l = linker;
    wasmtime_wasi_io_error::<T>(l)?;
    sync::io::poll::add_to_linker::<T, NeverWaits>(l, |host| Poll(host.ctx().table))?;
    sync::io::streams::add_to_linker::<T, Io>(l, |host| host.ctx().table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    sync::filesystem::types::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    random::random::add_to_linker::<T, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |host| host.ctx().ctx.random())?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    Ok(())
}

fn wasmtime_wasi_io_error<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::bindings::io::error::add_to_linker::<T, Io>(linker, |host| host.ctx().table)
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// `wasi:io/poll` where everything is ready at once. What could make a component wait
/// is a timer, and its time stands still.
struct NeverWaits;

impl HasData for NeverWaits {
    type Data<'a> = Poll<'a>;
}

struct Poll<'a>(&'a mut ResourceTable);

impl sync::io::poll::Host for Poll<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.is_empty() {
            // The interface says so: polling nothing traps.
            wasmtime::bail!("nothing to poll");
        }
        Ok((0..pollables.len() as u32).collect())
    }
}

impl sync::io::poll::HostPollable for Poll<'_> {
    fn ready(&mut self, _: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Ok(true)
    }

    fn block(&mut self, _: Resource<DynPollable>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        sync::io::poll::HostPollable::drop(self.0, pollable)
    }
}

/// The clocks of WASI: they stand at the time of the call and note that they were asked.
#[derive(Clone, Default)]
pub(super) struct CallTime(Arc<Told>);

#[derive(Default)]
struct Told {
    seconds: AtomicU64,
    asked: AtomicBool,
}

impl CallTime {
    /// Begins a call at this time, in seconds since the Unix epoch.
    pub(super) fn begin(&self, seconds: u64) {
        self.0.seconds.store(seconds, Ordering::Relaxed);
        self.0.asked.store(false, Ordering::Relaxed);
    }

    /// Whether the call asked for the time.
    pub(super) fn was_asked(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    fn tell(&self) -> u64 {
        self.0.asked.store(true, Ordering::Relaxed);
        self.0.seconds.load(Ordering::Relaxed)
    }
}

impl HostWallClock for CallTime {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.tell())
    }
}

impl HostMonotonicClock for CallTime {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        self.tell().saturating_mul(1_000_000_000)
    }
}
