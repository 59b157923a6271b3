//! From uploaded bytes to a policy that can be called.
//!
//! Compiling is done by a child process of the same program with bounds on processor
//! time and memory: a component made to exhaust a compiler ends the child alone. The
//! child leaves the code in the cache that both share; this process then loads it from
//! there, and never compiles what the child did not.

use super::inspect;
use super::instance::Loaded;
use crate::calls::one_line;
use crate::engine::{Engines, open_cache, traced_config};
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The largest component, in bytes: what a scripting language's engine takes, and some.
pub const COMPONENT_LIMIT: usize = 32 << 20;

/// The most code that it may compile to, in bytes: some times its size. What is kept of
/// policies is bounded by this too, so one of them has to fit.
pub const CODE_LIMIT: usize = 192 << 20;

/// Processor time that compiling one component may take.
const PROCESSOR_SECONDS: u64 = 60;

/// Address space of the child, in bytes.
const ADDRESS_SPACE: u64 = 4 << 30;

/// How long a child may live, whatever it does.
const PATIENCE: Duration = Duration::from_secs(180);

/// The longest word of the child, in bytes.
const WORD_LIMIT: u64 = 16 << 10;

/// The exit code of a program that panicked.
const PANICKED: i32 = 101;

/// Components that are compiled at a time: it is long work that can wait.
const AT_A_TIME: usize = 1;

/// Why a component is no policy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// It is not one: the tenant has to change it.
    #[error("{0}")]
    Unfit(String),
    /// This host could not do it now.
    #[error("policies can't be compiled now: {0}")]
    Unavailable(String),
}

/// Makes policies of components.
pub struct Workshop {
    engine: Engine,
    program: PathBuf,
    arguments: Vec<String>,
    cache: PathBuf,
    turns: Semaphore,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").finish_non_exhaustive()
    }
}

impl Workshop {
    /// `program` with `arguments` and the folder `cache` as the last argument is to call
    /// [`compile_in_child`]. `cache` is the folder that `engines` cache in.
    pub fn new(engines: &Engines, program: PathBuf, arguments: &[&str], cache: PathBuf) -> Self {
        Self {
            engine: engines.traced.clone(),
            program,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            cache,
            turns: Semaphore::new(AT_A_TIME),
        }
    }

    /// Compiles and links a component. `digest`: SHA-256 of `bytes`.
    ///
    /// # Errors
    /// Where it is no component, does not fit the world, exceeds a limit, or this host
    /// can't compile now.
    pub async fn load(&self, digest: &str, bytes: Bytes) -> Result<Arc<Loaded>, LoadError> {
        if bytes.len() > COMPONENT_LIMIT {
            return Err(LoadError::Unfit(format!(
                "it has more than {COMPONENT_LIMIT} bytes"
            )));
        }
        let turn = self.turns.acquire().await;
        self.compile(&bytes).await?;
        let (engine, digest) = (self.engine.clone(), digest.to_owned());
        let loaded = tokio::task::spawn_blocking(move || link(&engine, &digest, &bytes)).await;
        drop(turn);
        match loaded {
            Ok(loaded) => loaded.map(Arc::new).map_err(LoadError::Unfit),
            Err(error) => Err(LoadError::Unavailable(error.to_string())),
        }
    }

    /// Lets a child compile.
    async fn compile(&self, bytes: &[u8]) -> Result<(), LoadError> {
        let unavailable = |error: std::io::Error| LoadError::Unavailable(error.to_string());
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(&self.cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(unavailable)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let talk = async {
            if let Some(mut stdin) = stdin {
                // A child that ends early does not read everything; its word says why.
                let _ = stdin.write_all(bytes).await;
            }
            let mut word = String::new();
            if let Some(stdout) = stdout {
                stdout.take(WORD_LIMIT).read_to_string(&mut word).await?;
            }
            Ok::<_, std::io::Error>((word, child.wait().await?))
        };
        match tokio::time::timeout(PATIENCE, talk).await {
            Err(_) => Err(LoadError::Unfit("compiling it takes too long".to_owned())),
            Ok(Err(error)) => Err(unavailable(error)),
            Ok(Ok((word, status))) => judge(&word, status),
        }
    }
}

/// What the child's end means.
fn judge(word: &str, status: ExitStatus) -> Result<(), LoadError> {
    match (status.code(), word.trim()) {
        (Some(0), _) => Ok(()),
        (Some(1), reason) if !reason.is_empty() => Err(LoadError::Unfit(reason.to_owned())),
        (Some(2), reason) => Err(LoadError::Unavailable(reason.to_owned())),
        (Some(PANICKED), _) => Err(LoadError::Unfit("the compiler fails on it".to_owned())),
        _ => Err(LoadError::Unfit(format!(
            "compiling it takes more than {PROCESSOR_SECONDS} s of processor time or {} MiB of memory",
            ADDRESS_SPACE >> 20
        ))),
    }
}

fn link(engine: &Engine, digest: &str, bytes: &[u8]) -> Result<Loaded, String> {
    let component = Component::new(engine, bytes).map_err(|error| reason(&error))?;
    let code = component.image_range();
    let code = code.end.addr() - code.start.addr();
    if code > CODE_LIMIT {
        return Err(format!("it compiles to more than {CODE_LIMIT} bytes"));
    }
    Loaded::link(&component, digest, [bytes.len(), code]).map_err(|error| reason(&error))
}

fn reason(error: &wasmtime::Error) -> String {
    one_line(format_args!("{error:#}"))
}

/// What the child does: binds itself, reads a component from stdin, compiles it into the
/// cache in `folder`. Gives back what is to be printed on stdout and the exit code.
pub fn compile_in_child(folder: &Path) -> (String, u8) {
    let bind = |resource, most| {
        // A tighter bound from outside stays.
        let most = getrlimit(resource).maximum.map_or(most, |it| it.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    let bound = bind(Resource::Cpu, PROCESSOR_SECONDS)
        .and_then(|()| bind(Resource::As, ADDRESS_SPACE))
        .and_then(|()| bind(Resource::Core, 0));
    if let Err(error) = bound {
        return (format!("limits can't be set: {error}"), 2);
    }
    let _ = rustix::process::nice(10);
    let mut bytes = Vec::new();
    let most = COMPONENT_LIMIT as u64 + 1;
    if let Err(error) = std::io::stdin().take(most).read_to_end(&mut bytes) {
        return (error.to_string(), 2);
    }
    if let Err(reason) = inspect::inspect(&bytes) {
        return (one_line(reason), 1);
    }
    compile_into(folder, &bytes)
}

fn compile_into(folder: &Path, bytes: &[u8]) -> (String, u8) {
    let cache = match open_cache(folder) {
        Ok(cache) => cache,
        Err(error) => return (error.to_string(), 2),
    };
    // Without the pool, whose address space the bound would not allow. Code is the same.
    let engine = match Engine::new(&traced_config(Some(cache.clone()))) {
        Ok(engine) => engine,
        Err(error) => return (reason(&error), 2),
    };
    if let Err(reason) = link(&engine, "", bytes) {
        return (reason, 1);
    }
    // Where the cache does not keep it (a full disk, say), the host would have to compile,
    // and without bounds.
    if cache.cache_hits() == 0
        && (Component::new(&engine, bytes).is_err() || cache.cache_hits() == 0)
    {
        let folder = folder.display();
        return (format!("the code cache at {folder} keeps nothing"), 2);
    }
    (String::new(), 0)
}
