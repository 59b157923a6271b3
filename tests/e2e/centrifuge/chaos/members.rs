//! The members: light clients that come back to some host whenever their connection ends, and write down what they heard.

use super::hosts::Places;
use super::{ROOM, USER};
use crate::centrifuge::trace::{Told, Trace};
use crate::centrifuge::wire::Wire;
use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{App, within};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::time::{Duration, MissedTickBehavior, interval, timeout};

/// The sessions of a room that say something.
const SPEAKERS: usize = 3;

/// What all of them say together, in publications a second.
const RATE: usize = 120;

/// Between attempts to connect.
const RETRY: Duration = Duration::from_millis(250);

/// How long a host may take to let somebody in, before another is tried.
const TRIES: Duration = Duration::from_secs(5);

/// A room and its members.
pub(super) struct Room {
    pub(super) id: String,
    pub(super) users: Vec<String>,
}

/// What the test knows of a session: its connection, if it has one, and what it has heard up to.
#[derive(Default)]
struct Seat {
    client: Option<String>,
    top: u64,
}

/// What all members see of the test.
pub(super) struct World {
    pub(super) app: App,
    pub(super) rooms: Vec<Room>,
    places: watch::Receiver<Places>,
    seats: Vec<Mutex<Seat>>,
    /// How many publications were acknowledged.
    acknowledged: watch::Sender<u64>,
    /// Nobody goes who isn't made to.
    calm: watch::Receiver<bool>,
    /// The rooms' last offsets, once all is said.
    over: watch::Receiver<Option<Vec<u64>>>,
}

/// What the test tells all members.
pub(super) struct Ends {
    pub(super) calm: watch::Sender<bool>,
    pub(super) over: watch::Sender<Option<Vec<u64>>>,
}

impl World {
    pub(super) fn new(
        app: App,
        rooms: Vec<Room>,
        places: watch::Receiver<Places>,
    ) -> (Arc<Self>, Ends) {
        let ((calm, is_calm), (over, is_over)) = (watch::channel(true), watch::channel(None));
        let seats = (0..rooms.len() * ROOM).map(|_| Mutex::default()).collect();
        let world = Self {
            app,
            rooms,
            places,
            seats,
            acknowledged: watch::Sender::default(),
            calm: is_calm,
            over: is_over,
        };
        (Arc::new(world), Ends { calm, over })
    }

    /// Waits until as much more was acknowledged as the members of two hosts say in so many seconds.
    pub(super) async fn hears_for(&self, seconds: usize) {
        let count = (seconds * RATE * 2 / 3) as u64;
        let mut acknowledged = self.acknowledged.subscribe();
        let until = *acknowledged.borrow() + count;
        let waiting = acknowledged.wait_for(|it| *it >= until);
        within("so much is acknowledged", waiting).await.unwrap();
    }

    /// The connections to a room, once everybody has one.
    pub(super) fn connected(&self, room: usize) -> Result<BTreeSet<String>, String> {
        let all = self.of(room).map(|index| {
            let seat = self.seats[index].lock().unwrap();
            seat.client
                .clone()
                .ok_or(format!("{index} is not connected"))
        });
        all.collect()
    }

    /// Whether all have heard up to these offsets of the rooms.
    pub(super) fn reached(&self, offsets: &[u64]) -> Result<(), String> {
        for (room, offset) in offsets.iter().enumerate() {
            for index in self.of(room) {
                let top = self.seats[index].lock().unwrap().top;
                if top < *offset {
                    return Err(format!("{index} has heard up to {top}, not {offset}"));
                }
            }
        }
        Ok(())
    }

    /// The sessions of a room.
    fn of(&self, room: usize) -> std::ops::Range<usize> {
        room * ROOM..(room + 1) * ROOM
    }

    /// A host that serves; another with each attempt.
    fn place(&self, attempt: usize) -> Option<SocketAddr> {
        let living: Vec<_> = self.places.borrow().iter().copied().flatten().collect();
        living.get(attempt % living.len().max(1)).copied()
    }
}

/// Offset, publisher and number of what was acknowledged.
type Confirmed = Vec<(u64, u64, u64)>;

/// A member's session, through all its connections.
struct Member {
    world: Arc<World>,
    index: usize,
    trace: Trace,
    confirmed: Confirmed,
    number: u64,
}

