//! Engines, compilation and the cache of compiled code.
//!
//! Two engines, because two kinds of call want opposite things: `rest` runs
//! asynchronously on the workers of tokio, `traced` (the authority and tenants'
//! policies) synchronously on threads of its own. Both take instances from a pool, count time in epochs of [`TICK`], which
//! one thread advances, and share one cache folder. Which imports a component gets
//! is not decided here.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wasmtime::component::Component;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy,
    PoolingAllocationConfig,
};

/// The length of one epoch: how finely a component's time is measured, and how long an
/// endless loop keeps a worker of tokio before it has to yield.
pub const TICK: Duration = Duration::from_millis(5);

/// The memory one instance of a REST component may use, in bytes, summed over its memories.
pub const REST_MEMORY_LIMIT: usize = 128 << 20;

/// The memory one instance of the authority or of a policy may use, in bytes, summed over
/// its memories. A tenant's policy answers one call at a time, so it is the tenant's too.
pub const TRACED_MEMORY_LIMIT: usize = 64 << 20;

/// Instances for traced calls at once: one for each thread that makes them, twice over. There
/// is room for as many of the largest kind, so that tenants can't take the authority's.
const TRACED_INSTANCES: u32 = 16;

/// Core instances of one component: an SDK component has its own module and a handful of
/// shims, one of Python's toolchain 38.
pub(super) const CORE_INSTANCES_PER_COMPONENT: u32 = 64;

/// Tables of one module of an authority or policy. Most have one.
const TABLES_PER_MODULE: u32 = 4;

/// Linear memories of one component. One is usual; adapters may bring another.
pub(super) const MEMORIES_PER_COMPONENT: u32 = 4;

/// Tables of one component.
pub(super) const TABLES_PER_COMPONENT: u32 = 16;

/// Elements of one table: function pointers, of which a large program has a few thousand.
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// Bytes of a pooled memory that are zeroed by hand rather than given back to the kernel
/// between two instances. Most components touch less than this.
const KEEP_RESIDENT: usize = 512 << 10;

/// Bytes of machine stack that a component may use. Deep recursion ends in a trap.
const STACK_LIMIT: usize = 512 << 10;

/// Frames of a trap's backtrace that are logged: enough to see where, also after a recursion.
const BACKTRACE_FRAMES: usize = 12;

/// What to build the engines with.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The folder for compiled code; `None` compiles at every start.
    pub cache: Option<PathBuf>,
    /// How many instances of REST components may exist at once, over all components.
    pub instances: u32,
}

/// Why the engines could not be built or a component not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The machine or the configuration does not allow it.
    #[error("cannot start the WebAssembly engine: {0}")]
    Start(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no valid component.
    #[error("{path} is not a WebAssembly component that this host can run: {reason}")]
    Compile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The engines. Dropping the last clone ends the ticking thread.
#[derive(Clone)]
pub struct Engines {
    pub(super) rest: Engine,
    pub(super) traced: Engine,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").finish_non_exhaustive()
    }
}

/// A compiled component.
#[derive(Clone)]
pub struct Compiled(pub(super) Component);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

impl Engines {
    /// Builds both engines and starts the thread that advances their epochs.
    pub fn new(settings: &EngineSettings) -> Result<Self, EngineError> {
        let cache = settings.cache.as_deref().map(open_cache).transpose()?;

        let rest = pooled_or_not(rest_config(cache.clone()), pool(settings.instances))?;
        let traced = pooled_or_not(traced_config(cache), traced_pool())?;

        let ticked = [rest.weak(), traced.weak()];
        std::thread::Builder::new()
            .name("sschat-epochs".into())
            .spawn(move || tick(&ticked))
            .map_err(|error| EngineError::Start(error.to_string()))?;
        Ok(Self { rest, traced })
    }

    /// Compiles a component for [`super::rest`], or loads it from the cache.
    pub fn compile_rest(&self, path: &Path) -> Result<Compiled, EngineError> {
        compile(&self.rest, path)
    }

    /// Compiles a component for [`super::authority`], or loads it from the cache.
    pub fn compile_authority(&self, path: &Path) -> Result<Compiled, EngineError> {
        compile(&self.traced, path)
    }
}

/// How many epochs a budget is, at least one whole one.
pub(super) fn ticks(budget: Duration) -> u64 {
    (budget.as_millis() / TICK.as_millis()).max(1) as u64 + 1
}

/// An engine with a pool of instances, or without where the machine forbids one.
fn pooled_or_not(mut config: Config, pool: PoolingAllocationConfig) -> Result<Engine, EngineError> {
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).or_else(|error| {
        // A limit on address space (`ulimit -v`, some containers) forbids the pool's
        // reservation. Instances are then allocated one by one, which is slower.
        tracing::warn!(%error, "no pool of instances; allocating them one by one");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config).map_err(|error| EngineError::Start(format!("{error:#}")))
    })
}

fn compile(engine: &Engine, path: &Path) -> Result<Compiled, EngineError> {
    let bytes = std::fs::read(path).map_err(|source| EngineError::Read {
        path: path.to_owned(),
        source,
    })?;
    Component::new(engine, bytes)
        .map(Compiled)
        .map_err(|error| EngineError::Compile {
            path: path.to_owned(),
            // Some reasons show the first bytes of the file, each on a line of its own.
            reason: format!("{error:#}")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        })
}

fn rest_config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    common(&mut config, cache);
    config
}

/// The configuration of the engine for traced calls. What a component computes must follow
/// from what it reads: floating point is made exact.
pub(super) fn traced_config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .wasm_component_model_async(false)
        // What joins two components copies between their memories.
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    common(&mut config, cache);
    config
}

fn traced_pool() -> PoolingAllocationConfig {
    let mut pool = pool(TRACED_INSTANCES);
    pool.max_tables_per_module(TABLES_PER_MODULE)
        .total_core_instances(TRACED_INSTANCES * CORE_INSTANCES_PER_COMPONENT)
        .total_memories(TRACED_INSTANCES * MEMORIES_PER_COMPONENT)
        .total_tables(TRACED_INSTANCES * TABLES_PER_COMPONENT)
        .max_memory_size(TRACED_MEMORY_LIMIT);
    pool
}

fn common(config: &mut Config, cache: Option<Cache>) {
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_LIMIT)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .cache(cache);
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances.saturating_mul(2))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(REST_MEMORY_LIMIT)
        // Where the kernel can tell which pages were touched, only those are reset.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT);
    pool
}

pub(super) fn open_cache(folder: &Path) -> Result<Cache, EngineError> {
    let start = |reason: String| {
        EngineError::Start(format!(
            "the code cache at {} cannot be used: {reason}",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(|error| start(error.to_string()))?;
    let folder = std::path::absolute(folder).map_err(|error| start(error.to_string()))?;
    let mut config = CacheConfig::new();
    config
        .with_directory(&folder)
        // What was loaded often is not compressed again, harder: that would take some 85 MiB and a
        // core for a second, beside sessions, to save a few hundred kilobytes of disk.
        .with_optimized_compression_usage_counter_threshold(u64::MAX);
    Cache::new(config).map_err(|error| start(format!("{error:#}")))
}

fn tick(engines: &[EngineWeak]) {
    loop {
        std::thread::sleep(TICK);
        let mut alive = false;
        for engine in engines.iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
            alive = true;
        }
        if !alive {
            return;
        }
    }
}
