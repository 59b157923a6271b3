//! What every store owes its callers, whatever keeps the bytes.
//!
//! An implementation joins by implementing [`Backend`] and naming its constructor in
//! one [`store_contract!`].

pub(crate) mod changes;
pub(crate) mod concurrency;
pub(crate) mod counters;
pub(crate) mod limits;
pub(crate) mod listing;
pub(crate) mod model;
pub(crate) mod values;

use bytes::Bytes;
use futures::FutureExt as _;
use sschat_store::{Barrier, Change, ChangeListener, Store, StoreError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A store under test, empty at first.
pub(crate) trait Backend: Send {
    /// The key space named `label`.
    fn space(&self, label: &str) -> Arc<dyn Store>;
    /// Registers a listener for the key space `label`.
    fn listen(&self, label: &str, listener: Arc<dyn ChangeListener>);
    /// Ends the host's use of the store in order and takes it up again, with nothing
    /// cached. Spaces and listeners from before are void.
    fn restart(&mut self);
}

/// Makes one test of every rule of the contract for the [`Backend`] that `$open` makes.
macro_rules! store_contract {
    ($open:path) => {
        store_contract! { $open,
            values: [
                reads_what_was_written, reads_the_same_on_the_spot, keeps_values_over_a_restart,
                deletes_what_is_there,
                the_later_of_two_entries_wins, batches_answer_in_order, empty_batches_do_nothing,
                labels_do_not_mix, odd_keys_and_values_are_kept_apart, blocking_reads_agree,
            ],
            counters: [
                counts_from_nothing, counts_on_decimal_text, refuses_what_is_no_counter,
                refuses_to_overflow, numbers_that_look_like_text_count_on,
                counts_every_increment_under_contention, swaps_only_what_is_expected,
                tells_empty_from_absent_in_a_swap, one_swap_wins_each_round,
                one_swap_from_none_wins,
            ],
            concurrency: [
                batches_are_seen_whole, reads_never_go_back, deletions_are_seen_whole,
                refused_operations_fail_alone,
            ],
            listing: [
                lists_in_byte_order, pages_join_without_gap_or_double, lists_what_stays_while_others_write,
            ],
            limits: [
                takes_the_largest_and_refuses_larger, a_refused_batch_writes_nothing,
                refuses_to_read_too_much_at_once,
            ],
            changes: [
                tells_before_acknowledging, names_all_keys_of_a_batch_once, tells_of_every_kind_of_write,
                keeps_the_order_of_each_writer, tells_only_its_own_label, refused_writes_change_nothing,
                waits_for_the_barrier, waits_for_every_listener, a_dropped_write_is_told_all_the_same,
            ],
            model: [behaves_as_a_map],
        }
    };
    ($open:path, $($suite:ident: [$($rule:ident),+ $(,)?]),+ $(,)?) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                crate::store::$suite::$rule(&mut $open()).await;
            }
        )+)+
    };
}
pub(crate) use store_contract;

/// Tasks that do the same again and again beside the test.
pub(crate) struct Meanwhile {
    done: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Meanwhile {
    /// Starts `tasks` tasks; each has acted once when this returns.
    pub(crate) async fn start<F>(
        tasks: usize,
        act: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let done = Arc::new(AtomicBool::new(false));
        let rounds = Arc::new(AtomicUsize::new(0));
        let (acted, mut has_acted) = mpsc::channel(tasks);
        let spawned = (0..tasks).map(|_| {
            let (done, rounds) = (Arc::clone(&done), Arc::clone(&rounds));
            let (act, acted) = (act.clone(), acted.clone());
            tokio::spawn(async move {
                act().await;
                acted.send(()).await.unwrap();
                while !done.load(Ordering::SeqCst) {
                    act().await;
                    rounds.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            })
        });
        let spawned = spawned.collect();
        drop(acted);
        for _ in 0..tasks {
            has_acted.recv().await.expect("no task has failed");
        }
        Self {
            done,
            rounds,
            tasks: spawned,
        }
    }

    /// How often the tasks have acted since they were started; fails if one of them has.
    pub(crate) fn rounds(&self) -> usize {
        assert!(
            !self.tasks.iter().any(JoinHandle::is_finished),
            "a task has failed"
        );
        self.rounds.load(Ordering::SeqCst)
    }

    /// Lets the tasks finish; fails if one of them has.
    pub(crate) async fn stop(self) {
        self.done.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Writes one key.
pub(crate) async fn set(store: &dyn Store, key: &str, value: impl Into<Vec<u8>>) {
    store
        .set_many(vec![entry(key, value)])
        .await
        .expect("the write is accepted");
}

/// Reads one key.
pub(crate) async fn get(store: &dyn Store, key: &str) -> Option<Bytes> {
    store.get(key).await.expect("the key can be read")
}

/// One entry of a batch.
pub(crate) fn entry(key: &str, value: impl Into<Vec<u8>>) -> (String, Bytes) {
    (key.to_owned(), Bytes::from(value.into()))
}

/// Owned copies of `keys`.
pub(crate) fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

pub(crate) fn is_too_large<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::TooLarge(_)))
}

pub(crate) fn is_no_counter<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotACounter(_)))
}

/// A listener that writes down what it is told.
#[derive(Default)]
pub(crate) struct Recorder {
    changes: Mutex<Vec<Change>>,
}

impl Recorder {
    /// A recorder that listens to `label`.
    pub(crate) fn of(backend: &dyn Backend, label: &str) -> Arc<Self> {
        let recorder = Arc::new(Self::default());
        backend.listen(label, recorder.clone());
        recorder
    }

    /// The keys of each change so far, sorted within a change, and forgets them.
    pub(crate) fn take(&self) -> Vec<Vec<String>> {
        let changes = std::mem::take(&mut *self.changes.lock().unwrap());
        changes.iter().map(keys_of).collect()
    }
}

impl ChangeListener for Recorder {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        self.changes.lock().unwrap().push(change.clone());
        None
    }
}

/// The keys that a change names, sorted.
pub(crate) fn keys_of(change: &Change) -> Vec<String> {
    match change {
        Change::Keys(keys) => {
            let mut keys = keys.to_vec();
            keys.sort();
            keys
        }
        Change::Lost => panic!("nothing was lost"),
    }
}

/// A listener that hands each change to the test, which says when its barrier passes.
pub(crate) struct Gate {
    told: mpsc::UnboundedSender<Held>,
}

/// A change whose barrier passes when this is dropped.
pub(crate) struct Held {
    pub(crate) change: Change,
    _open: futures::channel::oneshot::Sender<()>,
}

impl Gate {
    /// A gate before `label`, and what it holds.
    pub(crate) fn before(backend: &dyn Backend, label: &str) -> mpsc::UnboundedReceiver<Held> {
        let (told, held) = mpsc::unbounded_channel();
        backend.listen(label, Arc::new(Self { told }));
        held
    }
}

impl ChangeListener for Gate {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        let (open, opened) = futures::channel::oneshot::channel();
        // Once the test is over nobody holds anything back.
        let _ = self.told.send(Held {
            change: change.clone(),
            _open: open,
        });
        Some(opened.map(drop).boxed().shared())
    }
}
