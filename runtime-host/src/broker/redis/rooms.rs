//! The rooms that are heard on this host: subscribed to, delivered in order, let go.
//!
//! A room is subscribed to when a session is about to hear it, and let go some seconds
//! after the last one left. After each new connection all of them are subscribed to anew
//! and what was missed is read from their logs.

use super::calls::{self, Keys, Part};
use super::link::{Failed, Link};
use super::outgoing::PATIENCE;
use super::record::{Placed, decode_message};
use super::tail::{Next, Tail};
use super::{Shared, locked};
use crate::broker::{Channel, Mail, Origin, Position, Stamp, memory};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How often rooms that nobody hears any more are looked for. One is let go the second
/// time that it is found, so that a reconnect costs nothing.
const SWEEP: Duration = Duration::from_secs(5);

/// Publications of one look at a log.
const LOOK: usize = 512;

/// Looks and subscriptions on their way at once.
const AT_ONCE: usize = 512;

/// A room that is heard on this host.
pub(super) struct Room {
    channel: Arc<Channel>,
    keys: Keys,
    state: Mutex<State>,
    /// Where it is; awaited by those who read.
    at: watch::Sender<Option<Position>>,
}

#[derive(Default)]
struct State {
    tail: Tail,
    /// The link by which it is subscribed, or about to be; 0 for none.
    link: u64,
    /// Sweeps that found nobody.
    idle: u32,
}

/// All of them.
pub(super) struct Rooms {
    by_channel: Mutex<HashMap<u64, Arc<Room>>>,
    by_name: Mutex<HashMap<Box<str>, Arc<Room>>>,
    turn: Arc<Semaphore>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            by_channel: Mutex::default(),
            by_name: Mutex::default(),
            turn: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Rooms {
    /// The last publication of a channel that was delivered here.
    pub(super) fn at(&self, channel: u64) -> Option<Position> {
        let rooms = locked(&self.by_channel);
        let state = locked(&rooms.get(&channel)?.state);
        state.tail.at()
    }

    /// The last publication of a channel that was delivered here, if none before it is
    /// missing and none is on its way to `shard`.
    pub(super) fn settled(&self, channel: &Channel, shard: usize) -> Option<Position> {
        let room = self.find(channel.id)?;
        // Held while what is delivered is posted.
        let state = locked(&room.state);
        let at = state.tail.at().filter(|_| state.tail.is_whole())?;
        (channel.spread().shards[shard].waiting == 0).then_some(at)
    }

    /// The channel of a room, by the room's channel of Redis.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Channel>> {
        let rooms = locked(&self.by_name);
        rooms.get(name).map(|room| Arc::clone(&room.channel))
    }

    pub(super) fn find(&self, channel: u64) -> Option<Arc<Room>> {
        locked(&self.by_channel).get(&channel).cloned()
    }

    fn all(&self) -> Vec<Arc<Room>> {
        locked(&self.by_channel).values().cloned().collect()
    }
}

impl Room {
    fn whole(&self) -> bool {
        locked(&self.state).tail.is_whole()
    }

    /// Waits until everything up to `top` was delivered here, [`PATIENCE`] at most.
    pub(super) async fn reached(&self, top: Position) {
        let mut at = self.at.subscribe();
        let reached =
            at.wait_for(|at| at.is_some_and(|at| at.epoch != top.epoch || at.offset >= top.offset));
        let _ = tokio::time::timeout(PATIENCE, reached).await;
    }

    /// Waits until it is heard, [`PATIENCE`] at most.
    pub(super) async fn heard(&self) {
        let mut at = self.at.subscribe();
        let heard = async {
            while !self.whole() {
                if at.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, heard).await;
    }
}

impl<M: Mail> Shared<M> {
    /// The room of a channel, which is subscribed to from now on.
    pub(super) fn attend(self: &Arc<Self>, channel: &Arc<Channel>) -> Arc<Room> {
        let mut rooms = locked(&self.rooms.by_channel);
        if let Some(room) = rooms.get(&channel.id) {
            locked(&room.state).idle = 0;
            return Arc::clone(room);
        }
        let keys = Keys::of(&channel.tenant, &channel.room);
        let room = Arc::new(Room {
            channel: Arc::clone(channel),
            state: Mutex::default(),
            at: watch::Sender::default(),
            keys,
        });
        rooms.insert(channel.id, Arc::clone(&room));
        let name = room.keys.channel().into();
        locked(&self.rooms.by_name).insert(name, Arc::clone(&room));
        drop(rooms);
        if let Some(link) = self.link.borrow().clone() {
            self.subscribe(&link, &room);
        }
        room
    }

    /// Whether what others publish in the channel is heard here already.
    pub(super) fn attended(self: &Arc<Self>, channel: &Arc<Channel>) -> Result<(), Arc<Room>> {
        let room = self.attend(channel);
        match room.whole() {
            true => Ok(()),
            false => Err(room),
        }
    }

    /// Subscribes to all rooms, over a new link.
    pub(super) fn subscribe_all(self: &Arc<Self>, link: &Arc<Link>) {
        for room in self.rooms.all() {
            self.subscribe(link, &room);
        }
    }

