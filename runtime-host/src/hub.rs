//! Rooms of one shard, and what each of its connections is owed this turn.
//!
//! A publication is encoded once per wire format into its room's *log*; a member
//! is owed a range of that log. Nothing is copied, allocated, locked or encoded
//! per recipient (invariant 5). At the end of a turn [`Hub::settle`] hands each
//! connection's ranges, in order, to whoever writes sockets, and the logs are
//! emptied; those who could not write everything share a copy of the log instead,
//! which is made once and has the log's size, not that of what the log carried before.
//!
//! Absent on purpose: sockets, sessions, policy, and anything that awaits.

mod ledger;
mod logs;

pub use logs::Logs;

use crate::metrics::tally::{self, Figure};
use ledger::Ledger;
use logs::Log;
use slab::Slab;
use std::collections::HashMap;

/// A connection, as its shard numbers it.
pub type ConnectionKey = u32;
/// A room, as its shard numbers it while it has a member there.
pub type RoomKey = u32;

/// Logs that grew past this in a turn are not kept for the next, so that one burst does not pin its memory.
const LOG_KEEP: usize = 256 << 10;

const NONE: u32 = u32::MAX;
/// The log of what goes to single connections: replies, presence, control frames.
const DIRECT: u32 = 0;

/// A member's place in a room. It stays true until [`Hub::leave`] says that it moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The room.
    pub room: RoomKey,
    /// The wire format in which the member hears it, and what else sets its lane apart.
    pub format: u32,
    /// The index among the members of that format.
    pub position: u32,
}

/// A range of a log that a connection is owed.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    log: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// The room whose log it is; `None` for what is meant for single connections.
    pub room: Option<RoomKey>,
    next: u32,
}

#[derive(Clone, Copy)]
struct Owed {
    first: u32,
    last: u32,
}

const NOTHING: Owed = Owed {
    first: NONE,
    last: NONE,
};

#[derive(Clone, Copy)]
struct Member {
    connection: ConnectionKey,
    /// Where in this turn's log the member came in.
    from: u32,
    /// The last of its own publications of this turn, an index of [`Lane::own`].
    own: u32,
}

/// A publication of a member of this lane, which is not owed to itself.
struct Own {
    start: u32,
    end: u32,
    previous: u32,
}

/// A room in one wire format.
struct Lane {
    format: u32,
    members: Vec<Member>,
    /// The log of this turn, once something was published.
    log: u32,
    own: Vec<Own>,
}

#[derive(Default)]
struct Room {
    channel: u64,
    /// One a format that has a member: rarely more than two.
    lanes: Vec<Lane>,
}

impl Room {
    fn lane(&mut self, format: u32) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.format == format)
    }
}

/// Rooms of one shard. See the module's documentation.
#[derive(Default)]
pub struct Hub {
    rooms: Slab<Room>,
    by_channel: HashMap<u64, RoomKey>,
    /// Lanes with a log this turn.
    dirty: Vec<(RoomKey, u32)>,
    logs: Logs,
    /// Logs that no lane uses.
    spare: Vec<u32>,
    used: Vec<u32>,
    owed: Vec<Owed>,
    pieces: Vec<Piece>,
    debtors: Vec<ConnectionKey>,
    scratch: Vec<Piece>,
}

impl Hub {
    /// Seats `connection` in the room of `channel`, from the next publication on.
    pub fn enter(&mut self, channel: u64, format: u32, connection: ConnectionKey) -> Seat {
        let rooms = &mut self.rooms;
        let room = *self.by_channel.entry(channel).or_insert_with(|| {
            tally::add(Figure::Rooms, 1);
            rooms.insert(Room {
                channel,
                lanes: Vec::with_capacity(1),
            }) as RoomKey
        });
        let lanes = &mut self.rooms[room as usize].lanes;
        let known = lanes.iter().position(|lane| lane.format == format);
        let lane = known.unwrap_or_else(|| {
            lanes.push(Lane {
                format,
                members: Vec::with_capacity(1),
                log: NONE,
                own: Vec::new(),
            });
            lanes.len() - 1
        });
        let lane = &mut lanes[lane];
        let from = match lane.log {
            NONE => 0,
            log => self.logs.logs[log as usize].bytes.len() as u32,
        };
        lane.members.push(Member {
            connection,
            from,
            own: NONE,
        });
        Seat {
            room,
            format,
            position: (lane.members.len() - 1) as u32,
        }
    }

