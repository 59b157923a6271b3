//! The fence: a change that lands while a verdict is computed wins.
//!
//! A verdict enters the [`Index`] under each key *before* that key is read, so a change
//! that lands in between finds it there and ends it; no record carries a version. A change
//! is told after it can be read and before it is acknowledged: what was derived from the
//! older value has ended by then, and who watched it is named.
//!
//! This owns what threads share, and nothing else: what a verdict says is
//! [`Fenced::content`]. It names its primitives by `super::sync`, so that `tests/fence` can
//! put those of a model checker in their place.
//!
//! The index knows keys by a hash of 64 bits. Two keys with one hash end each other's
//! verdicts, which costs a new evaluation and can't keep a stale one.

use super::sync::{
    Arc, AtomicBool, AtomicU64, KeyHasher, Mutex, MutexGuard, Ordering, PoisonError, Weak,
};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

/// Parts of the index, so that evaluations seldom wait for each other.
const PARTS: usize = 64;

/// Counters of ends: an end makes the holders of a sixty-fourth of all verdicts look again.
const LANES: usize = 64;

/// Who wants to be told when a verdict ends: the number of a standing grant.
pub type Watcher = u64;

/// Something derived from stored keys, and whether none of them has changed since.
pub struct Fenced<T> {
    id: u64,
    live: AtomicBool,
    reads: Mutex<Vec<u64>>,
    watchers: Mutex<Vec<Watcher>>,
    index: Weak<Index<T>>,
    content: T,
}

impl<T> Fenced<T> {
    /// Whether nothing that it was derived from has changed.
    #[inline]
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    fn lane(&self) -> u8 {
        (self.id % LANES as u64) as u8
    }

    /// What was derived.
    #[inline]
    pub(super) fn content(&self) -> &T {
        &self.content
    }

    /// Asks to be named when it ends. Says `false` where it has ended already.
    pub fn watch(&self, watcher: Watcher) -> bool {
        let mut watchers = lock(&self.watchers);
        if !self.is_live() {
            return false;
        }
        if watchers.is_empty() {
            // Most have one, for as long as a session lives.
            watchers.reserve_exact(1);
        }
        watchers.push(watcher);
        true
    }

    /// Nothing more will be read for it.
    pub(super) fn complete(&self) {
        lock(&self.reads).shrink_to_fit();
    }

    /// Takes a watcher back.
    pub fn unwatch(&self, watcher: Watcher) {
        let mut watchers = lock(&self.watchers);
        if let Some(at) = watchers.iter().position(|other| *other == watcher) {
            watchers.swap_remove(at);
        }
    }

    /// Ends it and gives back who watched.
    fn end(&self) -> Vec<Watcher> {
        let mut watchers = lock(&self.watchers);
        self.live.store(false, Ordering::Release);
        std::mem::take(&mut *watchers)
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        if let Some(index) = self.index.upgrade() {
            for key in lock(&self.reads).drain(..) {
                index.remove(key, self.id);
            }
        }
    }
}

/// How many verdicts have ended, in lanes by their numbers. Written where one ends, read at
/// each use of one: a few cache lines that all holders share and that seldom change.
pub struct Ends {
    lanes: [AtomicU64; LANES],
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            lanes: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Ends {
    #[inline]
    fn count(&self, lane: u8) -> u64 {
        self.lanes[usize::from(lane) % LANES].load(Ordering::Acquire)
    }

    fn add(&self, lane: u8) {
        self.lanes[usize::from(lane) % LANES].fetch_add(1, Ordering::Release);
    }
}

/// Something fenced in the hands of one holder, with the count of ends at which it was
/// last seen live. While the count stands it is live still, and asking touches nothing of
/// the thing itself: it lies elsewhere in memory, and the holders are many.
///
/// A change ends the thing, then counts, then is acknowledged; a look reads the count
/// first. So a count that stands has nothing acknowledged behind it that ended the thing.
pub(super) struct Held<T> {
    fenced: Arc<Fenced<T>>,
    /// [`Held::NEVER`] until it was seen live.
    seen: u64,
    lane: u8,
    lasting: bool,
}

impl<T> Held<T> {
    /// A count that is never reached.
    const NEVER: u64 = u64::MAX;

    /// Takes it in hand. `lasting`: nothing but a change can end it. Where something else
    /// can, every use has to look.
    pub(super) fn new(fenced: Arc<Fenced<T>>, lasting: bool) -> Self {
        Self {
            seen: Self::NEVER,
            lane: fenced.lane(),
            lasting,
            fenced,
        }
    }

    /// Whether it is live for sure, without a look at it.
    #[inline]
    pub(super) fn stands(&self, ends: &Ends) -> bool {
        self.seen == ends.count(self.lane)
    }

    /// Looks whether it is live.
    pub(super) fn look(&mut self, ends: &Ends) -> bool {
        let count = ends.count(self.lane);
        let live = self.fenced.is_live();
        self.seen = if live && self.lasting {
            count
        } else {
            Self::NEVER
        };
        live
    }

