//! Three hosts on one Redis and members spread over them, while hosts are killed, stopped and cut off from Redis in
//! either direction, and Redis itself is killed: everybody hears everything once and in order, and after each fault
//! exactly those who are connected are present, on every host, within the time that anything may take.
//!
//! `SSCHAT_CHAOS_SESSIONS` says how many sessions there are, `SSCHAT_CHAOS_ROUNDS` how often the faults are repeated.

mod hosts;
mod members;

use super::restarts::kept;
use super::trace::{Trace, consistent};
use futures::StreamExt;
use hosts::{Fault, Hosts};
use members::{Room, World};
use serde_json::{Value, json};
use sschat_tests::{App, Rest, within};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{interval, timeout};

/// Sessions, where nothing else is asked for: what leaves something of two cores to other tests. `tests/run` asks for
/// 3,000 once nothing else runs.
const SESSIONS: usize = 300;

/// The sessions of a room.
const ROOM: usize = 30;

/// The sessions of a user.
const USER: usize = 3;

/// Within this time everything is as it was before a fault.
const HEALED: Duration = Duration::from_secs(30);

/// Between looks at whether it is.
const LOOK: Duration = Duration::from_millis(200);

/// Longer than publications wait for Redis.
const IN_VAIN: Duration = Duration::from_secs(6);

/// Who speaks for the backend in the rooms.
const BACKEND: u64 = u64::MAX;

