//! The read cache that the stores share.
//!
//! Owns the cached values and the fences that keep them true. Evicting is left to
//! `quick_cache`; nothing here depends on what it keeps. Whether what it holds may be
//! believed is the store's to know: SQLite's is exact, because this process is the only
//! writer; Redis' as long as its change feed proves itself alive.
//!
//! A write passes through three steps. [`ReadCache::begin`], before the commit, takes
//! the keys out and forbids filling them in; [`ReadCache::end`], after it, puts the new
//! values in and allows filling again. In between, reads of these keys go to the
//! database, so what a reader sees changes at one moment only: the commit. A fill
//! carries the version its fence had before the database was read, and is dropped if
//! a write began since. A change that is heard of only afterwards takes its keys out
//! with [`ReadCache::invalidate`].
//!
//! An entry carries a stamp of its reader's, by which that one knows which entries were
//! true at one moment.

use super::locked;
use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory for cached keys and values. Enough for the records of some hundred
/// thousand users; small beside what as many sessions need.
const CACHE_BYTES: u64 = 64 << 20;

/// Larger values are read from the database each time: a few of them would
/// displace everything else.
const CACHED_VALUE_LIMIT: usize = 256 << 10;

/// What an entry costs beside its key and value.
const ENTRY_OVERHEAD: u64 = 128;

/// How many entries the cache makes room for at the start.
const EXPECTED_ENTRIES: usize = 4_096;

/// Independent locks of the cache. Each has its share of [`CACHE_BYTES`], which must
/// hold several values of [`CACHED_VALUE_LIMIT`].
const SHARDS: usize = 16;

/// Number of fences. Keys that share one only cost each other a fill.
const FENCES: usize = 1_024;

/// A cached key: the space's number and the key in it.
#[derive(Hash, PartialEq, Eq)]
struct Key {
    space: u32,
    key: Box<str>,
}

/// Hashes as [`Key`] does, without owning the text.
#[derive(Hash)]
struct KeyRef<'a> {
    space: u32,
    key: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.space == key.space && *self.key == *key.key
    }
}

#[derive(Clone)]
struct ByBytes;

/// What the cache keeps of a key.
#[derive(Clone)]
struct Entry {
    value: Option<Bytes>,
    stamp: u64,
}

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        let bytes = key.key.len() + entry.value.as_ref().map_or(0, Bytes::len);
        ENTRY_OVERHEAD + bytes as u64
    }
}

#[derive(Default)]
struct Fence {
    /// Counts the writes that began.
    version: u64,
    /// Writes that began and did not end.
    pending: u32,
}

/// The right to fill in what is read from the database after it was given.
pub(super) struct Fill {
    fence: usize,
    /// `None` if a write was under way.
    version: Option<u64>,
}

/// What the cache knows of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Its value, or that it is absent.
    Known(Option<Bytes>),
    /// Nothing.
    Unknown,
}

impl Lookup {
    /// The value, where there is one.
    pub(super) fn value(self) -> Option<Bytes> {
        match self {
            Self::Known(value) => value,
            Self::Unknown => None,
        }
    }
}

/// One key as a commit leaves it; `None` if it was removed.
pub(super) struct Written {
    pub(super) space: u32,
    pub(super) key: String,
    pub(super) value: Option<Bytes>,
}

pub(super) struct ReadCache {
    entries: Cache<Key, Entry, ByBytes>,
    fences: Box<[Mutex<Fence>]>,
    hasher: DefaultHashBuilder,
    /// Counts the groups of writes that began.
    sequence: AtomicU64,
}

