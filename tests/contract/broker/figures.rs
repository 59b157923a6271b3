//! Figures of the broker on Redis, printed by
//! `cargo test --release -p sschat-tests --test contract broker::figures -- --ignored --nocapture`.

use super::on;
use sschat::broker::{Broker, Origin, Said};
use sschat_tests::Redis;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Publishes at `rate` for two seconds on one host; how long each takes to the other's shard.
async fn at_rate(rate: u32, rooms: usize) {
    let redis = Redis::start();
    let (a, b) = (on(&redis), on(&redis));
    let names: Vec<String> = (0..rooms).map(|room| format!("room {room}")).collect();
    let mut heard = Vec::new();
    for name in &names {
        heard.push(b.enter(name).await);
    }
    let speaking: Vec<_> = names.iter().map(|name| a.channels.get("t", name)).collect();
    let start = Instant::now();
    let count = rate * 2;
    let publisher = async {
        let (mut said, mut tick) = (0, tokio::time::interval(Duration::from_millis(1)));
        while said < count {
            tick.tick().await;
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u32;
            while said < due.min(count) {
                let now = start.elapsed().as_nanos().to_string();
                let said_now = Said {
                    message: &now,
                    from: &Arc::from("u"),
                    by: None,
                    tags: None,
                    key: None,
                    passing: false,
                };
                let channel = &speaking[said as usize % speaking.len()];
                a.broker
                    .publish(channel, &said_now, Origin::Outside, None)
                    .unwrap();
                said += 1;
            }
        }
    };
    let listener = async {
        let mut times = Vec::new();
        for _ in 0..count {
            let (sent, _) = b.hears().await;
            times.push(start.elapsed() - Duration::from_nanos(sent.parse().unwrap()));
        }
        times
    };
    let ((), mut times) = tokio::join!(publisher, listener);
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 1_000];
    let figures = a.broker.figures();
    let publications = figures.publications.load(Ordering::Relaxed) as f64;
    println!(
        "{rate} a second in {rooms} rooms: p50 {:?}, p99 {:?}, most {:?}; {:.1} publications a call",
        at(500),
        at(990),
        at(1_000),
        publications / figures.calls.load(Ordering::Relaxed) as f64
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn figures() {
    for (rate, rooms) in [(1_000, 1), (1_000, 100), (10_000, 1), (10_000, 100)] {
        at_rate(rate, rooms).await;
    }
}
