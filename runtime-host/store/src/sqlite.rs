//! The embedded store: one SQLite file in Spin's own table layout.
//!
//! Owns the file, the single thread that writes it, the connections that read it and
//! the cache in front of them. `spin up` and `sschat up` can use the same file one
//! after the other; two hosts never at once, for a host trusts its cache.
//!
//! Durability: an acknowledged write was flushed to disk (write-ahead log,
//! `synchronous = FULL`) and survives `kill -9` and a power cut. Concurrent writes
//! share one flush.
//!
//! Absent on purpose: expiry, prefixes, a connection per label, and any way to write
//! past the one thread.

mod connection;
mod readers;
mod shared;
mod space;
pub(crate) mod transfer;
mod writer;

pub use connection::OpenError;

use super::latency::Latency;
use super::{ChangeListener, Store, StoreError, locked};
use shared::{Shared, Space};
use space::SqliteStore;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot};
use writer::{Answer, Message, Operation, Outcome, Write, Writer};

/// Memory for writes that wait for the disk. Who comes when it is full waits for room.
/// Holds two batches of the largest size.
const QUEUE_BYTES: usize = 2 * super::BATCH_BYTES_LIMIT + (1 << 20);

/// The key spaces of one database file. The file is closed with [`SqliteStores::close`],
/// or when this and every [`Store`] of it are gone.
pub struct SqliteStores {
    database: Arc<Database>,
}

impl SqliteStores {
    /// Opens the database at `path`, making it and its folder where they are missing.
    /// Claims the folder: no other host can open a database in it meanwhile.
    /// Blocks while SQLite recovers what a killed process left behind.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let unusable = |reason| OpenError::Database {
            path: path.to_owned(),
            reason,
        };
        let claim = connection::claim_folder(path)?;
        let connection = connection::open_writer(path)?;
        let shared = Arc::new(Shared::open(path)?);
        let writer = Writer::new(path.to_owned(), connection, Arc::clone(&shared), claim)
            .map_err(|error| unusable(error.to_string()))?;
        let (sender, queue) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| unusable(format!("no thread for writing: {error}")))?;
        let database = Arc::new(Database {
            path: path.to_owned(),
            shared,
            sender,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            writer: Mutex::new(Some(writer)),
        });
        Ok(Self { database })
    }

    /// The key space named `label`: the same one each time.
    pub fn space(&self, label: &str) -> Arc<dyn Store> {
        let space = self.database.shared.space(label);
        Arc::new(SqliteStore {
            database: Arc::clone(&self.database),
            space,
        })
    }

    /// Tells `listener` of every change of the key space `label` that is acknowledged
    /// from now on.
    pub fn listen(&self, label: &str, listener: Arc<dyn ChangeListener>) {
        self.database.shared.space(label).listeners.add(listener);
    }

    /// How many transactions were committed since the database was opened, one flush to
    /// disk each (none where every value written was there already).
    pub fn commits(&self) -> u64 {
        self.database.shared.commits.load(Ordering::Relaxed)
    }

    /// How long commits took, the flush to disk included.
    pub fn commit_latency(&self) -> Arc<Latency> {
        Arc::clone(&self.database.shared.latency)
    }

    /// Writes what waits in the queue, folds the log into the database file, closes it
    /// and gives the folder free. Blocks until that is done. Calls of the stores fail
    /// from then on, and their listeners are let go.
    pub fn close(&self) {
        self.database.close();
    }
}

/// An open database file.
struct Database {
    path: PathBuf,
    shared: Arc<Shared>,
    sender: Sender<Message>,
    /// Counts the bytes that the queue has room for.
    room: Arc<Semaphore>,
    /// `None` once closed.
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Database {
    /// Queues a write and waits until it is durable and everyone concerned has acted.
    async fn write(
        &self,
        space: &Arc<Space>,
        bytes: usize,
        write: Write,
    ) -> Result<Outcome, StoreError> {
        let bytes = u32::try_from(bytes)
            .map_err(|_| StoreError::TooLarge(format!("a batch of {bytes} bytes")))?;
        let permit = Arc::clone(&self.room)
            .acquire_many_owned(bytes)
            .await
            .map_err(|_| self.closed())?;
        let (answer, answered) = oneshot::channel();
        let operation = Operation {
            space: Arc::clone(space),
            write,
            answer,
            permit,
        };
        self.sender
            .send(Message::Operation(operation))
            .map_err(|_| self.closed())?;
        let Answer { result, barriers } = answered.await.map_err(|_| self.closed())?;
        for barrier in barriers {
            barrier.await;
        }
        result
    }

    fn closed(&self) -> StoreError {
        StoreError::Unavailable(format!("{} is closed", self.path.display()))
    }

    fn close(&self) {
        // Held to the end, so that whoever closes too also waits.
        let mut writer = locked(&self.writer);
        let Some(writer) = writer.take() else {
            return;
        };
        self.room.close();
        let _ = self.sender.send(Message::Close);
        // The last reference may be one that the writer let go of; it cannot wait for itself.
        if writer.thread().id() != std::thread::current().id() && writer.join().is_err() {
            tracing::error!("the writer of {} had failed", self.path.display());
        }
        self.shared.close();
        self.shared.forget_listeners();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close();
    }
}

fn unavailable(path: &Path, error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
