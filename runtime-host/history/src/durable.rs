//! The history in a folder of its own.
//!
//! Publishing touches memory only; [`writer`] makes whole groups durable, readers of
//! their own fetch what is no longer in memory. The folder is one log for all channels
//! (an LSM tree with a journal, `fjall`): a channel that nobody has open costs its row on
//! the disk and nothing else. Absent on purpose: replication.
//!
//! Measured candidates (2 cores, virtual disk with 0.2 ms per flush, publications of 280
//! bytes, 100 kept per channel, random channels; `written` is what reached the disk for
//! each byte of payload):
//!
//! | | fjall 3.1 | SQLite (WAL, FULL) | redb 4.6 |
//! |---|---|---|---|
//! | 1,000 channels, as fast as it goes | 308,000/s | 19,000/s | 100,000/s |
//! | 100,000 channels, as fast as it goes | 224,000/s | 28,000/s | 41,000/s |
//! | written, 100,000 channels | 2.3 | 46 | 17 |
//! | commit p50 / p99, 1,000 channels, 10,000/s | 0.16 / 0.32 ms | 0.32 / 26 ms | 0.78 / 2.0 ms |
//! | commit p50 / p99, 100,000 channels, 10,000/s | 0.19 / 1.2 ms | 0.37 / 25 ms | 0.83 / 45 ms |
//! | 1,000 readings of 1,000 from the engine | 0.45 s | 0.26 s | 0.55 s |
//! | opening 100,000 channels | 1.4 s (replays its journal) | 1 ms | 1 ms |
//!
//! As built (`examples/engine_cost.rs`; 256 bytes of payload, 100 kept; one thread
//! publishes, both cores in use): 10,000/s over 100,000 channels are durable after 0.23 ms
//! (p50) and 18 ms (p99, while sorted files are written); as fast as it goes, 169,000/s
//! over 1,000 channels, 88,000/s over 100,000, 480,000/s over 100. `publish` itself takes
//! 0.2 to 1.7 µs (p50). 1,000 clients that missed 1,000 publications each, in 100
//! channels, get them in 29 ms; reading those 100 channels from the disk takes 0.21 s.
//! 100,000 channels are opened again in 0.8 to 1.6 s, most of which the journal takes.
//!
//! A B-tree writes a page for each channel of a group; a channel's page is seldom the
//! same twice. What the engine does not do by itself is tell a torn tail from damage:
//! see `engine/journal.rs`.

mod garbage;
mod group;
mod queue;
mod shared;
pub(crate) mod sweep;
mod writer;

use crate::engine::{Engine, Item, Space, describe};
use crate::record::number;
use crate::registry::{Budget, Found, Ids, Opened, Registry};
use crate::{
    Ack, Clock, CommitSink, History, HistoryError, HistoryFuture, NewPublication, Page, Position,
    PublishError, Published, Query, Recovery, Retention, RoomLog,
};
use futures::FutureExt;
use futures::channel::oneshot;
use garbage::Heap;
use queue::{Operation, Queue};
use shared::Shared;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// Threads that read from the disk.
const READERS: usize = 2;

/// Readings that wait for the disk at most: as many as clients may come back at once.
const READS_LIMIT: usize = 65_536;

/// How a durable history is opened.
#[derive(Clone)]
pub struct Options {
    /// The folder. It belongs to the history alone.
    pub folder: PathBuf,
    /// What may wait to be written, in bytes by [`crate::Publication::cost`].
    pub queue_bytes: u64,
    /// Memory for payloads, in bytes. What waits to be written comes on top.
    pub memory_bytes: u64,
    /// The time.
    pub clock: Clock,
}

impl Options {
    /// 32 MiB for what waits, 128 MiB for payloads, the system's time.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            queue_bytes: 32 << 20,
            memory_bytes: 128 << 20,
            clock: crate::system_clock(),
        }
    }
}

