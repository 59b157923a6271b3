//! Publications as differences to the ones before them, for clients that agreed to it.
//!
//! Who hears differences must have the publication before. So who comes in takes a seat where the next publication is
//! whole, and once it is on its way moves on to where differences are heard. All who sit there have the same one before,
//! and one difference, made once for each wire format, serves them all.
//!
//! Absent on purpose: how differences are made ([`sschat_protocol::centrifuge::delta`]), and what is recovered, which is
//! whole: it would have to be compared for each client.

use super::filters::Kept;
use super::wire;
use crate::broker::Channel;
use crate::hub::{ConnectionKey, RoomKey};
use crate::node::{Heard, Sessions};
use crate::socket::Turn;
use sschat_protocol::centrifuge::delta;

impl Sessions {
    /// The difference of a publication to the one before, where there was one and it is shorter.
    pub(in crate::node) fn difference(&self, channel: &Channel, message: &str) -> Option<Vec<u8>> {
        let previous = self.clients.previous.get(&channel.id)?;
        delta::create(previous.as_bytes(), message.as_bytes())
    }

    /// A publication was put into the room's logs: those for whom it was the first hear the next as a difference to it.
    pub(in crate::node) fn heard_the_first(
        &mut self,
        room: RoomKey,
        channel: &Channel,
        message: &str,
        turn: &mut Turn<'_>,
    ) {
        self.clients.previous.insert(channel.id, message.into());
        let formats: Vec<_> = turn.hub.formats(room).collect();
        for format in formats {
            let Some(after) = wire::after_the_first(format) else {
                continue;
            };
            let newcomers: Vec<_> = turn.hub.members(room, format).collect();
            for key in newcomers {
                self.change_seat(key, (room, channel), after, turn);
            }
        }
    }

    /// Has a client hear a room in another format from the next publication on.
    fn change_seat(
        &mut self,
        key: ConnectionKey,
        (room, channel): (RoomKey, &Channel),
        format: u32,
        turn: &mut Turn<'_>,
    ) {
        let Some(place) = self.session(key).and_then(|it| it.seated(room)) else {
            return;
        };
        // First in, then out: the room stays, and what was said is owed from the seat that is left.
        let before = std::mem::replace(&mut place.seat, turn.hub.enter(channel.id, format, key));
        self.vacate(before, false, turn);
    }

    /// Seats a client, which hears differences where that was agreed, or what its filter lets through.
    pub(super) fn take_seat(
        &mut self,
        key: ConnectionKey,
        heard: &Heard,
        (deltas, filter): (bool, Option<&Kept>),
        turn: &mut Turn<'_>,
    ) {
        self.seat(key, heard, turn);
        let place = self.session(key).map(|session| session.format());
        let (Some(room), Some(format)) = (turn.hub.room(heard.channel.id), place) else {
            return;
        };
        let format = match filter {
            None if deltas => wire::with_deltas(format),
            None => return,
            Some(filter) => wire::filtered(format, self.clients.filters.number(filter)),
        };
        self.change_seat(key, (room, &heard.channel), format, turn);
    }

    /// Forgets the last publication of a channel that nobody hears as differences any more.
    pub(in crate::node) fn forget_differences(&mut self, channel: &Channel, turn: &Turn<'_>) {
        if self.clients.previous.is_empty() {
            return;
        }
        let room = turn.hub.room(channel.id);
        let heard = room.is_some_and(|room| turn.hub.formats(room).any(wire::has_deltas));
        if !heard {
            self.clients.previous.remove(&channel.id);
        }
    }
}
