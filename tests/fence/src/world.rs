//! A store of a few keys, those who write it and those who derive from it.

use crate::fence::{Fenced, Held, Index, Watcher};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// The keys. The store has a version of each.
pub(crate) const KEYS: [&str; 2] = ["member", "policy"];

/// The versions that something was derived from; `None` of a key that it did not read.
pub(crate) type Derived = Fenced<Mutex<[Option<u64>; KEYS.len()]>>;

/// How an evaluation goes about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As the host does.
    Right,
    /// Reads a key and notes it then.
    ReadsFirst,
    /// Takes over what another has derived without a look whether that still is live.
    Trusting,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) index: Arc<Index<Mutex<[Option<u64>; KEYS.len()]>>>,
    stored: [AtomicU64; KEYS.len()],
    acknowledged: [AtomicU64; KEYS.len()],
    /// What is remembered, for all keys and for the last of them.
    memo: Mutex<[Option<Arc<Derived>>; 2]>,
    told: Mutex<Vec<Watcher>>,
}

impl World {
    /// Commits a write, tells of it and acknowledges it.
    pub(crate) fn write(&self, key: usize) {
        let version = self.stored[key].fetch_add(1, Ordering::SeqCst) + 1;
        let mut touched = Vec::new();
        self.index.changed(KEYS[key], &mut touched);
        self.tell(touched);
        self.acknowledged[key].store(version, Ordering::SeqCst);
    }

    /// A write that is not told of, but that something may have been missed.
    pub(crate) fn write_unseen(&self, key: usize) {
        let version = self.stored[key].fetch_add(1, Ordering::SeqCst) + 1;
        let mut touched = Vec::new();
        self.index.lost(&mut touched);
        self.tell(touched);
        self.acknowledged[key].store(version, Ordering::SeqCst);
    }

    fn tell(&self, touched: Vec<Watcher>) {
        self.told.lock().unwrap().extend(touched);
    }

    /// How often this watcher was named.
    pub(crate) fn told(&self, watcher: Watcher) -> usize {
        let told = self.told.lock().unwrap();
        told.iter().filter(|other| **other == watcher).count()
    }

    /// Derives something from the keys from `first` on.
    fn derive(&self, first: usize, manner: Manner) -> Arc<Derived> {
        let derived = self.index.begin(Mutex::new([None; KEYS.len()]));
        for key in first..KEYS.len() {
            self.read(&derived, key, manner);
        }
        derived
    }

    fn read(&self, derived: &Arc<Derived>, key: usize, manner: Manner) {
        let read = || self.stored[key].load(Ordering::SeqCst);
        let version = if manner == Manner::ReadsFirst {
            let version = read();
            self.index.note(KEYS[key], derived);
            version
        } else {
            self.index.note(KEYS[key], derived);
            read()
        };
        derived.content().lock().unwrap()[key] = Some(version);
    }

    /// Decides: what is remembered, or else what is derived now. What still is live when it
    /// is done is remembered.
    pub(crate) fn decide(&self, manner: Manner) -> Arc<Derived> {
        self.remembered(0)
            .unwrap_or_else(|| self.keep(0, self.derive(0, manner)))
    }

    /// As [`World::decide`], with the last key by what was derived from that alone.
    pub(crate) fn decide_in_two(&self, manner: Manner) -> Arc<Derived> {
        if let Some(remembered) = self.remembered(0) {
            return remembered;
        }
        let whole = self.index.begin(Mutex::new([None; KEYS.len()]));
        for key in 0..KEYS.len() - 1 {
            self.read(&whole, key, manner);
        }
        let part = self
            .remembered(1)
            .unwrap_or_else(|| self.keep(1, self.derive(KEYS.len() - 1, manner)));
        self.index.adopt(&part, &whole);
        if part.is_live() || manner == Manner::Trusting {
            let version = part.content().lock().unwrap()[KEYS.len() - 1];
            whole.content().lock().unwrap()[KEYS.len() - 1] = version;
            return self.keep(0, whole);
        }
        // The change wins: once more, and with nobody's help.
        self.keep(0, self.derive(0, manner))
    }

    pub(crate) fn remembered(&self, place: usize) -> Option<Arc<Derived>> {
        let memo = self.memo.lock().unwrap();
        memo[place].clone().filter(|derived| derived.is_live())
    }

    fn keep(&self, place: usize, derived: Arc<Derived>) -> Arc<Derived> {
        derived.complete();
        if derived.is_live() {
            let before = self.memo.lock().unwrap()[place].replace(Arc::clone(&derived));
            drop(before);
        }
        derived
    }

    /// Fails if what is live was derived from less than what is acknowledged.
    pub(crate) fn check(&self, derived: &Derived) {
        let acknowledged = self
            .acknowledged
            .each_ref()
            .map(|it| it.load(Ordering::SeqCst));
        if !derived.is_live() {
            return;
        }
        let versions = *derived.content().lock().unwrap();
        for (acknowledged, version) in acknowledged.into_iter().zip(versions) {
            assert!(
                version.is_none_or(|version| version >= acknowledged),
                "{version:?} is live after {acknowledged} was acknowledged"
            );
        }
    }

    /// Fails if what its holder takes for live was derived from less than what is acknowledged.
    pub(crate) fn check_held(&self, held: &mut Held<Mutex<[Option<u64>; KEYS.len()]>>) {
        let acknowledged = self
            .acknowledged
            .each_ref()
            .map(|it| it.load(Ordering::SeqCst));
        let ends = self.index.ends();
        if !held.stands(&ends) && !held.look(&ends) {
            return;
        }
        let versions = *held.fenced().content().lock().unwrap();
        for (acknowledged, version) in acknowledged.into_iter().zip(versions) {
            assert!(
                version.is_none_or(|version| version >= acknowledged),
                "{version:?} is held to be live after {acknowledged} was acknowledged"
            );
        }
    }

    /// Fails unless a watcher of this was named once if it has ended, else never.
    pub(crate) fn check_told(&self, derived: &Derived, watcher: Watcher) {
        // Live afterwards is live before: nothing comes to life again.
        let told = self.told(watcher);
        if derived.is_live() {
            assert_eq!(told, 0, "named although it is live");
        }
        assert!(told <= 1, "named {told} times");
    }

    /// Forgets what is remembered.
    pub(crate) fn forget(&self) {
        let memo = std::mem::take(&mut *self.memo.lock().unwrap());
        drop(memo);
    }
}
