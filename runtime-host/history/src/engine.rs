//! The disk: key spaces of `fjall`, a log-structured merge tree with a journal.
//!
//! This module and [`journal`] alone know the engine. One batch is one commit group:
//! appended to the journal, flushed, then visible. Absent on purpose: what the records
//! mean.

mod journal;

use crate::record::FORMAT;
use crate::{HistoryError, OpenError};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Slice};
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// Memory for blocks read from the disk.
const CACHE_BYTES: u64 = 16 << 20;

/// Publications that the engine holds in memory before it writes a sorted file: large
/// enough that what is trimmed soon never gets there.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// The same for the other spaces, whose records are small.
const SMALL_MEMTABLE_BYTES: u64 = 4 << 20;

/// Journals beyond this make the engine write sorted files. Bounds the time of a start.
const JOURNAL_BYTES: u64 = 128 << 20;

/// The file that names the format and the history.
const IDENTITY: &str = "identity";

/// Random bytes that mark this history's commit groups.
pub(crate) const MARK_BYTES: usize = 16;

/// The key of the mark, in the space of settings.
const MARK_KEY: &[u8] = b"mark";

/// What the records are sorted into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    /// Tenant id and room name → [`crate::record::Row`].
    Rooms,
    /// Channel id and offset → publication.
    Publications,
    /// Channel id and offset → idempotency key.
    Keys,
    /// Tenant name → id and bytes.
    Tenants,
    /// Kind and id of what was removed and still lies here.
    Garbage,
    /// Counters of the history itself.
    Settings,
}

const SPACES: [(Space, &str, u64); 6] = [
    (Space::Rooms, "rooms", SMALL_MEMTABLE_BYTES),
    (Space::Publications, "publications", MEMTABLE_BYTES),
    (Space::Keys, "keys", SMALL_MEMTABLE_BYTES),
    (Space::Tenants, "tenants", SMALL_MEMTABLE_BYTES),
    (Space::Garbage, "garbage", SMALL_MEMTABLE_BYTES),
    (Space::Settings, "settings", SMALL_MEMTABLE_BYTES),
];

/// One write of a batch; without a value the key is removed.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) space: Space,
    pub(crate) key: Slice,
    pub(crate) value: Option<Slice>,
}

impl Item {
    pub(crate) fn set(space: Space, key: impl Into<Slice>, value: impl Into<Slice>) -> Self {
        let (key, value) = (key.into(), Some(value.into()));
        Self { space, key, value }
    }

    pub(crate) fn remove(space: Space, key: impl Into<Slice>) -> Self {
        let (key, value) = (key.into(), None);
        Self { space, key, value }
    }
}

/// An open history folder.
pub(crate) struct Engine {
    database: Database,
    spaces: Vec<Keyspace>,
    mark: [u8; MARK_BYTES],
}

impl Engine {
    /// Opens the folder, makes it where it is missing, cuts off a torn tail.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(failed)?;
        let mark = identify(folder)?;
        let log = folder.join("log");
        let lock = journal::lock(&log).map_err(|error| open_error(folder, error))?;
        if let Some(lock) = lock {
            journal::mend(&log, &mark)?;
            drop(lock);
        }
        // The engine asserts what a damaged file may break.
        std::panic::catch_unwind(AssertUnwindSafe(|| Self::open_log(&log, mark)))
            .unwrap_or(Err(fjall::Error::Unrecoverable))
            .map_err(|error| open_error(folder, error))
    }

    fn open_log(log: &Path, mark: [u8; MARK_BYTES]) -> fjall::Result<Self> {
        let database = Database::builder(log)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .manual_journal_persist(true)
            .open()?;
        let open = |(_, name, bytes): &(Space, &str, u64)| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(*bytes)
                    .manual_journal_persist(true)
            })
        };
        let spaces = SPACES.iter().map(open).collect::<fjall::Result<_>>()?;
        Ok(Self {
            database,
            spaces,
            mark,
        })
    }

    fn space(&self, space: Space) -> &Keyspace {
        // The order of `SPACES` is that of the enumeration.
        &self.spaces[space as usize]
    }

    /// Writes all or nothing, and flushes.
    pub(crate) fn commit(&self, items: &[Item]) -> fjall::Result<()> {
        let batch = self.database.batch();
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        batch.insert(self.space(Space::Settings), MARK_KEY, &self.mark[..]);
        for item in items {
            let space = self.space(item.space);
            match &item.value {
                Some(value) => batch.insert(space, item.key.clone(), value.clone()),
                None => batch.remove(space, item.key.clone()),
            }
        }
        batch.commit()
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> fjall::Result<Option<Slice>> {
        self.space(space).get(key)
    }

    /// Records from `from` on while they begin with `prefix`, in ascending order.
    pub(crate) fn scan<'a>(
        &'a self,
        space: Space,
        prefix: &'a [u8],
        from: Bound<&'a [u8]>,
    ) -> impl Iterator<Item = fjall::Result<(Slice, Slice)>> + 'a {
        let records = self
            .space(space)
            .range::<&[u8], _>((from, Bound::Unbounded));
        records
            .map(fjall::Guard::into_inner)
            .take_while(move |record| match record {
                Ok((key, _)) => key.starts_with(prefix),
                Err(_) => true,
            })
    }

    /// What the folder takes on the disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

/// The history's mark; a new one for a new folder.
fn identify(folder: &Path) -> Result<[u8; MARK_BYTES], OpenError> {
    let path = folder.join(IDENTITY);
    let failed = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let foreign = || OpenError::Foreign { path: path.clone() };
    let mut content = Vec::new();
    match std::fs::File::open(&path) {
        Ok(file) => {
            let limit = (FORMAT.len() + MARK_BYTES + 1) as u64;
            file.take(limit).read_to_end(&mut content).map_err(failed)?;
            let mark = content.strip_prefix(FORMAT).ok_or_else(foreign)?;
            mark.try_into().map_err(|_| foreign())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join("log").exists() {
                return Err(foreign());
            }
            let mark = *uuid::Uuid::new_v4().as_bytes();
            let written = || {
                let next = folder.join("identity.new");
                let mut file = std::fs::File::create(&next)?;
                file.write_all(FORMAT)?;
                file.write_all(&mark)?;
                file.sync_all()?;
                std::fs::rename(&next, &path)?;
                std::fs::File::open(folder)?.sync_all()
            };
            written().map_err(failed)?;
            Ok(mark)
        }
        Err(error) => Err(failed(error)),
    }
}

fn open_error(folder: &Path, error: fjall::Error) -> OpenError {
    let folder = folder.to_owned();
    match error {
        fjall::Error::Locked => OpenError::InUse { folder },
        fjall::Error::Io(source) => OpenError::Folder { folder, source },
        fjall::Error::InvalidVersion(_) => OpenError::Foreign { path: folder },
        error => OpenError::Damaged {
            path: folder,
            reason: describe(&error),
        },
    }
}

/// What a reader is told.
pub(crate) fn read_error(error: &fjall::Error) -> HistoryError {
    let reason = describe(error).into();
    match error {
        fjall::Error::Io(_) | fjall::Error::Poisoned => HistoryError::Unavailable(reason),
        fjall::Error::Storage(fjall::LsmError::Io(_)) => HistoryError::Unavailable(reason),
        _ => HistoryError::Corrupt(reason),
    }
}

pub(crate) fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Storage(error) => format!("{error:?}"),
        error => format!("{error:?}"),
    }
}
