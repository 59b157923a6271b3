//! Figures of the embedded store, printed by
//! `cargo test --release -p sschat-tests --test contract figures -- --ignored --nocapture`.

use super::Sqlite;
use crate::store::{Backend as _, entry, get, set};
use futures::future::join_all;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEYS: usize = 10_000;

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn reads(sqlite: &mut Sqlite) {
    let keys: Vec<String> = (0..KEYS)
        .map(|number| format!("app_0123456789abcdef/user/{number:032}"))
        .collect();
    for some in keys.chunks(1_000) {
        let batch = some.iter().map(|key| entry(key, vec![7; 200]));
        sqlite.default().set_many(batch.collect()).await.unwrap();
    }
    sqlite.restart();
    let store = sqlite.default();
    get(&*store, "to open the first page").await;
    for what in ["miss", "hit", "hit"] {
        let start = Instant::now();
        for key in &keys {
            black_box(store.get(black_box(key)).await.unwrap());
        }
        println!(
            "get, {what}: {} ns",
            start.elapsed().as_nanos() as usize / KEYS
        );
    }
    let start = Instant::now();
    for _ in 0..KEYS {
        black_box(store.get(black_box(&keys[0])).await.unwrap());
    }
    println!(
        "get, one key again and again: {} ns",
        start.elapsed().as_nanos() as usize / KEYS
    );
    let start = Instant::now();
    for some in keys.chunks(16) {
        black_box(store.get_many(some).await.unwrap());
    }
    println!(
        "get_many of 16, hits: {} ns a key",
        start.elapsed().as_nanos() as usize / KEYS
    );
    sqlite.restart();
    let store = sqlite.default();
    let start = Instant::now();
    for some in keys.chunks(16) {
        black_box(store.get_many(some).await.unwrap());
    }
    println!(
        "get_many of 16, misses: {} ns a key",
        start.elapsed().as_nanos() as usize / KEYS
    );
    let start = Instant::now();
    let listed = store.keys(None, KEYS).await.unwrap().len();
    println!(
        "keys: {} ns a key",
        start.elapsed().as_nanos() as usize / listed
    );
}

async fn writes(sqlite: &Sqlite, writers: usize, each: usize) {
    let store = sqlite.default();
    let before = sqlite.stores().commits();
    let start = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(each);
            for round in 0..each {
                let key = format!("writer {writer} key {}", round % 100);
                // A new value each time: SQLite does not write what is there already.
                let value = format!("{round:0200}");
                let start = Instant::now();
                set(&*store, &key, value).await;
                times.push(start.elapsed());
            }
            times
        })
    });
    let times: Vec<Duration> = join_all(tasks)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let (elapsed, commits) = (start.elapsed(), sqlite.stores().commits() - before);
    let (p50, p99) = median(times);
    println!(
        "set_many, {writers} writers: p50 {p50:?}, p99 {p99:?}, {:.0} a second; {} writes in {commits} commits",
        (writers * each) as f64 / elapsed.as_secs_f64(),
        writers * each,
    );
}

fn flushes(sqlite: &Sqlite) {
    let mut file = File::create(sqlite.path().with_extension("flush")).unwrap();
    let times = (0..500).map(|_| {
        let start = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        start.elapsed()
    });
    let (p50, p99) = median(times.collect());
    println!("the disk alone, 4 KiB and fdatasync: p50 {p50:?}, p99 {p99:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn figures() {
    let mut sqlite = Sqlite::open();
    reads(&mut sqlite).await;
    flushes(&sqlite);
    for (writers, each) in [(1, 1_000), (8, 500), (64, 200)] {
        writes(&sqlite, writers, each).await;
    }
}
