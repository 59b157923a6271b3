//! What the durable history costs: `cargo run --release -p sschat-history --example engine_cost`.
//!
//! Publishing as fast as it goes and at a rate, the time from there to the disk, a
//! thousand clients that each missed a thousand publications, and opening again.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends with the first error"
)]

use futures::executor::block_on;
use hdrhistogram::Histogram;
use sschat_history::{
    CommitSink, DurableHistory, History, NewPublication, Options, Position, Recovery, Retention,
    RoomLog,
};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A payload as chat has them.
const PAYLOAD: [u8; 256] = [b'x'; 256];

/// The token is the nanosecond at which it was published.
struct Delays {
    begun: Instant,
    seen: Mutex<Histogram<u64>>,
    more: Condvar,
}

impl Delays {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            seen: Mutex::new(Histogram::new(3).unwrap()),
            more: Condvar::new(),
        })
    }

    fn wait(&self, count: u64) -> Histogram<u64> {
        let seen = self.seen.lock().unwrap();
        self.more
            .wait_while(seen, |seen| seen.len() < count)
            .unwrap()
            .clone()
    }
}

impl CommitSink for Delays {
    fn committed(&self, tokens: &[u64]) {
        let now = self.begun.elapsed().as_nanos() as u64;
        let mut seen = self.seen.lock().unwrap();
        for token in tokens {
            seen.record(now - token).unwrap();
        }
        self.more.notify_all();
    }

    fn abandoned(&self, tokens: &[u64]) {
        panic!("{} abandoned", tokens.len());
    }
}

fn rooms(history: &DurableHistory, count: usize, keep: u32) -> Vec<Arc<RoomLog>> {
    let retention = Retention {
        count: keep,
        ..Retention::default()
    };
    let open = |at| block_on(history.open("tenant", &format!("room_{at:032x}"), retention));
    (0..count).map(|at| open(at).unwrap()).collect()
}

fn publish(
    name: &str,
    history: &DurableHistory,
    delays: &Delays,
    rooms: &[Arc<RoomLog>],
    count: u64,
    rate: Option<u64>,
) {
    let mut calls = Histogram::<u64>::new(3).unwrap();
    let (mut random, mut refused) = (88_172_645_463_325_252_u64, 0u64);
    let begun = Instant::now();
    let payload = bytes::Bytes::from_static(&PAYLOAD);
    for at in 0..count {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if let Some(rate) = rate {
            let due = Duration::from_nanos(at * 1_000_000_000 / rate);
            while begun.elapsed() < due {
                std::thread::park_timeout(due.saturating_sub(begun.elapsed()));
            }
        }
        let room = &rooms[(random % rooms.len() as u64) as usize];
        loop {
            let new = NewPublication {
                payload: payload.clone(),
                ..NewPublication::default()
            };
            let called = Instant::now();
            let token = delays.begun.elapsed().as_nanos() as u64;
            if history.publish(room, new, token).is_ok() {
                calls.record(called.elapsed().as_nanos() as u64).unwrap();
                break;
            }
            refused += 1;
            std::thread::yield_now();
        }
    }
    let delays = delays.wait(count);
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{name}: {rate:.0}/s; publish() p50 {} ns, p99 {} ns; durable after p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms; {refused} refusals; memory {} MB, disk {} MB",
        calls.value_at_quantile(0.5),
        calls.value_at_quantile(0.99),
        delays.value_at_quantile(0.5) as f64 / 1e6,
        delays.value_at_quantile(0.99) as f64 / 1e6,
        delays.max() as f64 / 1e6,
        history.memory_bytes() >> 20,
        history.disk_bytes() >> 20,
    );
}

fn storm(name: &str, history: &DurableHistory, rooms: &[Arc<RoomLog>]) {
    let begun = Instant::now();
    let mut got = 0;
    for client in 0..1_000 {
        let room = &rooms[client % rooms.len()];
        let top = room.top();
        let since = Position {
            offset: top.offset - 1_000,
            ..top
        };
        match block_on(history.recover(room, since, 1_000)).unwrap() {
            Recovery::Recovered { publications, .. } => got += publications.len(),
            Recovery::Unrecoverable { reason, .. } => panic!("{reason:?}"),
        }
    }
    println!("{name}: {got} publications in {:?}", begun.elapsed());
}

fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    for (count, publications, rate) in [
        (1_000, 1_000_000, None),
        (100_000, 1_000_000, None),
        (1_000, 100_000, Some(10_000)),
        (100_000, 100_000, Some(10_000)),
    ] {
        let path = folder.path().join(format!("{count}-{}", rate.unwrap_or(0)));
        let delays = Delays::new();
        let history = DurableHistory::open(Options::new(&path), Arc::clone(&delays) as _).unwrap();
        let rooms = rooms(&history, count, 100);
        let name = format!("{count} channels, {rate:?} a second");
        publish(&name, &history, &delays, &rooms, publications, rate);
        drop(rooms);
        block_on(history.close()).unwrap();
        drop(history);
        let begun = Instant::now();
        let history = DurableHistory::open(Options::new(&path), Delays::new()).unwrap();
        println!("  opened again in {:?}", begun.elapsed());
        drop(history);
    }
    let path = folder.path().join("storm");
    let delays = Delays::new();
    let history = DurableHistory::open(Options::new(&path), Arc::clone(&delays) as _).unwrap();
    let logs = rooms(&history, 100, 2_000);
    publish(
        "100 channels, 2,000 kept",
        &history,
        &delays,
        &logs,
        200_000,
        None,
    );
    storm(
        "1,000 clients miss 1,000 each, from memory",
        &history,
        &logs,
    );
    drop(logs);
    block_on(history.close()).unwrap();
    drop(history);
    let history = DurableHistory::open(Options::new(&path), delays).unwrap();
    let begun = Instant::now();
    let logs = rooms(&history, 100, 2_000);
    println!(
        "100 channels of 2,000 read from the disk in {:?}",
        begun.elapsed()
    );
    storm("the same after that", &history, &logs);
}