    /// Frees a seat. What was published this turn before that is still owed, unless the
    /// member is to `forfeit` it. Where another member was moved to the freed position
    /// its connection is returned: its seat is now `seat`.
    pub fn leave(&mut self, seat: Seat, forfeit: bool) -> Option<ConnectionKey> {
        let room = self.rooms.get_mut(seat.room as usize)?;
        let at = room
            .lanes
            .iter()
            .position(|lane| lane.format == seat.format)?;
        let lane = &mut room.lanes[at];
        if seat.position as usize >= lane.members.len() {
            return None;
        }
        if lane.log != NONE && !forfeit {
            let log = lane.log;
            let end = self.logs.logs[log as usize].bytes.len() as u32;
            let member = &mut lane.members[seat.position as usize];
            let mut ledger = Ledger {
                owed: &mut self.owed,
                pieces: &mut self.pieces,
                debtors: &mut self.debtors,
            };
            ledger.owe_member(member, &lane.own, log, end, seat.room);
        }
        lane.members.swap_remove(seat.position as usize);
        let moved = lane
            .members
            .get(seat.position as usize)
            .map(|member| member.connection);
        if lane.members.is_empty() {
            room.lanes.swap_remove(at);
            if room.lanes.is_empty() {
                let channel = room.channel;
                self.rooms.remove(seat.room as usize);
                self.by_channel.remove(&channel);
                tally::sub(Figure::Rooms, 1);
            }
        }
        moved
    }

    /// The room of `channel`, while it has a member on this shard.
    pub fn room(&self, channel: u64) -> Option<RoomKey> {
        self.by_channel.get(&channel).copied()
    }

    /// Appends a publication to the room's log of each format that has a member.
    /// `encode` writes whole frames, or nothing where those members are not to hear it. `publisher` is not owed what it said.
    pub fn publish(
        &mut self,
        room: RoomKey,
        publisher: Option<Seat>,
        mut encode: impl FnMut(u32, &mut Vec<u8>),
    ) {
        let Some(state) = self.rooms.get_mut(room as usize) else {
            return;
        };
        for lane in &mut state.lanes {
            let format = lane.format;
            if lane.log == NONE {
                lane.log = self.spare.pop().unwrap_or_else(|| {
                    self.logs.logs.push(Log::default());
                    (self.logs.logs.len() - 1) as u32
                });
                self.used.push(lane.log);
                self.dirty.push((room, format));
            }
            let log = self.logs.open(lane.log);
            let start = log.len() as u32;
            encode(format, log);
            let end = log.len() as u32;
            if start == end {
                continue;
            }
            let own = publisher.filter(|seat| seat.room == room && seat.format == format);
            let hearers = lane.members.len() - usize::from(own.is_some());
            tally::add(Figure::Deliveries, hearers as u64);
            if let Some(member) = own.and_then(|seat| lane.members.get_mut(seat.position as usize))
            {
                lane.own.push(Own {
                    start,
                    end,
                    previous: member.own,
                });
                member.own = (lane.own.len() - 1) as u32;
            }
        }
    }

    /// Owes one connection what `encode` writes: whole frames.
    pub fn reply(&mut self, connection: ConnectionKey, encode: impl FnOnce(&mut Vec<u8>)) {
        self.tell(std::iter::once(connection), encode);
    }