impl ReadCache {
    pub(super) fn new() -> Result<Self, String> {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(EXPECTED_ENTRIES)
            .weight_capacity(CACHE_BYTES)
            .build()
            .map_err(|error| error.to_string())?;
        let entries = Cache::with_options(
            options,
            ByBytes,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        let fences = (0..FENCES).map(|_| Mutex::default()).collect();
        Ok(Self {
            entries,
            fences,
            hasher: DefaultHashBuilder::default(),
            sequence: AtomicU64::new(0),
        })
    }

    /// What is known of `key`.
    pub(super) fn get(&self, space: u32, key: &str) -> Lookup {
        match self.entries.get(&KeyRef { space, key }) {
            Some(entry) => Lookup::Known(entry.value),
            None => Lookup::Unknown,
        }
    }

    /// What is known of `key`, if it was filled in with a stamp below `stamp`.
    pub(super) fn get_before(&self, stamp: u64, space: u32, key: &str) -> Lookup {
        match self.entries.get(&KeyRef { space, key }) {
            Some(entry) if entry.stamp < stamp => Lookup::Known(entry.value),
            _ => Lookup::Unknown,
        }
    }

    /// Moves with every group of writes. Values of several keys belong together if
    /// this is the same before the first and after the last of them was looked up.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::SeqCst)
    }

    /// To be called before the database is read.
    pub(super) fn prepare(&self, space: u32, key: &str) -> Fill {
        let index = self.fence(space, key);
        let fence = locked(&self.fences[index]);
        Fill {
            fence: index,
            version: (fence.pending == 0).then_some(fence.version),
        }
    }

    /// Keeps what the database held, unless a write of the key began meanwhile.
    pub(super) fn fill(&self, fill: &Fill, space: u32, key: &str, value: Option<&Bytes>) {
        self.fill_at(0, fill, space, key, value);
    }

    /// As [`ReadCache::fill`], with a stamp.
    pub(super) fn fill_at(
        &self,
        stamp: u64,
        fill: &Fill,
        space: u32,
        key: &str,
        value: Option<&Bytes>,
    ) {
        if !worth_caching(value) {
            return;
        }
        let fence = locked(&self.fences[fill.fence]);
        if fence.pending == 0 && fill.version == Some(fence.version) {
            self.entries.insert(
                Key {
                    space,
                    key: key.into(),
                },
                Entry {
                    value: value.cloned(),
                    stamp,
                },
            );
        }
    }

    /// To be called before `group` is committed.
    pub(super) fn begin<'a>(&self, group: impl Iterator<Item = &'a Written>) {
        for written in group {
            let mut fence = locked(&self.fences[self.fence(written.space, &written.key)]);
            fence.version += 1;
            fence.pending += 1;
            self.entries.remove(&KeyRef {
                space: written.space,
                key: &written.key,
            });
        }
        // After the removals and before the commit: a reader that saw an old value
        // and a new one of the same group also sees this number move.
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    /// To be called once after each [`ReadCache::begin`], with the same writes, whether
    /// they were `committed` or not.
    pub(super) fn end<'a>(&self, group: impl Iterator<Item = &'a Written>, committed: bool) {
        for written in group {
            let Written { space, key, value } = written;
            let mut fence = locked(&self.fences[self.fence(*space, key)]);
            fence.pending = fence.pending.saturating_sub(1);
            if !committed {
                continue;
            }
            if worth_caching(value.as_ref()) {
                // Copied, so that a small value does not keep the large buffer
                // alive that it was cut from.
                let value = value.as_deref().map(Bytes::copy_from_slice);
                self.entries.insert(
                    Key {
                        space: *space,
                        key: key.as_str().into(),
                    },
                    Entry { value, stamp: 0 },
                );
            } else {
                // An earlier write of the same group may have put its value in.
                self.entries.remove(&KeyRef { space: *space, key });
            }
        }
    }

    /// Forgets `keys`, which somebody else has written; fills of them that are under way
    /// are dropped.
    pub(super) fn invalidate<'a>(&self, space: u32, keys: impl Iterator<Item = &'a str>) {
        for key in keys {
            let mut fence = locked(&self.fences[self.fence(space, key)]);
            fence.version += 1;
            self.entries.remove(&KeyRef { space, key });
        }
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets everything, fills under way included.
    pub(super) fn clear(&self) {
        for fence in &self.fences {
            locked(fence).version += 1;
        }
        self.entries.clear();
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    fn fence(&self, space: u32, key: &str) -> usize {
        // The low bits suffice, whatever the width of `usize`.
        self.hasher.hash_one(KeyRef { space, key }) as usize % FENCES
    }
}

fn worth_caching(value: Option<&Bytes>) -> bool {
    value.is_none_or(|value| value.len() <= CACHED_VALUE_LIMIT)
}

#[cfg(test)]
mod tests;