/// Why a history could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, read or written, or the disk is full.
    #[error("the history folder {} cannot be used: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another part of this one, has the folder open.
    #[error("the history folder {} is in use by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds something else, or what another version wrote.
    #[error("{} is not the history of this version of sschat", path.display())]
    Foreign {
        /// What was found.
        path: PathBuf,
    },
    /// What lies on the disk is not what was written, and not the trace of a power cut.
    #[error("the history is damaged: {}: {reason}", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

type Job = Box<dyn FnOnce() + Send>;

/// See the module's documentation.
pub struct DurableHistory(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    jobs: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closing: Arc<Mutex<Closing>>,
}

#[derive(Default)]
struct Closing {
    ended: Option<Result<(), HistoryError>>,
    waiting: Vec<oneshot::Sender<Result<(), HistoryError>>>,
}

impl DurableHistory {
    /// Opens the folder; makes it where it is missing. Blocks, for about a second for
    /// each 100 MB that the last process had not yet sorted.
    pub fn open(options: Options, sink: Arc<dyn CommitSink>) -> Result<Self, OpenError> {
        let begun = Instant::now();
        let folder = options.folder;
        tracing::info!(folder = %folder.display(), "opening the history");
        let engine = Engine::open(&folder)?;
        let (starts, crashes) = start(&engine, &folder)?;
        let heap = Heap::read(&engine).map_err(|error| damaged(&folder, &error))?;
        tracing::info!(
            starts,
            crashes,
            milliseconds = begun.elapsed().as_millis() as u64,
            "the history is open"
        );
        let shared = Arc::new(Shared {
            registry: Registry::default(),
            queue: Queue::new(options.queue_bytes),
            budget: Arc::new(Budget::new(options.memory_bytes, true)),
            ids: Ids::new(starts),
            clock: options.clock,
            crashes,
            engine: RwLock::new(Some(Arc::new(engine))),
        });
        let writer = writer::Writer {
            folder: folder.clone(),
            shared: Arc::clone(&shared),
            sink,
            heap,
            sweep: sweep::Sweep::default(),
            line: sweep::Line::default(),
            tidy: 0,
            swept: Instant::now(),
        };
        let failed = |source| OpenError::Folder {
            folder: folder.clone(),
            source,
        };
        Self::spawn(shared, writer).map_err(failed)
    }

    fn spawn(shared: Arc<Shared>, writer: writer::Writer) -> io::Result<Self> {
        let closing = Arc::<Mutex<Closing>>::default();
        let ending = Arc::clone(&closing);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let mut threads = vec![thread("history-writer").spawn(move || {
            let ended = writer.run();
            let mut closing = ending.lock().unwrap_or_else(PoisonError::into_inner);
            for waiting in closing.waiting.drain(..) {
                let _ = waiting.send(ended.clone());
            }
            closing.ended = Some(ended);
        })?];
        let (jobs, queue) = sync_channel::<Job>(READS_LIMIT);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..READERS {
            let queue = Arc::clone(&queue);
            threads.push(thread("history-reader").spawn(move || read_jobs(&queue))?);
        }
        Ok(Self(Arc::new(Inner {
            shared,
            jobs: Mutex::new(Some(jobs)),
            threads: Mutex::new(threads),
            closing,
        })))
    }

    /// Payloads in memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.0.shared.budget.bytes()
    }

    /// What the folder takes on the disk, in bytes; 0 while it cannot be read.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.0
            .shared
            .engine()
            .map_or(0, |engine| engine.disk_bytes())
    }
}

/// Reads until there is nobody left to read for.
fn read_jobs(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        job();
    }
}

