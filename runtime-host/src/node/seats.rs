//! Places in rooms: how sessions take them and leave.

use super::session::Place;
use super::{Heard, Sessions, wire};
use crate::broker::Channel;
use crate::hub::{ConnectionKey, Seat};
use crate::socket::Turn;
use std::sync::Arc;

/// Most sessions hear a room or two: up to so many, places take no more memory than they need.
const FEW: usize = 4;

impl Sessions {
    pub(super) fn enter(&mut self, key: ConnectionKey, heard: &Heard, turn: &mut Turn<'_>) {
        heard.channel.entered(self.shard);
        self.seat(key, heard, turn);
    }

    /// Seats a session in a room that counts it as hearing it already.
    pub(super) fn seat(&mut self, key: ConnectionKey, heard: &Heard, turn: &mut Turn<'_>) {
        let shard = self.shard;
        let channel = &heard.channel;
        let Some(session) = self.session(key) else {
            return channel.left(shard);
        };
        let format = session.format();
        if session.places.len() < FEW {
            session.places.reserve_exact(1);
        }
        session.places.push(Place {
            channel: Arc::clone(channel),
            seat: turn.hub.enter(channel.id, format, key),
            speak: None,
            presence: heard.presence,
            join_leave: false,
        });
        // Who logs in has waited for it. Who comes in otherwise hears other hosts a moment later.
        drop(self.node.broker.attend(std::slice::from_ref(channel)));
        self.tell_coming(key, channel);
    }

    pub(super) fn leave(
        &mut self,
        seat: Seat,
        channel: &Channel,
        forfeit: bool,
        turn: &mut Turn<'_>,
    ) {
        channel.left(self.shard);
        self.vacate(seat, forfeit, turn);
        self.forget_differences(channel, turn);
    }

    /// Frees a seat, which the one at the end may get.
    pub(super) fn vacate(&mut self, seat: Seat, forfeit: bool, turn: &mut Turn<'_>) {
        self.clients.filters.left(wire::filter(seat.format));
        if let Some(moved) = turn.hub.leave(seat, forfeit)
            && let Some(place) = self
                .session(moved)
                .and_then(|session| session.seated(seat.room))
        {
            place.seat.position = seat.position;
        }
    }
}
