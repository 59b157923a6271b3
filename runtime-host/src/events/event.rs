//! An event as it is kept: JSON without its id and time, which the log knows.

use bytes::Bytes;
use serde::Serialize;

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A session logged in.
    Connect,
    /// It ended.
    Disconnect,
    /// A session came into a room.
    Join,
    /// It left.
    Leave,
    /// A room's first session on this host came.
    Occupied,
    /// Its last one left.
    Vacated,
    /// Something was said in a room.
    Published,
}

impl Kind {
    /// Its place among the kinds that are wanted.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Occupied => "occupied",
            Self::Vacated => "vacated",
            Self::Published => "published",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Event<'a> {
    /// Where, if in a room.
    pub room: Option<&'a str>,
    /// Whose doing; none for the tenant's backend.
    pub user: Option<&'a str>,
    /// By which connection.
    pub client: Option<&'a str>,
    /// The place of a publication in its room's history: offset and epoch.
    pub place: Option<(u64, sschat_history::Epoch)>,
    /// What was said: JSON.
    pub said: Option<&'a str>,
}

#[derive(Serialize)]
struct Shape<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

/// Everything behind the brace that opens the object.
pub(super) fn encode(kind: Kind, event: &Event<'_>) -> Bytes {
    let shape = Shape {
        kind: kind.name(),
        room: event.room,
        user: event.user.filter(|user| !user.is_empty()),
        client: event.client,
        offset: event.place.map(|(offset, _)| offset),
        epoch: event.place.map(|(_, epoch)| epoch.to_string()),
        count: None,
    };
    let mut text = inner(&shape);
    if let Some(said) = event.said {
        text.pop();
        text.extend_from_slice(b",\"data\":");
        text.extend_from_slice(said.as_bytes());
        text.push(b'}');
    }
    text.into()
}

/// Says that so many events are missing here; `None` where nobody knows how many.
pub(super) fn lost(count: Option<u64>) -> Bytes {
    let shape = Shape {
        kind: "lost",
        room: None,
        user: None,
        client: None,
        offset: None,
        epoch: None,
        count,
    };
    inner(&shape).into()
}

fn inner(shape: &Shape<'_>) -> Vec<u8> {
    // Texts and numbers always have a JSON form.
    let mut text = serde_json::to_vec(shape).unwrap_or_default();
    if !text.is_empty() {
        text.remove(0);
    }
    text
}
