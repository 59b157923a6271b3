//! Rooms of one shard, and what each of its connections is owed this turn.
//!
//! A publication is encoded once per wire format into its room's *log*; a member
//! is owed a range of that log. Nothing is copied, allocated, locked or encoded
//! per recipient (invariant 5). At the end of a turn [`Hub::settle`] hands each
//! connection's ranges, in order, to whoever writes sockets, and the logs are
//! emptied; who could not write everything keeps a reference to the log instead.
//!
//! Absent on purpose: sockets, sessions, policy, and anything that awaits.

use slab::Slab;
use std::collections::HashMap;
use std::rc::Rc;

/// A connection, as its shard numbers it.
pub type ConnectionKey = u32;
/// A room, as its shard numbers it while it has a member there.
pub type RoomKey = u32;

/// How many wire formats a room may be heard in.
pub const FORMATS: usize = 2;

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
    /// The wire format in which the member hears it, below [`FORMATS`].
    pub format: u8,
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
    members: Vec<Member>,
    /// The log of this turn, once something was published.
    log: u32,
    own: Vec<Own>,
}

#[derive(Default)]
struct Room {
    channel: u64,
    lanes: [Option<Box<Lane>>; FORMATS],
}

/// The bytes behind the pieces of a turn.
pub struct Logs {
    logs: Vec<Rc<Vec<u8>>>,
}

impl Logs {
    /// The bytes of a piece.
    pub fn bytes(&self, piece: &Piece) -> &[u8] {
        &self.logs[piece.log as usize][piece.start as usize..piece.end as usize]
    }

    /// The whole log that a piece is a range of, to keep beyond the turn.
    pub fn share(&self, piece: &Piece) -> Rc<Vec<u8>> {
        Rc::clone(&self.logs[piece.log as usize])
    }

    /// The length of that log.
    pub fn length(&self, piece: &Piece) -> usize {
        self.logs[piece.log as usize].len()
    }

    /// The log for appending. Logs are shared only inside `settle`, after which the
    /// shared ones are replaced, so the copy that `make_mut` stands ready for never happens.
    fn open(&mut self, log: u32) -> &mut Vec<u8> {
        Rc::make_mut(&mut self.logs[log as usize])
    }
}

/// Rooms of one shard. See the module's documentation.
pub struct Hub {
    rooms: Slab<Room>,
    by_channel: HashMap<u64, RoomKey>,
    /// Lanes with a log this turn.
    dirty: Vec<(RoomKey, u8)>,
    logs: Logs,
    /// Logs that no lane uses.
    spare: Vec<u32>,
    used: Vec<u32>,
    owed: Vec<Owed>,
    pieces: Vec<Piece>,
    debtors: Vec<ConnectionKey>,
    scratch: Vec<Piece>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            rooms: Slab::new(),
            by_channel: HashMap::new(),
            dirty: Vec::new(),
            logs: Logs {
                logs: vec![Rc::new(Vec::new())],
            },
            spare: Vec::new(),
            used: Vec::new(),
            owed: Vec::new(),
            pieces: Vec::new(),
            debtors: Vec::new(),
            scratch: Vec::new(),
        }
    }
}

