//! Who comes and goes: told to the clients that asked for it, room by room.

use crate::broker::{Channel, Visit};
use crate::hub::ConnectionKey;
use crate::node::reports;
use crate::node::roll::Present;
use crate::node::session::Place;
use crate::node::{Command, Post, Sessions, wire};
use crate::policy::memo::Watcher;
use crate::socket::Turn;
use sschat_protocol::centrifuge::{ClientInfo, Push};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Builder;

/// A session of any host that came into a room or left it.
#[derive(Debug)]
pub struct Coming {
    channel: Arc<Channel>,
    visit: Visit,
}

/// The rooms in which somebody wants to hear who comes and goes. Where nobody does, coming and going costs one look at
/// a number.
#[derive(Default)]
pub(in crate::node) struct Listeners {
    total: AtomicUsize,
    rooms: Mutex<HashMap<u64, usize>>,
    names: RandomState,
}

impl Listeners {
    fn rooms(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, channel: &Channel) {
        self.total.fetch_add(1, Ordering::Relaxed);
        *self.rooms().entry(channel.id).or_insert(0) += 1;
    }

    fn remove(&self, channel: &Channel) {
        self.total.fetch_sub(1, Ordering::Relaxed);
        let mut rooms = self.rooms();
        if let Some(count) = rooms.get_mut(&channel.id) {
            *count -= 1;
            if *count == 0 {
                rooms.remove(&channel.id);
            }
        }
    }

    fn any(&self, channel: &Channel) -> bool {
        self.total.load(Ordering::Relaxed) > 0 && self.rooms().contains_key(&channel.id)
    }

    /// The name of a connection whose protocol has none: random, but the same for a login.
    pub(in crate::node) fn name(&self, watcher: Watcher) -> Arc<str> {
        let half = |half: u8| u128::from(self.names.hash_one((watcher, half)));
        let random = (half(0) << 64 | half(1)).to_be_bytes();
        Builder::from_random_bytes(random)
            .into_uuid()
            .to_string()
            .into()
    }
}

impl Post {
    /// Tells every shard that a session came into a room or left it.
    pub(in crate::node) fn pass_on(&self, channel: &Arc<Channel>, visit: Visit) {
        let channel = Arc::clone(channel);
        let coming = Arc::new(Coming { channel, visit });
        for shard in 0..self.shards.len() {
            self.tell(shard, Command::Coming(Arc::clone(&coming)));
        }
    }
}

impl Sessions {
    /// Tells those who asked for it that a session came into a room.
    pub(in crate::node) fn tell_coming(&mut self, key: ConnectionKey, channel: &Arc<Channel>) {
        self.report_coming(key, channel);
        let who = self.present(key);
        self.tell(who.as_ref(), channel, true);
    }

    /// Tells those who asked for it that somebody left a room, where it had this place.
    pub(in crate::node) fn tell_leaving(&self, who: Option<&Present>, place: &Place) {
        if place.join_leave {
            self.node.listeners.remove(&place.channel);
            self.node.broker.listens(false);
        }
        reports::leaving(who, &place.channel);
        self.tell(who, &place.channel, false);
    }

    /// Who a session is, as far as anybody wants to hear that it comes or goes.
    pub(in crate::node) fn present(&mut self, key: ConnectionKey) -> Option<Present> {
        let listened = self.node.listeners.total.load(Ordering::Relaxed) > 0;
        match listened || self.node.broker.is_listened() || self.is_reported(key) {
            true => self.named(key),
            false => None,
        }
    }

    fn tell(&self, who: Option<&Present>, channel: &Arc<Channel>, came: bool) {
        let node = &self.node;
        let few = channel.members.load(Ordering::Relaxed) <= node.settings.presence_limit;
        let Some(who) = who.filter(|_| few) else {
            return;
        };
        let (here, elsewhere) = (node.listeners.any(channel), node.broker.is_listened());
        if !here && !elsewhere {
            return;
        }
        let visit = Visit {
            user: Arc::clone(&who.user),
            client: Arc::clone(&who.client),
            info: who.info.clone(),
            came,
        };
        if elsewhere {
            node.broker.visits(channel, &visit);
        }
        if here {
            node.post.pass_on(channel, visit);
        }
    }

    /// A session of any host came or went: told to those here who asked for it.
    pub(in crate::node) fn tell_came(&mut self, coming: &Coming, turn: &mut Turn<'_>) {
        let few =
            coming.channel.members.load(Ordering::Relaxed) <= self.node.settings.presence_limit;
        if few && self.node.listeners.any(&coming.channel) {
            self.tell_those_who_listen(coming, turn);
        }
    }

    /// Tells the sessions of this shard, each format encoded once.
    fn tell_those_who_listen(&mut self, coming: &Coming, turn: &mut Turn<'_>) {
        let Some(room) = turn.hub.room(coming.channel.id) else {
            return;
        };
        let info = ClientInfo {
            user: &coming.visit.user,
            client: &coming.visit.client,
            conn_info: coming.visit.info.as_deref().unwrap_or_default().as_bytes(),
            ..ClientInfo::default()
        };
        let push = match coming.visit.came {
            true => Push::Join(&info),
            false => Push::Leave(&info),
        };
        let formats: Vec<_> = turn.hub.formats(room).collect();
        for format in formats {
            let Some(plain) = wire::client_format(wire::plain(format)) else {
                continue;
            };
            let members: Vec<_> = turn.hub.members(room, format).collect();
            let wants = |key: &ConnectionKey| {
                let place = self.session(*key).and_then(|session| session.seated(room));
                place.is_some_and(|place| place.join_leave && place.presence)
            };
            let wanted: Vec<_> = members.into_iter().filter(wants).collect();
            if wanted.is_empty() {
                continue;
            }
            self.scratch.clear();
            push.encode(plain, &coming.channel.room, &mut self.scratch);
            let (scratch, deflater) = (&self.scratch, &mut self.deflater);
            turn.hub.tell(wanted.into_iter(), |out| {
                wire::push(deflater, format, scratch, out);
            });
        }
    }
}