/// Counts this start, and the stop before it if that was unclean, on the disk.
fn start(engine: &Engine, folder: &Path) -> Result<(u64, u64), OpenError> {
    let failed = |error: fjall::Error| damaged(folder, &error);
    let get = |key| engine.get(Space::Settings, key);
    let count = |key| -> Result<u64, OpenError> {
        let found = get(key).map_err(failed)?;
        Ok(found.and_then(|bytes| number(&bytes)).unwrap_or(0))
    };
    let (starts, crashes) = (count(writer::STARTS)?, count(writer::CRASHES)?);
    let clean = get(writer::CLEAN).map_err(failed)?.is_some();
    let crashes = crashes + u64::from(starts > 0 && !clean);
    let starts = starts + 1;
    let items = [
        Item::set(Space::Settings, writer::STARTS, starts.to_be_bytes()),
        Item::set(Space::Settings, writer::CRASHES, crashes.to_be_bytes()),
        Item::remove(Space::Settings, writer::CLEAN),
    ];
    engine.commit(&items).map_err(failed)?;
    Ok((starts, crashes))
}

fn damaged(folder: &Path, error: &fjall::Error) -> OpenError {
    let folder = folder.to_owned();
    match error {
        fjall::Error::Io(error) => OpenError::Folder {
            folder,
            source: io::Error::new(error.kind(), error.to_string()),
        },
        error => OpenError::Damaged {
            path: folder,
            reason: describe(error),
        },
    }
}

fn ready<T: Send + 'static>(value: Result<T, HistoryError>) -> HistoryFuture<T> {
    futures::future::ready(value).boxed()
}

impl Inner {
    fn jobs(&self) -> MutexGuard<'_, Option<SyncSender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `job` on a reader's thread.
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Shared) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<HistoryFuture<T>, HistoryError> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let job: Job = Box::new(move || {
            // Nobody listens if the future was dropped.
            let _ = answer.send(job(&shared));
        });
        let jobs = self.jobs();
        let jobs = jobs.as_ref().ok_or(HistoryError::Closed)?;
        jobs.try_send(job).map_err(|_| HistoryError::Busy)?;
        Ok(answered
            .map(|it| it.unwrap_or(Err(HistoryError::Closed)))
            .boxed())
    }

    fn open(
        &self,
        tenant: &str,
        room: &str,
        retention: Option<Retention>,
    ) -> HistoryFuture<Arc<RoomLog>> {
        if !crate::registry::is_name(tenant) || !crate::registry::is_name(room) {
            return ready(Err(HistoryError::BadName));
        }
        let keep = move |log: Arc<RoomLog>| {
            if let Some(retention) = retention {
                log.set_retention(retention);
            }
            log
        };
        match self.shared.registry.find(tenant, room) {
            Found::Open(log) => ready(self.shared.make_known(&log).map(|()| keep(log))),
            Found::Wait(opened) => {
                let closed = Err(HistoryError::Closed);
                opened.map(move |it| it.unwrap_or(closed).map(keep)).boxed()
            }
            Found::Read => {
                let (tenant, room): (Box<str>, Box<str>) = (tenant.into(), room.into());
                let names = (tenant.clone(), room.clone());
                let retention = retention.unwrap_or_default();
                let run = self.run(move |shared| shared.load(&tenant, &room, retention));
                run.unwrap_or_else(|error| {
                    let refuse = || -> Opened { Err(error) };
                    ready(self.shared.registry.opened(&names.0, &names.1, refuse))
                })
            }
        }
    }

    /// Ends when everything that was queued before is durable.
    fn barrier(&self) -> HistoryFuture<()> {
        let (answer, answered) = oneshot::channel();
        match self.shared.queue.push(Operation::Barrier(answer)) {
            Ok(()) => answered
                .map(|it| it.unwrap_or(Err(HistoryError::Closed)))
                .boxed(),
            Err(error) => ready(Err(error)),
        }
    }
}

mod calls;

impl Drop for DurableHistory {
    /// Closes, and waits for the end: the folder can be opened again.
    fn drop(&mut self) {
        self.0.shared.queue.close();
        self.0.jobs().take();
        let threads = self.0.threads.lock();
        for thread in threads.unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}