impl Hub {
    /// Seats `connection` in the room of `channel`, from the next publication on.
    pub fn enter(&mut self, channel: u64, format: u8, connection: ConnectionKey) -> Seat {
        let rooms = &mut self.rooms;
        let room = *self.by_channel.entry(channel).or_insert_with(|| {
            rooms.insert(Room {
                channel,
                lanes: Default::default(),
            }) as RoomKey
        });
        let lane = self.rooms[room as usize].lanes[usize::from(format)].get_or_insert_with(|| {
            Box::new(Lane {
                members: Vec::with_capacity(1),
                log: NONE,
                own: Vec::new(),
            })
        });
        let from = match lane.log {
            NONE => 0,
            log => self.logs.logs[log as usize].len() as u32,
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
        let slot = room.lanes.get_mut(usize::from(seat.format))?;
        let lane = slot.as_mut()?;
        if seat.position as usize >= lane.members.len() {
            return None;
        }
        if lane.log != NONE && !forfeit {
            let log = lane.log;
            let end = self.logs.logs[log as usize].len() as u32;
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
            *slot = None;
            if room.lanes.iter().all(Option::is_none) {
                let channel = room.channel;
                self.rooms.remove(seat.room as usize);
                self.by_channel.remove(&channel);
            }
        }
        moved
    }

    /// The room of `channel`, while it has a member on this shard.
    pub fn room(&self, channel: u64) -> Option<RoomKey> {
        self.by_channel.get(&channel).copied()
    }

    /// Appends a publication to the room's log of each format that has a member.
    /// `encode` writes whole frames. `publisher` is not owed what it said.
    pub fn publish(
        &mut self,
        room: RoomKey,
        publisher: Option<Seat>,
        mut encode: impl FnMut(u8, &mut Vec<u8>),
    ) {
        let Some(state) = self.rooms.get_mut(room as usize) else {
            return;
        };
        for (format, slot) in state.lanes.iter_mut().enumerate() {
            let Some(lane) = slot else { continue };
            let format = format as u8;
            if lane.log == NONE {
                lane.log = self.spare.pop().unwrap_or_else(|| {
                    self.logs.logs.push(Rc::new(Vec::new()));
                    (self.logs.logs.len() - 1) as u32
                });
                self.used.push(lane.log);
                self.dirty.push((room, format));
            }
            let log = self.logs.open(lane.log);
            let start = log.len() as u32;
            encode(format, log);
            let end = log.len() as u32;
            let own = publisher.filter(|seat| seat.room == room && seat.format == format);
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
    pub fn members(&self, room: RoomKey, format: u8) -> impl Iterator<Item = ConnectionKey> + '_ {
        self.rooms
            .get(room as usize)
            .and_then(|room| room.lanes[usize::from(format)].as_ref())
            .into_iter()
            .flat_map(|lane| lane.members.iter().map(|member| member.connection))
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
    /// its pieces in order. A log that `write` kept a reference to is left to it.
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
                .and_then(|room| room.lanes[usize::from(format)].as_mut())
                .filter(|lane| lane.log != NONE)
            else {
                continue;
            };
            let log = std::mem::replace(&mut lane.log, NONE);
            let end = self.logs.logs[log as usize].len() as u32;
            for member in &mut lane.members {
                ledger.owe_member(member, &lane.own, log, end, room);
            }
            lane.own.clear();
        }
        self.dirty = dirty;
    }

    fn recycle(&mut self, log: u32) {
        let slot = &mut self.logs.logs[log as usize];
        match Rc::get_mut(slot) {
            Some(log) if log.capacity() <= LOG_KEEP => log.clear(),
            _ => *slot = Rc::new(Vec::new()),
        }
    }
}

/// The parts of the hub that say who is owed what, borrowed apart from the rooms.
struct Ledger<'a> {
    owed: &'a mut Vec<Owed>,
    pieces: &'a mut Vec<Piece>,
    debtors: &'a mut Vec<ConnectionKey>,
}