/// A number of the environment.
fn asked(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_all_faults_everybody_hears_all_once_and_in_order() {
    // Whole rooms.
    let sessions = asked("SSCHAT_CHAOS_SESSIONS", SESSIONS).next_multiple_of(ROOM);
    let mut hosts = Hosts::start().await;
    let app = App::register(hosts.host(0)).await;
    let (world, ends) = World::new(app.clone(), rooms(&app, sessions).await, hosts.seen());
    let tasks: Vec<_> = (0..sessions)
        .map(|index| tokio::spawn(members::attend(Arc::clone(&world), index)))
        .collect();
    let mut backend = Backend::new(Arc::clone(&world));
    backend.heals("all come", &hosts).await;
    for fault in Fault::ALL.repeat(asked("SSCHAT_CHAOS_ROUNDS", 1)) {
        ends.calm.send_replace(false);
        hosts.begin(fault).await;
        match fault {
            Fault::Redis | Fault::Both(_) => backend.waits_in_vain(&hosts).await,
            _ => world.hears_for(fault.lasts()).await,
        }
        ends.calm.send_replace(true);
        if matches!(fault, Fault::Kill(_)) {
            // Those of a host that is gone are with the others before it is back.
            let what = format!("{fault:?}, on the others");
            backend.heals(&what, &hosts).await;
        }
        hosts.end(fault).await;
        backend.heals(&format!("{fault:?}"), &hosts).await;
    }
    let last = backend
        .says(hosts.living()[0])
        .await
        .expect("all is healed");
    ends.over.send_replace(Some(last));
    let mut heard: Vec<_> = world
        .rooms
        .iter()
        .map(|_| (Vec::new(), Vec::new()))
        .collect();
    for (index, task) in tasks.into_iter().enumerate() {
        let (trace, confirmed) = within("a member has heard all", task).await.unwrap();
        let (traces, all) = &mut heard[index / ROOM];
        traces.push(trace);
        all.extend(confirmed);
    }
    for (room, (traces, mut confirmed)) in world.rooms.iter().zip(heard) {
        let here = backend.confirmed.iter().filter(|it| it.0 == room.id);
        confirmed.extend(here.map(|(_, offset, number)| (*offset, BACKEND, *number)));
        let kept = kept(hosts.host(0), &app, &room.id, &room.users[0]).await;
        consistent(&traces, &confirmed, &kept);
        report(&traces, &confirmed);
    }
}

fn report(traces: &[Trace], confirmed: &[(u64, u64, u64)]) {
    let heard: usize = traces.iter().map(Trace::heard).sum();
    let returns = traces.iter().map(Trace::returns);
    let [back, recovered, refused] = returns.fold([0; 3], |sum, one| {
        std::array::from_fn(|at| sum[at] + one[at])
    });
    println!(
        "{} acknowledged, {heard} heard, back {back} times, {recovered} recovered, {refused} told that they can't be",
        confirmed.len()
    );
}

/// Rooms for so many sessions, and their members.
async fn rooms(app: &App, sessions: usize) -> Vec<Room> {
    let making = (0..sessions.div_ceil(ROOM)).map(|_| async {
        let (id, users) = app.room_of::<{ ROOM / USER }>().await;
        Room {
            id,
            users: users.into(),
        }
    });
    futures::stream::iter(making).buffered(8).collect().await
}

/// Whether those who are said to be present are those who are connected.
fn same(there: &BTreeSet<String>, connected: &BTreeSet<String>) -> Result<(), String> {
    let ghosts: Vec<_> = there.difference(connected).collect();
    let missed: Vec<_> = connected.difference(there).collect();
    if ghosts.is_empty() && missed.is_empty() {
        return Ok(());
    }
    Err(format!("ghosts {ghosts:?}, nobody sees {missed:?}"))
}

#[test]
fn ghosts_and_those_whom_nobody_sees_are_found() {
    let of = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
    let both = of(&["a", "b"]);
    assert!(same(&both, &both).is_ok());
    assert!(same(&both, &of(&["a"])).is_err());
    assert!(same(&of(&["a"]), &both).is_err());
}

/// The app's backend: it asks who is there, and says something in every room.
struct Backend {
    world: Arc<World>,
    last: u64,
    /// Room, offset and number of what was acknowledged.
    confirmed: Vec<(String, u64, u64)>,
}

impl Backend {
    fn new(world: Arc<World>) -> Self {
        Self {
            world,
            last: 0,
            confirmed: Vec::new(),
        }
    }

    /// Waits until everybody is connected and present at every host that serves, and a publication reaches them all.
    async fn heals(&mut self, what: &str, hosts: &Hosts) {
        let begun = Instant::now();
        let mut missing = String::new();
        let healing = async {
            let mut look = interval(LOOK);
            for host in hosts.living() {
                loop {
                    look.tick().await;
                    match self.present(host).await {
                        Ok(()) => break,
                        Err(why) => missing = format!("{host}: {why}"),
                    }
                }
            }
            let present = begun.elapsed();
            let host = hosts.living()[0];
            let said = loop {
                match self.says(host).await {
                    Ok(said) => break said,
                    Err(why) => missing = why,
                }
                look.tick().await;
            };
            while let Err(why) = self.world.reached(&said) {
                missing = why;
                look.tick().await;
            }
            present
        };
        let healed = timeout(HEALED, healing).await;
        let Ok(present) = healed else {
            panic!("{what}: not healed within {HEALED:?}: {missing}");
        };
        println!(
            "{what}: all present after {present:?}, healed after {:?}",
            begun.elapsed()
        );
    }

    /// Whether exactly those who are connected are present there.
    async fn present(&self, host: SocketAddr) -> Result<(), String> {
        let rest = Rest::new(host);
        for (index, room) in self.world.rooms.iter().enumerate() {
            let before = self.world.connected(index)?;
            let answer = self
                .call(&rest, "presence", json!({"channel": room.id}))
                .await?;
            let there = answer["presence"].as_object();
            let there: BTreeSet<String> = there
                .into_iter()
                .flat_map(|it| it.keys().cloned())
                .collect();
            same(&there, &before).map_err(|why| format!("room {index}: {why}"))?;
        }
        Ok(())
    }

    /// Says something in every room; the offsets.
    async fn says(&mut self, host: SocketAddr) -> Result<Vec<u64>, String> {
        let rest = Rest::new(host);
        let world = Arc::clone(&self.world);
        let mut offsets = Vec::new();
        for room in &world.rooms {
            // What is refused may have been heard: its number is not used again.
            self.last += 1;
            let body = json!({"channel": room.id, "data": [BACKEND, self.last]});
            let said = self.call(&rest, "publish", body).await?;
            let offset = said["offset"].as_u64().ok_or_else(|| said.to_string())?;
            self.confirmed.push((room.id.clone(), offset, self.last));
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// Says things until it is refused, or has waited for longer than publications do.
    async fn waits_in_vain(&mut self, hosts: &Hosts) {
        let host = hosts.living()[0];
        while let Ok(Ok(_)) = timeout(IN_VAIN, self.says(host)).await {}
    }

    async fn call(&self, rest: &Rest, method: &str, body: Value) -> Result<Value, String> {
        let headers = [
            ("x-api-key", &self.world.app.key[..]),
            ("content-type", "application/json"),
        ];
        let path = format!("/api/{method}");
        let answer = rest.send("POST", &path, &headers, body.to_string()).await;
        if answer.status != 200 {
            return Err(format!("{method}: {} {}", answer.status, answer.text()));
        }
        let mut answer = answer.json();
        if answer["error"].is_null() {
            Ok(answer["result"].take())
        } else {
            Err(format!("{method}: {answer}"))
        }
    }
}
