//! Events as they are told: JSON objects with their id, their time and what is missing.

use super::event;
use bytes::Bytes;
use sschat_history::{Page, Position, UNSYNCED_LIMIT};

/// What names an event: where it stands in its tenant's log.
pub(super) fn id(position: Position) -> String {
    format!("{}-{}", position.epoch, position.offset)
}

/// The position that an id names.
pub(super) fn position(id: &str) -> Option<Position> {
    let (epoch, offset) = id.split_once('-')?;
    let position = Position {
        epoch: epoch.parse().ok()?,
        offset: offset.parse().ok()?,
    };
    // Numbers have several forms; ids have one.
    (self::id(position) == id).then_some(position)
}

/// An event, or the word that some are missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) position: Position,
    /// A JSON object.
    pub(super) object: Vec<u8>,
    /// How many are missing in its place, as far as that is known; none in an event's.
    pub(super) missing: u64,
}

/// The events of a page that was read from behind `since` on, in their order.
pub(super) fn told(page: &Page, since: u64) -> Vec<Told> {
    let epoch = page.top.epoch;
    let mut told = Vec::with_capacity(page.publications.len());
    let mut before = since;
    for publication in &page.publications {
        let offset = publication.offset;
        let (time, gap) = (publication.time, offset.saturating_sub(before + 1));
        if gap > 0 {
            let position = Position {
                epoch,
                offset: offset - 1,
            };
            told.push(Told {
                position,
                object: object(position, time, &event::lost(None)),
                // An unclean stop leaves out so many offsets that nothing had.
                missing: gap.checked_sub(UNSYNCED_LIMIT).unwrap_or(gap),
            });
        }
        let position = Position { epoch, offset };
        told.push(Told {
            position,
            object: object(position, time, &publication.payload),
            missing: 0,
        });
        before = offset;
    }
    told
}

/// The same where another life of the log was read before: everything of that is missing.
pub(super) fn broken_off(page: &Page) -> Told {
    let position = Position {
        epoch: page.top.epoch,
        offset: page
            .publications
            .first()
            .map_or(page.top.offset, |it| it.offset - 1),
    };
    let time = page.publications.first().map_or(0, |it| it.time);
    Told {
        position,
        object: object(position, time, &event::lost(None)),
        missing: 0,
    }
}

fn object(position: Position, time: u64, rest: &Bytes) -> Vec<u8> {
    let mut object = format!("{{\"id\":\"{}\",\"time\":{time},", id(position)).into_bytes();
    object.extend_from_slice(rest);
    object
}
