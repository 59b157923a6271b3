//! A room through forced disconnects, a reader that stalls, and hosts that are stopped, killed and started again: what
//! everybody heard is written down and held against what was acknowledged and against the history.

use super::Client;
use super::trace::{Told, Trace};
use super::wire::Wire;
use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{App, Host, Options, within};
use std::net::SocketAddr;
use tokio::sync::watch;
use tokio::time::{Duration, MissedTickBehavior, interval};

/// How many publications are acknowledged before a host ends, and what ends it. `SSCHAT_TRACE_ROUNDS` repeats them.
const ROUNDS: [(u64, &str); 4] = [(300, "TERM"), (300, "KILL"), (300, "KILL"), (300, "TERM")];

/// So many publications no answer brings, by their bytes: half of `QUEUE`.
const ANSWER: u64 = 125;

const PUBLISHERS: u64 = 3;

/// Between a publisher's publications: a client may send 256 commands a second.
const PACE: Duration = Duration::from_millis(5);

/// What fills publications, so that a reader who stalls has something to fall behind with.
const FILL: usize = 2_000;

/// The unsent bytes of a reader who stalls. Half of it is what recovery gives at most.
const QUEUE: &str = "--queue-limit=524288";

/// What a reader who stalls lets the others hear before it reads on, in acknowledged publications.
const STALLS_FOR: u64 = 500;

/// A bound for waiting: a hosts starts within it, also on a busy machine.
const A_WHILE: &str = "the host is started again";

/// Where the host is, if it runs, and how often it was killed.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    address: Option<SocketAddr>,
    kills: u32,
}

/// What all clients see of the test.
#[derive(Clone)]
struct World {
    place: watch::Receiver<Place>,
    acknowledged: watch::Sender<u64>,
    /// The room's last offset, once all is said.
    over: watch::Receiver<Option<u64>>,
    app: App,
    room: String,
}

impl World {
    /// Connects and logs in; the answer's subscription to the room. Nothing where the host goes away meanwhile.
    async fn open(
        &self,
        address: SocketAddr,
        user: &str,
        (was, buffer): (Option<(&str, u64)>, Option<u32>),
    ) -> Option<(Wire, Value)> {
        let token = sign(&json!({"sub": user}), &self.app.secret);
        let subs = was.map(|(epoch, offset)| {
            json!({&self.room: {"recover": true, "epoch": epoch, "offset": offset}})
        });
        let connect = json!({"token": token, "subs": subs.unwrap_or(json!({}))});
        let (wire, mut line) = Wire::open(&self.app, address, connect, buffer).await?;
        let sub = line["connect"]["subs"][&self.room].take();
        assert!(sub["epoch"].is_string(), "{line}");
        Some((wire, sub))
    }

    /// Where the host is, once it is not where it was found to be gone.
    async fn find(&self, gone: Option<SocketAddr>) -> Place {
        let mut places = self.place.clone();
        let there = |place: &Place| place.address.is_some() && place.address != gone;
        *within(A_WHILE, places.wait_for(there)).await.unwrap()
    }

    /// Publishes as long as the test lasts, one after the other; what was acknowledged: number and offset.
    async fn publish(self, user: String, which: u64) -> Vec<(u64, u64)> {
        let mut acknowledged = Vec::new();
        let (mut number, mut gone) = (0, None);
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut over = self.over.clone();
        while self.over.borrow().is_none() {
            let place = tokio::select! {
                place = self.find(gone) => place,
                _ = over.wait_for(Option::is_some) => break,
            };
            gone = place.address;
            let Some(address) = place.address else {
                continue;
            };
            let opened = self.open(address, &user, (None, None)).await;
            let Some((mut wire, _)) = opened else {
                continue;
            };
            'connected: while self.over.borrow().is_none() {
                pace.tick().await;
                // Where the answer does not come it may have been heard or not: its number is not used again.
                number += 1;
                let data = json!([which, number, "x".repeat(FILL)]);
                let publish = json!({"publish": {"channel": self.room, "data": data}});
                if wire.send(publish).await.is_none() {
                    break;
                }
                loop {
                    let Some(line) = wire.line().await else {
                        break 'connected;
                    };
                    if line["id"] == wire.last {
                        let offset = line["publish"]["offset"].as_u64();
                        acknowledged.push((number, offset.unwrap_or_else(|| panic!("{line}"))));
                        self.acknowledged.send_modify(|count| *count += 1);
                        break;
                    }
                }
            }
        }
        acknowledged
    }

    /// Hears until all is said, and leaves after each `leaves` publications to come back. `stalls`: stops reading now
    /// and then.
    async fn hear(mut self, user: String, (leaves, stalls): (usize, bool)) -> Trace {
        let mut trace = Trace::new(ANSWER);
        let (mut gone, mut kills) = (None, 0);
        loop {
            let place = self.find(gone).await;
            let Some(address) = place.address else {
                continue;
            };
            let was = trace.position();
            let was = was.as_ref().map(|(epoch, offset)| (&**epoch, *offset));
            let buffer = stalls.then_some(8 << 10);
            let opened = self.open(address, &user, (was, buffer)).await;
            let Some((mut wire, sub)) = opened else {
                gone = place.address;
                continue;
            };
            let excused = stalls || place.kills > kills;
            trace.begin(&sub, excused);
            kills = place.kills;
            let mut heard = 0;
            let ended = loop {
                if trace.reached(*self.over.borrow()) {
                    return trace;
                }
                if heard == leaves {
                    break false;
                }
                if stalls && heard == leaves / 2 {
                    self.stall().await;
                }
                let line = tokio::select! {
                    line = within("something is heard or ends", wire.line()) => line,
                    _ = self.over.changed() => continue,
                };
                match line {
                    Some(line) if line["push"]["pub"].is_object() => {
                        trace.take(&line["push"]["pub"], Told::Live);
                        heard += 1;
                    }
                    Some(_) => {}
                    None => break true,
                }
            };
            // A host that closed only this connection is still there.
            gone = place.address.filter(|_| ended && !stalls);
        }
    }

    /// Does nothing until much was said, or the host ended.
    async fn stall(&mut self) {
        let until = *self.acknowledged.borrow() + STALLS_FOR;
        let mut acknowledged = self.acknowledged.subscribe();
        let (mut place, mut over) = (self.place.clone(), self.over.clone());
        place.mark_unchanged();
        tokio::select! {
            _ = acknowledged.wait_for(|count| *count >= until) => {}
            _ = place.changed() => {}
            _ = over.wait_for(Option::is_some) => {}
        }
    }
}

