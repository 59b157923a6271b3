//! Verdicts, kept exactly as long as nothing they read has changed.
//!
//! A [`Verdict`] enters the [`Index`] under each key *before* that key is read, so a
//! change that lands while it is computed finds and ends it: the change wins without a
//! version in any record. Whoever holds a verdict asks it whether it still lives; the
//! publish path therefore touches no shared map.
//!
//! The index knows keys by a hash of 64 bits. Two keys with one hash end each other's
//! verdicts, which costs a new evaluation and can't keep a stale one.

use super::answer::Answer;
use crate::clock::unix_now;
use crate::wasm::authority::Question;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Parts of the index, so that evaluations seldom wait for each other.
const PARTS: usize = 64;

/// What a remembered verdict weighs beside its strings: itself, its keys in the index, the cache's entry.
const VERDICT_WEIGHT: u64 = 640;

/// Who wants to be told when a verdict ends: the number of a standing grant.
pub type Watcher = u64;

/// An answer of the authority, and whether it still holds.
pub struct Verdict {
    id: u64,
    live: AtomicBool,
    answer: OnceLock<Answer>,
    /// Seconds since the epoch from which on it holds no more; `u64::MAX` for never.
    expires: AtomicU64,
    /// What the evaluation saw beside stored keys.
    saw: Saw,
    reads: Mutex<Vec<u64>>,
    watchers: Mutex<Vec<Watcher>>,
    index: Weak<Index>,
}

/// What an evaluation saw beside stored keys.
#[derive(Debug, Default)]
struct Saw {
    time: AtomicBool,
    payload: AtomicBool,
    connection: AtomicBool,
}

impl Verdict {
    /// Whether nothing it read has changed and its time is not over.
    #[inline]
    pub fn holds(&self) -> bool {
        if !self.live.load(Ordering::Acquire) {
            return false;
        }
        let expires = self.expires.load(Ordering::Relaxed);
        expires == u64::MAX || unix_now() < expires
    }

    /// Whether the authority said yes and that still holds.
    #[inline]
    pub fn allows(&self) -> bool {
        matches!(self.answer.get(), Some(Answer::Yes)) && self.holds()
    }