/// Is there until all is said; what was heard, and what was acknowledged.
pub(super) async fn attend(world: Arc<World>, index: usize) -> (Trace, Confirmed) {
    let mut member = Member {
        world,
        index,
        trace: Trace::new(u64::MAX),
        confirmed: Vec::new(),
        number: 0,
    };
    let mut retry = interval(RETRY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for attempt in index.. {
        retry.tick().await;
        let Some(address) = member.world.place(attempt) else {
            continue;
        };
        let Ok(Some(wire)) = timeout(TRIES, member.connect(address)).await else {
            continue;
        };
        let done = member.sits(wire).await;
        member.seat(|seat| seat.client = None);
        if done {
            break;
        }
    }
    (member.trace, member.confirmed)
}

impl Member {
    fn room(&self) -> &Room {
        &self.world.rooms[self.index / ROOM]
    }

    fn seat(&self, change: impl FnOnce(&mut Seat)) {
        change(&mut self.world.seats[self.index].lock().unwrap());
    }

    /// Connects to a host and recovers from where it was. Nothing where that does not go.
    async fn connect(&mut self, address: SocketAddr) -> Option<Wire> {
        let world = Arc::clone(&self.world);
        let room = &world.rooms[self.index / ROOM];
        let user = &room.users[self.index % ROOM / USER];
        let token = sign(&json!({"sub": user}), &world.app.secret);
        let subs = self.trace.position().map(|(epoch, offset)| {
            json!({&room.id: {"recover": true, "epoch": epoch, "offset": offset}})
        });
        let connect = json!({"token": token, "subs": subs.unwrap_or(json!({}))});
        let (wire, mut line) = Wire::open(&world.app, address, connect, None).await?;
        if line["error"].is_object() {
            return None;
        }
        let sub = line["connect"]["subs"][&room.id].take();
        assert!(sub["epoch"].is_string(), "no subscription: {line}");
        self.trace.begin(&sub, false);
        let client = line["connect"]["client"].as_str().unwrap().to_owned();
        let top = self.top();
        self.seat(|seat| {
            *seat = Seat {
                client: Some(client),
                top,
            }
        });
        Some(wire)
    }

    fn top(&self) -> u64 {
        self.trace.position().map_or(0, |(_, top)| top)
    }

    /// Hears and speaks until the connection ends, or all is said: then `true`.
    async fn sits(&mut self, mut wire: Wire) -> bool {
        let world = Arc::clone(&self.world);
        let (mut over, room) = (world.over.clone(), self.index / ROOM);
        let leaves = 20 + self.index % 40;
        let mut pace =
            interval(Duration::from_secs(1) * (world.rooms.len() * SPEAKERS) as u32 / RATE as u32);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut waits, mut heard) = (None, 0);
        loop {
            let last = over.borrow_and_update().as_ref().map(|all| all[room]);
            if self.trace.reached(last) {
                return true;
            }
            if heard >= leaves && !*world.calm.borrow() {
                return false;
            }
            let speaks = self.index % ROOM < SPEAKERS && waits.is_none() && last.is_none();
            tokio::select! {
                line = wire.line() => {
                    let Some(line) = line else { return false };
                    if line["push"]["pub"].is_object() {
                        self.trace.take(&line["push"]["pub"], Told::Live);
                        heard += 1;
                        let top = self.top();
                        self.seat(|seat| seat.top = top);
                    } else if line["push"].is_object() {
                        // The host ends the subscription or the connection.
                        return false;
                    } else if line["id"] == wire.last {
                        waits = None;
                        self.answered(&line);
                    }
                }
                _ = pace.tick(), if speaks => {
                    // Where the answer does not come it may have been heard or not: its number is not used again.
                    self.number += 1;
                    let data = json!([self.index, self.number]);
                    let publish = json!({"publish": {"channel": self.room().id, "data": data}});
                    if wire.send(publish).await.is_none() {
                        return false;
                    }
                    waits = Some(self.number);
                }
                _ = over.changed() => {}
            }
        }
    }

    /// A publication was acknowledged or refused.
    fn answered(&mut self, line: &Value) {
        if let Some(offset) = line["publish"]["offset"].as_u64() {
            let index = self.index as u64;
            self.confirmed.push((offset, index, self.number));
            self.world.acknowledged.send_modify(|count| *count += 1);
        } else {
            assert!(
                line["error"]["temporary"] == true,
                "refused for good: {line}"
            );
        }
    }
}