/// Everything that the room keeps: offsets and what was said.
pub(super) async fn kept(host: &Host, app: &App, room: &str, user: &str) -> Vec<Value> {
    let (mut client, connected) = Client::of(host, app, user).await;
    let epoch = connected["subs"][room]["epoch"].clone();
    let (mut all, mut since) = (Vec::new(), 0);
    loop {
        let from = json!({"epoch": epoch, "offset": since});
        let ask = json!({"history": {"channel": room, "limit": 100, "since": from}});
        let mut page = client.ask(ask).await;
        let Value::Array(page) = page["history"]["publications"].take() else {
            return all;
        };
        let Some(last) = page.last() else { return all };
        since = last["offset"].as_u64().unwrap();
        all.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_stops_and_kills_everybody_hears_all_or_is_told() {
    let state = tempfile::tempdir().unwrap();
    let options = || {
        let arguments = ["--shards=2", "--history-size=1000000", QUEUE];
        let options = Options::new().state(state.path());
        arguments.into_iter().fold(options, Options::arg)
    };
    let mut host = Host::start(options()).await;
    let app = App::register(&host).await;
    let (room, users) = app.room_of::<7>().await;
    let first = Place {
        address: Some(host.address()),
        kills: 0,
    };
    let (place, seen) = watch::channel(first);
    let (end, over) = watch::channel(None);
    let (acknowledged, mut counted) = watch::channel(0);
    let world = World {
        place: seen,
        acknowledged,
        over,
        app: app.clone(),
        room: room.clone(),
    };
    let [a, b, c, d, e, f, g] = users.clone();
    let mut publishers = Vec::new();
    for (which, user) in [a, b, c].into_iter().enumerate() {
        publishers.push(tokio::spawn(world.clone().publish(user, which as u64)));
    }
    let mut listeners = Vec::new();
    for (user, how) in [
        (d, (7, false)),
        (e, (150, false)),
        (f, (usize::MAX, false)),
        (g, (20, true)),
    ] {
        listeners.push(tokio::spawn(world.clone().hear(user, how)));
    }
    let times = std::env::var("SSCHAT_TRACE_ROUNDS").map_or(1, |times| times.parse().unwrap());
    let mut killed = 0;
    for (count, signal) in ROUNDS.repeat(times) {
        let until = *counted.borrow() + count;
        within(
            "so much is acknowledged",
            counted.wait_for(|count| *count >= until),
        )
        .await
        .unwrap();
        host.signal(signal).await;
        killed += u32::from(signal == "KILL");
        host.ended().await;
        place.send_modify(|place| place.address = None);
        host = Host::start(options()).await;
        place.send_modify(|place| {
            *place = Place {
                address: Some(host.address()),
                kills: killed,
            };
        });
    }
    let until = *counted.borrow() + 100;
    let waiting = counted.wait_for(|count| *count >= until);
    within("so much is acknowledged", waiting).await.unwrap();
    let app = app.at(&host);
    let path = format!("/api/room/{room}/message?apikey={}", app.key);
    let headers = [("content-type", "application/json")];
    let last = r#"[99,1,""]"#.to_owned();
    let said = app.rest.send("POST", &path, &headers, last).await;
    let said = said.expect(200).json();
    end.send_replace(Some(
        said["offset"].as_u64().unwrap_or_else(|| panic!("{said}")),
    ));
    let mut confirmed = Vec::new();
    for (which, publisher) in publishers.into_iter().enumerate() {
        let all = within("a publisher ends", publisher).await.unwrap();
        assert!(all.len() > 100, "{} were acknowledged", all.len());
        confirmed.extend(
            all.into_iter()
                .map(|(number, offset)| (offset, which as u64, number)),
        );
    }
    let mut traces = Vec::new();
    for listener in listeners {
        traces.push(within("a listener has heard all", listener).await.unwrap());
    }
    let kept = kept(&host, &app, &room, &users[0]).await;
    super::trace::check(&traces, &confirmed, &kept, PUBLISHERS);
}
