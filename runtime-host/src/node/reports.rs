//! What a tenant's backend is told of sessions and rooms. Where it wants to be told
//! nothing, this costs a comparison, and a count for each coming and going.

use super::Sessions;
use super::roll::Present;
use super::session::Who;
use crate::broker::Channel;
use crate::events::{Event, Kind, Tap};
use crate::hub::ConnectionKey;
use std::sync::Arc;

/// What tells of sessions: for any of these a session needs a name.
const NAMED: [Kind; 4] = [Kind::Connect, Kind::Disconnect, Kind::Join, Kind::Leave];

impl Sessions {
    /// Where the events of a session's tenant come together.
    pub(super) fn tap(&self, tenant: &str) -> Option<Arc<Tap>> {
        self.node.channels.tap(tenant)
    }

    /// Whether the backend wants to be told of a session by name.
    pub(super) fn is_reported(&mut self, key: ConnectionKey) -> bool {
        let who = self.session(key).and_then(|session| session.who.as_ref());
        let tap = who.and_then(|who| who.tap.as_ref());
        tap.is_some_and(|tap| NAMED.into_iter().any(|kind| tap.wants(kind)))
    }

    /// A session logged in.
    pub(super) fn report_connect(&mut self, key: ConnectionKey) {
        if !self.is_reported(key) {
            return;
        }
        let present = self.named(key);
        if let Some(who) = self.session(key).and_then(|session| session.who.as_ref()) {
            who.report(Kind::Connect, present.as_ref());
        }
    }

    /// A session that is in place came into a room.
    pub(super) fn report_coming(&mut self, key: ConnectionKey, channel: &Channel) {
        if self
            .session(key)
            .is_none_or(|session| session.who.is_none())
        {
            // It is still being let in, and reported then.
            return;
        }
        let present = match self.is_reported(key) {
            true => self.named(key),
            false => None,
        };
        let mut count = channel.present();
        *count += 1;
        let Some(tap) = &channel.tap else { return };
        if *count == 1 {
            tap.tell(Kind::Occupied, &in_room(channel, None));
        }
        if present.is_some() {
            tap.tell(Kind::Join, &in_room(channel, present.as_ref()));
        }
    }
}

/// A session left a room.
pub(super) fn leaving(present: Option<&Present>, channel: &Channel) {
    let mut count = channel.present();
    *count = count.saturating_sub(1);
    let Some(tap) = &channel.tap else { return };
    if present.is_some() {
        tap.tell(Kind::Leave, &in_room(channel, present));
    }
    if *count == 0 {
        tap.tell(Kind::Vacated, &in_room(channel, None));
    }
}

impl Who {
    /// Tells of a session as such.
    pub(super) fn report(&self, kind: Kind, present: Option<&Present>) {
        if let (Some(tap), Some(present)) = (&self.tap, present) {
            tap.tell(kind, &of(present));
        }
    }
}

fn of(present: &Present) -> Event<'_> {
    Event {
        user: Some(&present.user),
        client: Some(&present.client),
        ..Event::default()
    }
}

fn in_room<'a>(channel: &'a Channel, present: Option<&'a Present>) -> Event<'a> {
    Event {
        room: Some(&channel.room),
        ..present.map(of).unwrap_or_default()
    }
}