    /// Owes several connections the same frames, encoded once.
    pub fn tell(
        &mut self,
        connections: impl Iterator<Item = ConnectionKey>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let log = self.logs.open(DIRECT);
        let start = log.len() as u32;
        encode(log);
        let end = log.len() as u32;
        let mut ledger = Ledger {
            owed: &mut self.owed,
            pieces: &mut self.pieces,
            debtors: &mut self.debtors,
        };
        for connection in connections {
            ledger.owe(connection, DIRECT, start, end, None);
        }
    }

    /// The connections that hear the room in `format`.
    pub fn members(&self, room: RoomKey, format: u32) -> impl Iterator<Item = ConnectionKey> + '_ {
        self.rooms
            .get(room as usize)
            .and_then(|room| room.lanes.iter().find(|lane| lane.format == format))
            .into_iter()
            .flat_map(|lane| lane.members.iter().map(|member| member.connection))
    }

    /// The formats in which the room is heard.
    pub fn formats(&self, room: RoomKey) -> impl Iterator<Item = u32> + '_ {
        let lanes = self.rooms.get(room as usize).map(|room| &*room.lanes);
        lanes.unwrap_or_default().iter().map(|lane| lane.format)
    }

    /// The connections that hear the room in any format.
    pub fn everybody(&self, room: RoomKey) -> impl Iterator<Item = ConnectionKey> + '_ {
        self.formats(room)
            .flat_map(move |format| self.members(room, format))
    }

    /// Nothing that this connection is owed matters any more; its key may be given to another.
    pub fn forget(&mut self, connection: ConnectionKey) {
        if let Some(owed) = self.owed.get_mut(connection as usize) {
            *owed = NOTHING;
        }
    }

    /// Whether the connection is owed something this turn, but for what its rooms hold.
    pub fn owes(&self, connection: ConnectionKey) -> bool {
        self.owed
            .get(connection as usize)
            .is_some_and(|owed| owed.first != NONE)
    }

    /// Ends the turn: `write` gets each connection that is owed something, once, with
    /// its pieces in order. What `write` shared stays with it.
    pub fn settle(&mut self, mut write: impl FnMut(ConnectionKey, &Logs, &[Piece])) {
        self.gather();
        let mut debtors = std::mem::take(&mut self.debtors);
        for connection in debtors.drain(..) {
            let owed = std::mem::replace(&mut self.owed[connection as usize], NOTHING);
            self.scratch.clear();
            let mut next = owed.first;
            while next != NONE {
                let piece = self.pieces[next as usize];
                self.scratch.push(piece);
                next = piece.next;
            }
            if !self.scratch.is_empty() {
                write(connection, &self.logs, &self.scratch);
            }
        }
        self.debtors = debtors;
        self.pieces.clear();
        self.recycle(DIRECT);
        while let Some(log) = self.used.pop() {
            self.recycle(log);
            self.spare.push(log);
        }
    }

    /// Owes every member of every dirty lane its range of the log.
    fn gather(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let mut ledger = Ledger {
            owed: &mut self.owed,
            pieces: &mut self.pieces,
            debtors: &mut self.debtors,
        };
        for (room, format) in dirty.drain(..) {
            // The room may be gone, or a new one stand in its place: both have settled already.
            let Some(lane) = self
                .rooms
                .get_mut(room as usize)
                .and_then(|room| room.lane(format))
                .filter(|lane| lane.log != NONE)
            else {
                continue;
            };
            let log = std::mem::replace(&mut lane.log, NONE);
            let end = self.logs.logs[log as usize].bytes.len() as u32;
            for member in &mut lane.members {
                ledger.owe_member(member, &lane.own, log, end, room);
            }
            lane.own.clear();
        }
        self.dirty = dirty;
    }

    fn recycle(&mut self, log: u32) {
        let log = &mut self.logs.logs[log as usize];
        log.kept.take();
        log.bytes.clear();
        if log.bytes.capacity() > LOG_KEEP {
            log.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
