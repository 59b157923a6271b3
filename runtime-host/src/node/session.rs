//! One session, and its places in rooms.

use super::centrifuge::Client;
use super::held_to::HeldTo;
use super::{Endpoint, Opening, wire};
use crate::broker::{Channel, Speaker};
use crate::events::Tap;
use crate::hub::{RoomKey, Seat};
use crate::policy::memo::{Leave, Watcher};
use crate::policy::trace::Connection;
use sschat_protocol::seed::Format;
use sschat_protocol::websocket::deflate::Agreement;
use std::sync::Arc;

/// Who a session is, once it logged in.
pub(super) struct Who {
    pub(super) tenant: Arc<str>,
    pub(super) user: Arc<str>,
    /// Where the tenant's backend is told of it.
    pub(super) tap: Option<Arc<Tap>>,
}

/// A session's place in a room that it hears.
pub(super) struct Place {
    pub(super) channel: Arc<Channel>,
    pub(super) seat: Seat,
    /// Its leave to speak here: the publish path looks at nothing else.
    pub(super) speak: Option<Leave>,
    /// Whether it may know who is online here.
    pub(super) presence: bool,
    /// Whether it asked to be told who comes and goes, which it may only be with `presence`.
    pub(super) join_leave: bool,
}

/// A command that waits for a decision.
pub(super) struct Waiting {
    /// The message it came in, to be parsed again.
    pub(super) text: Box<str>,
}

pub(super) struct Session {
    /// Its number while it is logged in or about to be.
    pub(super) watcher: Watcher,
    pub(super) endpoint: Endpoint,
    /// What only the Centrifuge protocol needs; there where that is spoken.
    pub(super) client: Option<Box<Client>>,
    /// What the connection agreed on about compression.
    pub(super) deflate: Option<Agreement>,
    pub(super) app: Option<Box<str>>,
    /// What a policy can ask about the connection.
    pub(super) connection: Arc<Connection>,
    pub(super) who: Option<Who>,
    pub(super) places: Vec<Place>,
    pub(super) waiting: Option<Box<Waiting>>,
    /// The latest hold it was put on.
    pub(super) held: u32,
    /// The latest hold that a grant has answered. An evaluation may overtake the hold that asked for it.
    pub(super) granted: u32,
    /// When its login ends, in seconds since the epoch.
    pub(super) expires: u64,
    /// When its grant is to be evaluated anew, in seconds since the epoch.
    pub(super) renew: u64,
    /// How many rooms it named itself.
    pub(super) joined: u32,
    /// Whether its policy lets it publish at all.
    pub(super) may_publish: bool,
    /// What its tenant holds it to, beside what the host does.
    pub(super) held_to: Option<Box<HeldTo>>,
}

impl Session {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            watcher: Watcher::MAX,
            endpoint: opening.endpoint,
            client: None,
            deflate: opening.deflate,
            app: opening.app.map(String::into_boxed_str),
            connection: Arc::new(opening.connection),
            who: None,
            places: Vec::new(),
            waiting: None,
            held: 0,
            granted: 0,
            expires: u64::MAX,
            renew: u64::MAX,
            joined: 0,
            may_publish: true,
            held_to: None,
        }
    }

    /// The format in which it hears rooms, a number among the hub's.
    pub(super) fn format(&self) -> u32 {
        let format = match self.endpoint {
            Endpoint::Polling(format) => format,
            Endpoint::Centrifuge(format) => return wire::client_number(format, self.deflate),
            Endpoint::Streaming(streaming) => return wire::stream_number(streaming),
            Endpoint::Echo => Format::Json,
        };
        wire::number(format, self.deflate)
    }

    /// As whom it publishes: the session that is left out, and the name of its connection.
    ///
    /// Whoever speaks the Centrifuge protocol receives its own publications.
    pub(super) fn publishes_as(&self) -> (Watcher, Option<Arc<Speaker>>) {
        match &self.client {
            Some(client) => (Watcher::MAX, Some(client.speaker())),
            None => (self.watcher, None),
        }
    }

    /// Its place in the room with this id. Sessions hear few rooms, so looking through
    /// them beats a table.
    pub(super) fn place(&mut self, room: &str) -> Option<&mut Place> {
        self.places
            .iter_mut()
            .find(|place| *place.channel.room == *room)
    }

    /// Its place in the room that its shard gives this number.
    pub(super) fn seated(&mut self, room: RoomKey) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.seat.room == room)
    }
}