    /// The answer; `None` while it is computed.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.get()
    }

    /// Asks to be named when the verdict ends. Says `false` where it has ended already.
    pub fn watch(&self, watcher: Watcher) -> bool {
        let mut watchers = lock(&self.watchers);
        if !self.live.load(Ordering::Acquire) {
            return false;
        }
        watchers.push(watcher);
        true
    }

    /// Takes a watcher back.
    pub fn unwatch(&self, watcher: Watcher) {
        let mut watchers = lock(&self.watchers);
        if let Some(at) = watchers.iter().position(|other| *other == watcher) {
            watchers.swap_remove(at);
        }
    }

    /// Notes the answer. `expires`: see [`Verdict::holds`].
    pub(super) fn fill(&self, answer: Answer, expires: Option<u64>) {
        self.expires
            .store(expires.unwrap_or(u64::MAX), Ordering::Relaxed);
        // Filled once, by the evaluation that made it.
        let _ = self.answer.set(answer);
    }

    /// Notes that the evaluation was told the time.
    pub(super) fn saw_time(&self) {
        self.saw.time.store(true, Ordering::Relaxed);
    }

    /// Notes that the evaluation looked at the payload.
    pub(super) fn saw_payload(&self) {
        self.saw.payload.store(true, Ordering::Relaxed);
    }

    /// Notes that the evaluation looked at the connection.
    pub(super) fn saw_connection(&self) {
        self.saw.connection.store(true, Ordering::Relaxed);
    }

    /// What the evaluation saw beside stored keys: time, payload, connection.
    pub(super) fn saw(&self) -> [bool; 3] {
        let Saw {
            time,
            payload,
            connection,
        } = &self.saw;
        [time, payload, connection].map(|seen| seen.load(Ordering::Relaxed))
    }

    /// From which second on it holds no more, where it says so.
    pub(super) fn expires(&self) -> Option<u64> {
        let expires = self.expires.load(Ordering::Relaxed);
        (expires != u64::MAX).then_some(expires)
    }

    /// Whether its session may use it again: what read the clock holds until its own
    /// answer says, without such a word for its moment only; what looked at the payload
    /// is about that message alone.
    pub fn keeps(&self) -> bool {
        let [time, payload, _] = self.saw();
        !payload && (!time || self.expires().is_some())
    }

    /// Whether everybody who asks the same may use it: it says nothing of a connection.
    pub(super) fn is_shared(&self) -> bool {
        self.keeps() && !self.saw()[2]
    }

    /// Ends it and gives back who watched.
    fn end(&self) -> Vec<Watcher> {
        let mut watchers = lock(&self.watchers);
        self.live.store(false, Ordering::Release);
        std::mem::take(&mut *watchers)
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if let Some(index) = self.index.upgrade() {
            for key in lock(&self.reads).drain(..) {
                index.remove(key, self.id);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The verdicts that read one key; most keys are read by one.
enum Dependents {
    One(u64, Weak<Verdict>),
    Many(HashMap<u64, Weak<Verdict>>),
}

/// Which verdicts read which key.
pub struct Index {
    parts: Vec<Mutex<HashMap<u64, Dependents>>>,
    hasher: RandomState,
    next: AtomicU64,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next: AtomicU64::new(0),
        }
    }
}

impl Index {
    /// A verdict that is to be filled.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<Verdict> {
        Arc::new(Verdict {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            live: AtomicBool::new(true),
            answer: OnceLock::new(),
            expires: AtomicU64::new(u64::MAX),
            saw: Saw::default(),
            reads: Mutex::default(),
            watchers: Mutex::default(),
            index: Arc::downgrade(self),
        })
    }

    fn part(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Dependents>> {
        lock(&self.parts[key as usize % PARTS])
    }

    /// Notes that `verdict` is about to read `key`.
    pub(super) fn note(&self, key: &str, verdict: &Arc<Verdict>) {
        self.note_hash(self.hasher.hash_one(key), verdict);
    }

    /// Makes `verdict` depend on all that `other` read, and says whether `other` still
    /// holds after that: only then may its answer be used.
    pub(super) fn adopt(&self, other: &Verdict, verdict: &Arc<Verdict>) -> bool {
        let reads = lock(&other.reads).clone();
        for key in reads {
            self.note_hash(key, verdict);
        }
        other.holds()
    }

    fn note_hash(&self, key: u64, verdict: &Arc<Verdict>) {
        let mut reads = lock(&verdict.reads);
        if reads.contains(&key) {
            return;
        }
        reads.push(key);
        drop(reads);
        let dependent = Arc::downgrade(verdict);
        match self.part(key).entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Dependents::One(verdict.id, dependent));
            }
            Entry::Occupied(mut entry) => {
                let dependents = entry.get_mut();
                if let Dependents::One(id, first) = dependents {
                    *dependents = Dependents::Many(HashMap::from([(*id, std::mem::take(first))]));
                }
                if let Dependents::Many(many) = dependents {
                    many.insert(verdict.id, dependent);
                }
            }
        }
    }

    fn remove(&self, key: u64, id: u64) {
        let mut part = self.part(key);
        let empty = match part.get_mut(&key) {
            Some(Dependents::One(one, _)) => *one == id,
            Some(Dependents::Many(many)) => {
                many.remove(&id);
                many.is_empty()
            }
            None => false,
        };
        if empty {
            part.remove(&key);
        }
    }

    /// Ends every verdict that read `key`; adds to `touched` who watched them.
    pub(super) fn changed(&self, key: &str, touched: &mut Vec<Watcher>) {
        let key = self.hasher.hash_one(key);
        let dependents = self.part(key).remove(&key);
        if let Some(dependents) = dependents {
            dependents.end(touched);
        }
    }

    /// Ends every verdict.
    pub(super) fn lost(&self, touched: &mut Vec<Watcher>) {
        for part in &self.parts {
            let all = std::mem::take(&mut *lock(part));
            for dependents in all.into_values() {
                dependents.end(touched);
            }
        }
    }
}

impl Dependents {
    fn end(self, touched: &mut Vec<Watcher>) {
        let end = |dependent: Weak<Verdict>, touched: &mut Vec<Watcher>| {
            if let Some(verdict) = dependent.upgrade() {
                touched.append(&mut verdict.end());
            }
        };
        match self {
            Self::One(_, one) => end(one, touched),
            Self::Many(many) => many.into_values().for_each(|one| end(one, touched)),
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Question, Arc<Verdict>> for ByBytes {
    fn weight(&self, question: &Question, verdict: &Arc<Verdict>) -> u64 {
        let answer = verdict.answer().map_or(0, Answer::weight);
        let question = match question {
            Question::LogIn(credential) => credential.token.as_ref().map_or(0, String::len),
            _ => 0,
        };
        VERDICT_WEIGHT + answer as u64 + question as u64
    }
}

/// Remembered verdicts by question.
pub struct Memo {
    cache: Cache<Question, Arc<Verdict>, ByBytes>,
}

impl Memo {
    /// Keeps about `bytes`.
    pub fn new(bytes: u64) -> Self {
        let expected = (bytes / VERDICT_WEIGHT) as usize;
        Self {
            cache: Cache::with_weighter(expected, bytes, ByBytes),
        }
    }

    /// The verdict for `question`, where one is remembered that still holds.
    #[inline]
    pub fn recall(&self, question: &Question) -> Option<Arc<Verdict>> {
        self.cache.get(question).filter(|verdict| verdict.holds())
    }

    /// Remembers a filled verdict.
    pub(super) fn keep(&self, question: Question, verdict: Arc<Verdict>) {
        self.cache.insert(question, verdict);
    }
}
