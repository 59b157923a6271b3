//! Who is owed which range of which log.

use super::{ConnectionKey, Member, NONE, NOTHING, Owed, Own, Piece, RoomKey};

/// The parts of the hub that say who is owed what, borrowed apart from the rooms.
pub(super) struct Ledger<'a> {
    pub(super) owed: &'a mut Vec<Owed>,
    pub(super) pieces: &'a mut Vec<Piece>,
    pub(super) debtors: &'a mut Vec<ConnectionKey>,
}

impl Ledger<'_> {
    /// Owes `member` the log from where it came in, its own publications left out.
    #[inline]
    pub(super) fn owe_member(
        &mut self,
        member: &mut Member,
        own: &[Own],
        log: u32,
        end: u32,
        room: RoomKey,
    ) {
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
    pub(super) fn owe(
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