impl Ledger<'_> {
    /// Owes `member` the log from where it came in, its own publications left out.
    #[inline]
    fn owe_member(&mut self, member: &mut Member, own: &[Own], log: u32, end: u32, room: RoomKey) {
        let from = std::mem::take(&mut member.from);
        let newest = std::mem::replace(&mut member.own, NONE);
        if newest == NONE {
            self.owe(member.connection, log, from, end, Some(room));
            return;
        }
        self.owe_around(member.connection, own, newest, (log, from, end), room);
    }

    /// Owes the gaps between a member's own publications. The chain runs from the newest
    /// to the oldest, so the gaps are linked back to front and then attached in one go.
    fn owe_around(
        &mut self,
        connection: ConnectionKey,
        own: &[Own],
        newest: u32,
        (log, from, end): (u32, u32, u32),
        room: RoomKey,
    ) {
        let room = Some(room);
        let (mut first, mut last) = (NONE, NONE);
        let mut upto = end;
        let mut next = newest;
        loop {
            let start = match own.get(next as usize) {
                Some(published) => published.end.max(from),
                None => from,
            };
            if start < upto {
                self.pieces.push(Piece {
                    log,
                    start,
                    end: upto,
                    room,
                    next: first,
                });
                first = (self.pieces.len() - 1) as u32;
                if last == NONE {
                    last = first;
                }
            }
            let Some(published) = own.get(next as usize) else {
                break;
            };
            upto = published.start;
            next = published.previous;
        }
        if first != NONE {
            self.attach(connection, first, last);
        }
    }

    #[inline]
    fn owe(
        &mut self,
        connection: ConnectionKey,
        log: u32,
        start: u32,
        end: u32,
        room: Option<RoomKey>,
    ) {
        if start == end {
            return;
        }
        if let Some(owed) = self.owed.get(connection as usize)
            && owed.last != NONE
        {
            let last = &mut self.pieces[owed.last as usize];
            if last.log == log && last.end == start {
                last.end = end;
                return;
            }
        }
        self.pieces.push(Piece {
            log,
            start,
            end,
            room,
            next: NONE,
        });
        let piece = (self.pieces.len() - 1) as u32;
        self.attach(connection, piece, piece);
    }

    #[inline]
    fn attach(&mut self, connection: ConnectionKey, first: u32, last: u32) {
        let index = connection as usize;
        if index >= self.owed.len() {
            self.owed.resize(index + 1, NOTHING);
        }
        let owed = &mut self.owed[index];
        if owed.last == NONE {
            owed.first = first;
            self.debtors.push(connection);
        } else {
            self.pieces[owed.last as usize].next = first;
        }
        owed.last = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone)]
    enum Step {
        Enter(u64, u8, ConnectionKey),
        Leave(usize, bool),
        Publish(u64, Option<usize>),
        Reply(ConnectionKey),
        Forget(ConnectionKey),
        Settle(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..4u64, 0..2u8, 0..6u32).prop_map(|(c, f, k)| Step::Enter(c, f, k)),
            2 => (any::<usize>(), any::<bool>()).prop_map(|(n, forfeit)| Step::Leave(n, forfeit)),
            6 => (0..4u64, any::<Option<usize>>()).prop_map(|(c, n)| Step::Publish(c, n)),
            2 => (0..6u32).prop_map(Step::Reply),
            1 => (0..6u32).prop_map(Step::Forget),
            2 => any::<bool>().prop_map(Step::Settle),
        ]
    }

    /// What the model knows of a seat: its channel, connection, the hub's seat, and the
    /// messages of this turn that it is owed.
    struct Sitting {
        channel: u64,
        connection: ConnectionKey,
        seat: Seat,
        owed: Vec<u32>,
    }

    #[derive(Default)]
    struct Model {
        seats: Vec<Sitting>,
        /// What was owed outside a standing seat, by (connection, channel).
        settled: BTreeMap<(ConnectionKey, Option<u64>), Vec<u32>>,
        next: u32,
    }

    impl Model {
        fn expected(&mut self) -> BTreeMap<(ConnectionKey, Option<u64>), Vec<u32>> {
            let mut all = std::mem::take(&mut self.settled);
            for seat in &mut self.seats {
                all.entry((seat.connection, Some(seat.channel)))
                    .or_default()
                    .append(&mut seat.owed);
            }
            all.retain(|_, messages| !messages.is_empty());
            all
        }
    }

    /// A message is eight bytes: who it is for in the model, and its number.
    fn encode(out: &mut Vec<u8>, channel: Option<u64>, number: u32) {
        let channel = channel.map_or(u32::MAX, |channel| channel as u32);
        out.extend_from_slice(&channel.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Vec<(Option<u64>, u32)> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        bytes
            .chunks_exact(8)
            .map(|message| (word(&message[..4]), word(&message[4..])))
            .map(|(channel, number)| ((channel != u32::MAX).then_some(u64::from(channel)), number))
            .collect()
    }

    fn run(steps: Vec<Step>) {
        let mut hub = Hub::default();
        let mut model = Model::default();
        let mut kept = Vec::new();
        for step in steps.into_iter().chain([Step::Settle(false)]) {
            match step {
                Step::Enter(channel, format, connection) => {
                    let taken = |s: &Sitting| s.channel == channel && s.connection == connection;
                    if !model.seats.iter().any(taken) {
                        let seat = hub.enter(channel, format, connection);
                        model.seats.push(Sitting {
                            channel,
                            connection,
                            seat,
                            owed: Vec::new(),
                        });
                    }
                }
                Step::Leave(which, forfeit) if !model.seats.is_empty() => {
                    let gone = model.seats.swap_remove(which % model.seats.len());
                    if let Some(moved) = hub.leave(gone.seat, forfeit) {
                        let moved = model
                            .seats
                            .iter_mut()
                            .find(|s| s.connection == moved && s.channel == gone.channel)
                            .expect("a seat that moved is a seat");
                        moved.seat.position = gone.seat.position;
                    }
                    if !forfeit {
                        model
                            .settled
                            .entry((gone.connection, Some(gone.channel)))
                            .or_default()
                            .extend(gone.owed);
                    }
                }
                Step::Publish(channel, publisher) => {
                    let Some(room) = hub.room(channel) else {
                        assert!(model.seats.iter().all(|s| s.channel != channel));
                        continue;
                    };
                    let here: Vec<usize> = (0..model.seats.len())
                        .filter(|i| model.seats[*i].channel == channel)
                        .collect();
                    let publisher = publisher.map(|n| here[n % here.len()]);
                    let number = model.next;
                    model.next += 1;
                    let seat = publisher.map(|i| model.seats[i].seat);
                    hub.publish(room, seat, |_, out| encode(out, Some(channel), number));
                    for i in here {
                        if Some(i) != publisher {
                            model.seats[i].owed.push(number);
                        }
                    }
                }
                Step::Reply(connection) => {
                    let number = model.next;
                    model.next += 1;
                    hub.reply(connection, |out| encode(out, None, number));
                    model
                        .settled
                        .entry((connection, None))
                        .or_default()
                        .push(number);
                }
                // As a shard does it: a connection that is forgotten has left its rooms.
                Step::Forget(connection)
                    if model.seats.iter().all(|s| s.connection != connection) =>
                {
                    hub.forget(connection);
                    model.settled.retain(|(of, _), _| *of != connection);
                }
                Step::Settle(keep) => {
                    let mut got: BTreeMap<_, Vec<u32>> = BTreeMap::new();
                    let mut seen = Vec::new();
                    hub.settle(|connection, logs, pieces| {
                        assert!(!seen.contains(&connection), "each connection comes once");
                        seen.push(connection);
                        for piece in pieces {
                            for (channel, number) in decode(logs.bytes(piece)) {
                                assert_eq!(piece.room.is_some(), channel.is_some());
                                got.entry((connection, channel)).or_default().push(number);
                            }
                            if keep {
                                kept.push((logs.share(piece), logs.bytes(piece).to_vec(), *piece));
                            }
                        }
                    });
                    assert_eq!(got, model.expected());
                }
                Step::Leave(..) | Step::Forget(_) => {}
            }
        }
        for (log, bytes, piece) in kept {
            let range = piece.start as usize..piece.end as usize;
            assert_eq!(log[range], bytes[..], "a kept log is left alone");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_member_is_owed_what_others_said_while_it_was_there(
            steps in proptest::collection::vec(step(), 0..60)
        ) {
            run(steps);
        }
    }

    #[test]
    fn pieces_that_touch_become_one() {
        let mut hub = Hub::default();
        hub.enter(1, 0, 3);
        let room = hub.room(1).unwrap();
        for number in 0..10 {
            hub.publish(room, None, |_, out| encode(out, Some(1), number));
        }
        let mut counts = Vec::new();
        hub.settle(|connection, _, pieces| counts.push((connection, pieces.len())));
        assert_eq!(counts, [(3, 1)]);
    }
}
