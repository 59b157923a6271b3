//! Verdicts, kept exactly as long as nothing they read has changed.
//!
//! A [`Verdict`] is fenced: [`super::fence`] has what ends it. Whoever holds one asks it
//! whether it still holds; the publish path therefore touches no shared map. [`Memo`]
//! remembers verdicts by question.

use super::answer::Answer;
use super::fence::{self, Fenced, Held};
use crate::clock::unix_now;
use crate::wasm::authority::Question;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use super::fence::{Ends, Watcher};

/// What a remembered verdict weighs beside its strings: itself, its keys in the index, the cache's entry.
const VERDICT_WEIGHT: u64 = 640;

/// An answer of the authority, and whether it still holds.
pub type Verdict = Fenced<Finding>;

/// Which verdicts read which key.
pub(super) type Index = fence::Index<Finding>;

/// What an evaluation found.
pub struct Finding {
    answer: OnceLock<Answer>,
    /// Seconds since the epoch from which on it holds no more; `u64::MAX` for never.
    expires: AtomicU64,
    /// What the evaluation saw beside stored keys.
    saw: Saw,
}

impl Default for Finding {
    fn default() -> Self {
        Self {
            answer: OnceLock::new(),
            expires: AtomicU64::new(u64::MAX),
            saw: Saw::default(),
        }
    }
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
        if !self.is_live() {
            return false;
        }
        let expires = self.content().expires.load(Ordering::Relaxed);
        expires == u64::MAX || unix_now() < expires
    }

    /// Whether the authority said yes and that still holds.
    #[inline]
    pub fn allows(&self) -> bool {
        matches!(self.answer(), Some(Answer::Yes)) && self.holds()
    }

    /// The answer; `None` while it is computed.
    #[inline]
    pub fn answer(&self) -> Option<&Answer> {
        self.content().answer.get()
    }

    /// Notes the answer. `expires`: see [`Verdict::holds`].
    pub(super) fn fill(&self, answer: Answer, expires: Option<u64>) {
        let found = self.content();
        found
            .expires
            .store(expires.unwrap_or(u64::MAX), Ordering::Relaxed);
        // Filled once, by the evaluation that made it.
        let _ = found.answer.set(answer);
        self.complete();
    }

    /// Notes that the evaluation was told the time.
    pub(super) fn saw_time(&self) {
        self.content().saw.time.store(true, Ordering::Relaxed);
    }

    /// Notes that the evaluation looked at the payload.
    pub(super) fn saw_payload(&self) {
        self.content().saw.payload.store(true, Ordering::Relaxed);
    }

    /// Notes that the evaluation looked at the connection.
    pub(super) fn saw_connection(&self) {
        self.content().saw.connection.store(true, Ordering::Relaxed);
    }

    /// What the evaluation saw beside stored keys: time, payload, connection.
    pub(super) fn saw(&self) -> [bool; 3] {
        let Saw {
            time,
            payload,
            connection,
        } = &self.content().saw;
        [time, payload, connection].map(|seen| seen.load(Ordering::Relaxed))
    }

    /// From which second on it holds no more, where it says so.
    pub(super) fn expires(&self) -> Option<u64> {
        let expires = self.content().expires.load(Ordering::Relaxed);
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
}

/// The leave to do something, in the hands of the session that has it: a verdict that said
/// yes. The publish path asks nothing else.
pub struct Leave(Held<Finding>);

impl Leave {
    /// The leave that `verdict` gives: none if it says anything but yes, or may not be used again.
    pub fn by(verdict: &Arc<Verdict>) -> Option<Self> {
        let yes = matches!(verdict.answer(), Some(Answer::Yes)) && verdict.keeps();
        yes.then(|| Self(Held::new(Arc::clone(verdict), verdict.expires().is_none())))
    }

    /// What `verdict` says, whatever it is, while it holds: `None` where it may not be used again.
    pub fn of(verdict: &Arc<Verdict>) -> Option<Self> {
        let lasting = verdict.expires().is_none();
        let held = || Self(Held::new(Arc::clone(verdict), lasting));
        verdict.is_shared().then(held)
    }

    /// Whether it still is given. `ends` are those of [`super::Policy::ends`].
    #[inline]
    pub fn holds(&mut self, ends: &Ends) -> bool {
        self.0.stands(ends) || (self.0.look(ends) && self.0.fenced().holds())
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Question, Arc<Verdict>> for ByBytes {
    fn weight(&self, question: &Question, verdict: &Arc<Verdict>) -> u64 {
        let answer = verdict.answer().map_or(0, Answer::weight);
        let question = match question {
            Question::LogIn(credential) => credential.token.as_ref().map_or(0, String::len),
            // A client chooses how long it is, also where it is worth nothing.
            Question::MayJoin(_, _, Some(pass)) => pass.token.len(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_what_was_derived_from_it_and_names_who_watched() {
        let index = Arc::<Index>::default();
        let verdicts = [["a", "b"], ["b", "c"]].map(|keys| {
            let verdict = index.begin(Finding::default());
            keys.iter().for_each(|key| index.note(key, &verdict));
            verdict.fill(Answer::Yes, None);
            verdict
        });
        assert!(verdicts[0].watch(1) && verdicts[1].watch(2) && verdicts[1].watch(3));
        verdicts[1].unwatch(2);
        let mut touched = Vec::new();
        index.changed("a", &mut touched);
        assert_eq!(touched, [1]);
        assert!(!verdicts[0].allows() && verdicts[1].allows());
        assert!(!verdicts[0].watch(4), "too late");
        index.lost(&mut touched);
        assert_eq!(touched, [1, 3]);
        assert!(!verdicts[1].holds());
    }

    #[test]
    fn what_is_dropped_leaves_the_index() {
        let index = Arc::<Index>::default();
        let [one, other] = [(); 2].map(|()| index.begin(Finding::default()));
        index.note("a", &one);
        index.note("b", &one);
        index.adopt(&one, &other);
        assert_eq!(index.keys(), 2);
        drop(one);
        assert_eq!(index.keys(), 2);
        drop(other);
        assert_eq!(index.keys(), 0);
    }
}
