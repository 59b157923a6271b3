//! Figures of the shared store, printed by
//! `cargo test --release -p sschat-tests --test contract redis::figures -- --ignored --nocapture`.

use super::{Ear, Server, hears, open, read};
use crate::store::{entry, set};
use futures::future::join_all;
use sschat_store::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5_000;

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 1_000];
    format!("p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999))
}

/// From just before another program writes until the listener knows.
async fn change_to_listener(server: &Server) {
    let mut changes = Ear::at(server.store());
    let mut other = server.redis.client();
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let start = Instant::now();
        other.run(&["SET", "changed", &round.to_string()]);
        hears(&mut changes, &["changed"]).await;
        times.push(start.elapsed());
    }
    println!(
        "a change by another program to the listener: {}",
        quantiles(times)
    );
    let writer = open(&server.redis);
    let space = writer.space();
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let start = Instant::now();
        set(&*space, "changed", round.to_string()).await;
        hears(&mut changes, &["changed"]).await;
        times.push(start.elapsed());
    }
    println!(
        "a change by another host to the listener: {}",
        quantiles(times)
    );
}

async fn rate<F, A>(what: &str, callers: usize, each: usize, act: A)
where
    F: Future<Output = ()> + Send + 'static,
    A: Fn(usize, usize) -> F + Clone + Send + 'static,
{
    let start = Instant::now();
    let tasks = (0..callers).map(|caller| {
        let act = act.clone();
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(each);
            for round in 0..each {
                let start = Instant::now();
                act(caller, round).await;
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
    let rate = (callers * each) as f64 / start.elapsed().as_secs_f64();
    println!(
        "{what}, {callers} callers: {rate:.0} a second; {}",
        quantiles(times)
    );
}

async fn rates(store: &Arc<dyn Store>) {
    for (callers, each) in [(1, 5_000), (16, 2_000), (256, 400)] {
        let reader = Arc::clone(store);
        rate("get", callers, each, move |caller, round| {
            let store = Arc::clone(&reader);
            async move {
                store
                    .get(&format!("{caller}/{}", round % 100))
                    .await
                    .unwrap();
            }
        })
        .await;
        let writer = Arc::clone(store);
        rate("set_many of one", callers, each, move |caller, round| {
            let store = Arc::clone(&writer);
            async move {
                let entries = vec![entry(&format!("{caller}/{}", round % 100), vec![7; 200])];
                store.set_many(entries).await.unwrap();
            }
        })
        .await;
        let counter = Arc::clone(store);
        rate("increment", callers, each, move |caller, _| {
            let store = Arc::clone(&counter);
            async move {
                store.increment(format!("{caller}/n"), 1).await.unwrap();
            }
        })
        .await;
    }
}

async fn decisions(store: &Arc<dyn Store>) {
    let keys = ["a", "b", "c", "d"];
    for key in keys {
        set(&**store, key, "1").await;
    }
    let start = Instant::now();
    for key in 0..ROUNDS {
        read(store, &[&format!("absent {key}")]).await.unwrap();
    }
    println!(
        "a decision's read, missing: {:?}",
        start.elapsed() / ROUNDS as u32
    );
    read(store, &["a"]).await.unwrap();
    let (reader, keys) = (Arc::clone(store), vec!["a".to_owned()]);
    let spent = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        for _ in 0..ROUNDS * 100 {
            reader.get_many_blocking(&keys).unwrap();
        }
        start.elapsed() / (ROUNDS * 100) as u32
    });
    println!("a decision's read, cached: {:?}", spent.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn figures() {
    let server = Server::start();
    change_to_listener(&server).await;
    let store = server.space();
    decisions(&store).await;
    rates(&store).await;
}
