//! The one writer and its queue.

use super::Sqlite;
use crate::store::{Backend as _, entry, get};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt as _, poll};
use sschat_store::{Barrier, Change, ChangeListener, StoreError, VALUE_LIMIT};
use std::sync::{Arc, Mutex, mpsc};

/// Stops the writer at the first change, as no listener should, until the test lets
/// it go on: what is written meanwhile gathers in the queue.
struct Stopper {
    stopped: mpsc::Sender<()>,
    resume: Mutex<mpsc::Receiver<()>>,
}

impl ChangeListener for Stopper {
    fn changed(&self, _: &Change) -> Option<Barrier> {
        // Both fail once the test no longer cares.
        let _ = self.stopped.send(());
        let _ = self.resume.lock().unwrap().recv();
        None
    }
}

/// Stops the writer of `sqlite`; it goes on when the returned sender is dropped.
async fn stop_writer(sqlite: &Sqlite) -> mpsc::Sender<()> {
    let (stopped, is_stopped) = mpsc::channel();
    let (resume, resumed) = mpsc::channel();
    sqlite.listen(
        "stopper",
        Arc::new(Stopper {
            stopped,
            resume: Mutex::new(resumed),
        }),
    );
    let store = sqlite.space("stopper");
    tokio::spawn(async move { store.set_many(vec![entry("stop", "1")]).await });
    tokio::task::block_in_place(|| is_stopped.recv().unwrap());
    resume
}

/// Polls each future once.
async fn start<T>(futures: &mut [BoxFuture<'_, T>]) -> usize {
    let mut pending = 0;
    for future in futures {
        pending += usize::from(poll!(future).is_pending());
    }
    pending
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_share_one_flush() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    let resume = stop_writer(&sqlite).await;
    let before = sqlite.stores().commits();
    let mut writes: Vec<_> = (0..64)
        .map(|_| store.increment("n".to_owned(), 1))
        .collect();
    assert_eq!(start(&mut writes).await, 64);
    drop(resume);
    let sums: Vec<i64> = join_all(writes)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        sums,
        (1..=64).collect::<Vec<_>>(),
        "in the order of the queue"
    );
    assert_eq!(sqlite.stores().commits() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_a_group_spares_the_others() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    store.set_many(vec![entry("text", "x")]).await.unwrap();
    let resume = stop_writer(&sqlite).await;
    let before = sqlite.stores().commits();
    let mut writes: Vec<BoxFuture<'_, Result<(), StoreError>>> = vec![
        store.set_many(vec![entry("a", "1")]),
        store
            .increment("text".to_owned(), 1)
            .map(|sum| sum.map(drop))
            .boxed(),
        store.set_many(vec![entry("text", "41")]),
        store
            .increment("text".to_owned(), 1)
            .map(|sum| sum.map(drop))
            .boxed(),
        store.delete_many(vec!["a".to_owned()]),
    ];
    start(&mut writes).await;
    drop(resume);
    let answers = join_all(writes).await;
    assert!(matches!(answers[1], Err(StoreError::NotACounter(_))));
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        4,
        "{answers:?}"
    );
    assert_eq!(sqlite.stores().commits() - before, 1);
    assert_eq!(
        store.increment("text".to_owned(), 0).await.unwrap(),
        42,
        "each saw what came before it"
    );
    assert_eq!(get(&*store, "a").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_writers_wait() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    let resume = stop_writer(&sqlite).await;
    let large = |key: usize| store.set_many(vec![entry(&key.to_string(), vec![7; VALUE_LIMIT])]);
    let mut writes: Vec<_> = (0..12).map(large).collect();
    assert_eq!(start(&mut writes).await, 12);
    // The last ones wait for room, for the queue holds no 48 MiB. Dropped, they were
    // never queued; those that wait behind them are not harmed.
    writes.truncate(10);
    drop(writes.remove(9));
    let mut late: Vec<_> = vec![store.set_many(vec![entry("late", "1")])];
    assert_eq!(start(&mut late).await, 1);
    drop(resume);
    for answer in join_all(writes)
        .await
        .into_iter()
        .chain(join_all(late).await)
    {
        answer.unwrap();
    }
    let keys = store.keys(None, 100).await.unwrap();
    assert_eq!(keys, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_write_whose_future_is_dropped_takes_effect_whole() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    let resume = stop_writer(&sqlite).await;
    let mut writes = vec![store.set_many(vec![entry("a", "1"), entry("b", "1")])];
    start(&mut writes).await;
    drop(writes);
    drop(resume);
    store.set_many(vec![entry("c", "1")]).await.unwrap();
    assert_eq!(store.keys(None, 9).await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_the_writer_is_busy() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    store.set_many(vec![entry("a", "1")]).await.unwrap();
    let resume = stop_writer(&sqlite).await;
    let mut writes = vec![store.set_many(vec![entry("a", "2")])];
    start(&mut writes).await;
    assert_eq!(get(&*store, "a").await.unwrap(), "1");
    assert_eq!(store.keys(None, 9).await.unwrap(), ["a"]);
    drop(resume);
    join_all(writes).await;
    assert_eq!(get(&*store, "a").await.unwrap(), "2");
}