    fn subscribe(self: &Arc<Self>, link: &Arc<Link>, room: &Arc<Room>) {
        {
            let mut state = locked(&room.state);
            if state.link >= link.number {
                return;
            }
            state.link = link.number;
            state.tail.doubt();
        }
        let (shared, link, room) = (Arc::clone(self), Arc::clone(link), Arc::clone(room));
        self.runtime.spawn(async move {
            // The semaphore is never closed.
            let _turn = shared.rooms.turn.acquire().await;
            match link.hear("SSUBSCRIBE", room.keys.channel()).await {
                Ok(()) => shared.look(&link, &room).await,
                Err(Failed::Cut) => {}
                Err(Failed::Refused(reason)) => {
                    tracing::error!(redis = %shared.address, reason, "rooms can't be heard");
                    link.break_off();
                }
            }
        });
    }

    /// Reads what the room's log holds beyond what was delivered, until nothing is missing.
    async fn look(self: &Arc<Self>, link: &Arc<Link>, room: &Arc<Room>) {
        loop {
            let at = {
                let state = locked(&room.state);
                if state.link != link.number {
                    return;
                }
                state.tail.at()
            };
            let part = Part {
                since: at,
                // The first look says where the room is, no more.
                limit: if at.is_some() { LOOK } else { 0 },
                reverse: false,
            };
            let script = &link.scripts.read;
            let command = calls::read(script, &room.keys, &self.retention, at, part);
            let answer = match link.call(&command).await {
                Ok(answer) => answer,
                Err(Failed::Cut) => return,
                Err(Failed::Refused(reason)) => {
                    tracing::error!(redis = %self.address, reason, "a room can't be read");
                    return link.break_off();
                }
            };
            let Some((found, begun)) = calls::found(&answer) else {
                tracing::error!(redis = %self.address, "a room's log is damaged");
                return link.break_off();
            };
            if begun {
                self.note_room(&room.channel);
            }
            let more = {
                let mut state = locked(&room.state);
                if state.link != link.number {
                    return;
                }
                let next = state.tail.found(found);
                let more = next.look;
                self.deliver(room, &mut state, next);
                more
            };
            if !more {
                return;
            }
        }
    }

    /// A message of a room's channel.
    pub(super) fn heard(self: &Arc<Self>, channel: &str, message: &[u8]) {
        let Some(room) = locked(&self.rooms.by_name).get(channel).cloned() else {
            return;
        };
        let placed = decode_message(message);
        let mut state = locked(&room.state);
        let next = match placed {
            Some(placed) => state.tail.heard(placed),
            // Not ours, or damaged: the log knows better.
            None => {
                let look = state.tail.is_whole();
                state.tail.doubt();
                Next {
                    look,
                    ..Next::default()
                }
            }
        };
        let look = next.look;
        self.deliver(&room, &mut state, next);
        drop(state);
        if look && let Some(link) = self.link.borrow().clone() {
            let (shared, room) = (Arc::clone(self), Arc::clone(&room));
            self.runtime.spawn(async move {
                let _turn = shared.rooms.turn.acquire().await;
                shared.look(&link, &room).await;
            });
        }
    }

    /// Posts what is next. The room's state is locked meanwhile, so that mail keeps the
    /// order of offsets.
    fn deliver(&self, room: &Room, state: &mut State, next: Next) {
        if next.lost {
            tracing::warn!(room = %room.channel.room, "publications were lost");
            self.mail.lost(&room.channel);
        }
        if !next.deliver.is_empty() {
            let mut spread = room.channel.spread();
            for placed in next.deliver {
                let Placed { stamp, record } = placed;
                let said = record.said();
                let origin = match record.host == self.host {
                    true => record.origin,
                    false => Origin::Outside,
                };
                let kept = self.kept && stamp.position.offset > 0;
                let stamp: Option<Stamp> = kept.then_some(stamp);
                memory::post(&self.mail, &room.channel, &mut spread, &said, origin, stamp);
            }
        }
        self.figures
            .looks
            .fetch_add(next.look.into(), Ordering::Relaxed);
        room.at.send_replace(state.tail.at());
    }

    /// Lets go of rooms that nobody hears, now and then.
    pub(super) async fn sweep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            let mut gone = Vec::new();
            {
                let mut rooms = locked(&self.rooms.by_channel);
                rooms.retain(|_, room| {
                    let mut state = locked(&room.state);
                    match room.channel.members.load(Ordering::SeqCst) {
                        0 => state.idle += 1,
                        _ => state.idle = 0,
                    }
                    if state.idle < 2 {
                        return true;
                    }
                    // A look that is on its way comes to nothing.
                    state.link = 0;
                    gone.push(Arc::clone(room));
                    false
                });
                let mut names = locked(&self.rooms.by_name);
                for room in &gone {
                    names.remove(room.keys.channel());
                }
            }
            let link = self.link.borrow().clone();
            for (room, link) in gone.iter().zip(std::iter::repeat(&link)) {
                let Some(link) = link else { break };
                // Who comes back meanwhile subscribes after this, over the same connection.
                let _ = link.hear("SUNSUBSCRIBE", room.keys.channel()).await;
                self.again(link, room.keys.channel());
            }
        }
    }

    /// Redis sends nothing more of a room. Where sessions hear it, it is subscribed to anew; where its slot moved, that
    /// ends the link.
    pub(super) fn unsubscribed(self: &Arc<Self>, channel: &[u8]) {
        let link = self.link.borrow().clone();
        if let (Some(link), Ok(channel)) = (link, std::str::from_utf8(channel)) {
            self.again(&link, channel);
        }
    }

    /// Subscribes anew to a room that came back while it was let go.
    fn again(self: &Arc<Self>, link: &Arc<Link>, room: &str) {
        let back = locked(&self.rooms.by_name).get(room).cloned();
        if let Some(back) = back {
            locked(&back.state).link = 0;
            self.subscribe(link, &back);
        }
    }
}