    /// What is held.
    pub(super) fn fenced(&self) -> &Fenced<T> {
        &self.fenced
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was derived from one key, by their numbers. From most keys one thing is or two, and
/// every session has some of those: each form is as small as it can be.
enum Dependents<T> {
    One(u64, Weak<Fenced<T>>),
    Few(Vec<(u64, Weak<Fenced<T>>)>),
    #[expect(
        clippy::box_collection,
        reason = "the rare form must not make the others larger"
    )]
    Many(Box<HashMap<u64, Weak<Fenced<T>>, KeyHasher>>),
}

/// The most that are looked through one by one.
const FEW: usize = 8;

type Part<T> = HashMap<u64, Dependents<T>, KeyHasher>;

/// What was derived from which key.
pub(super) struct Index<T> {
    parts: Vec<Mutex<Part<T>>>,
    hasher: KeyHasher,
    next: AtomicU64,
    ends: Arc<Ends>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: KeyHasher::default(),
            next: AtomicU64::new(0),
            ends: Arc::default(),
        }
    }
}

impl<T> Index<T> {
    /// The ends of all that was derived here, for [`Held`].
    pub(super) fn ends(&self) -> Arc<Ends> {
        Arc::clone(&self.ends)
    }

    /// What is to be derived.
    pub(super) fn begin(self: &Arc<Self>, content: T) -> Arc<Fenced<T>> {
        Arc::new(Fenced {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            live: AtomicBool::new(true),
            reads: Mutex::default(),
            watchers: Mutex::default(),
            index: Arc::downgrade(self),
            content,
        })
    }

    fn part(&self, key: u64) -> MutexGuard<'_, Part<T>> {
        lock(&self.parts[key as usize % PARTS])
    }

    /// Notes that `dependent` is about to read `key`.
    pub(super) fn note(&self, key: &str, dependent: &Arc<Fenced<T>>) {
        self.note_hash(self.hasher.hash_one(key), dependent);
    }

    /// Makes `dependent` depend on all that `other` was derived from. Only if `other` still
    /// is live *after* this may its content be used.
    pub(super) fn adopt(&self, other: &Fenced<T>, dependent: &Arc<Fenced<T>>) {
        let reads = lock(&other.reads).clone();
        for key in reads {
            self.note_hash(key, dependent);
        }
    }

    fn note_hash(&self, key: u64, dependent: &Arc<Fenced<T>>) {
        let mut reads = lock(&dependent.reads);
        if reads.contains(&key) {
            return;
        }
        reads.push(key);
        drop(reads);
        let (id, dependent) = (dependent.id, Arc::downgrade(dependent));
        match self.part(key).entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Dependents::One(id, dependent));
            }
            Entry::Occupied(mut entry) => entry.get_mut().add(id, dependent),
        }
    }

    fn remove(&self, key: u64, id: u64) {
        let mut part = self.part(key);
        if part.get_mut(&key).is_some_and(|it| it.remove(id)) {
            part.remove(&key);
        }
    }

    /// Ends all that was derived from `key`; adds to `touched` who watched.
    pub(super) fn changed(&self, key: &str, touched: &mut Vec<Watcher>) {
        let key = self.hasher.hash_one(key);
        let mut part = self.part(key);
        let ended = part.remove(&key).map(|it| it.end(&self.ends, touched));
        drop(part);
        drop(ended);
    }

    /// Ends everything.
    pub(super) fn lost(&self, touched: &mut Vec<Watcher>) {
        for part in &self.parts {
            let mut part = lock(part);
            let all = std::mem::take(&mut *part).into_values();
            let ended: Vec<_> = all.map(|it| it.end(&self.ends, touched)).collect();
            drop(part);
            drop(ended);
        }
    }

    /// How many keys something depends on.
    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

impl<T> Dependents<T> {
    fn add(&mut self, id: u64, dependent: Weak<Fenced<T>>) {
        match self {
            Self::One(first, one) => {
                let first = (*first, std::mem::take(one));
                *self = Self::Few(vec![first, (id, dependent)]);
            }
            Self::Few(few) if few.len() < FEW => few.push((id, dependent)),
            Self::Few(few) => {
                let mut many: HashMap<_, _, KeyHasher> = few.drain(..).collect();
                many.insert(id, dependent);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => {
                many.insert(id, dependent);
            }
        }
    }

    /// Takes one out. Says whether none is left.
    fn remove(&mut self, id: u64) -> bool {
        match self {
            Self::One(one, _) => *one == id,
            Self::Few(few) => {
                few.retain(|(other, _)| *other != id);
                few.is_empty()
            }
            Self::Many(many) => {
                many.remove(&id);
                many.is_empty()
            }
        }
    }

    /// Ends them, while their part is locked: who adopts what one of them was derived from
    /// notes that there first, and must not find it live once it is gone from the index.
    /// They are given back to be dropped when the part is free, for that may need it.
    fn end(self, ends: &Ends, touched: &mut Vec<Watcher>) -> Vec<Arc<Fenced<T>>> {
        let dependents: Vec<_> = match self {
            Self::One(_, one) => one.upgrade().into_iter().collect(),
            Self::Few(few) => few.iter().filter_map(|(_, one)| one.upgrade()).collect(),
            Self::Many(many) => many.values().filter_map(Weak::upgrade).collect(),
        };
        for dependent in &dependents {
            touched.append(&mut dependent.end());
            ends.add(dependent.lane());
        }
        dependents
    }
}
