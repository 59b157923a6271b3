//! What a host has delivered of a room, and in which order the rest has to come.
//!
//! Pure: takes what was heard and what was read, gives what is to be delivered. A
//! publication is given out once, in the order of offsets; where one is missing those
//! after it wait until the log was read. What no log keeps has the offset 0, and comes when
//! it is heard.

use super::record::Placed;
use sschat_history::{Epoch, Position};
use std::collections::VecDeque;

/// Publications that wait for a gap to be filled, at most. Beyond that they are let go and
/// read again from the log: Redis keeps them anyway.
const WAITING_LIMIT: usize = 4_096;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The last publication that was delivered; `None` before the first look at the log.
    at: Option<Position>,
    /// Whether what is heard may be delivered at once: nothing before it is missing.
    whole: bool,
    waiting: VecDeque<Placed>,
}

/// What a look at the log found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) top: Position,
    /// The last offset that is gone.
    pub(super) gone: u64,
    pub(super) placed: Vec<Placed>,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// Deliver these.
    pub(super) deliver: Vec<Placed>,
    /// Then look at the log after the position.
    pub(super) look: bool,
    /// Some were lost for good.
    pub(super) lost: bool,
}

impl Tail {
    /// The last publication that was delivered.
    pub(super) fn at(&self) -> Option<Position> {
        self.at
    }

    /// Whether what is heard is delivered at once.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The host may have missed something: the log has to be looked at.
    pub(super) fn doubt(&mut self) {
        self.whole = false;
    }

    /// Publications came by the room's channel.
    pub(super) fn heard(&mut self, placed: Vec<Placed>) -> Next {
        let mut next = Next::default();
        for placed in placed {
            if self.whole && !self.take(placed.clone(), &mut next) {
                self.whole = false;
                next.look = true;
            }
            if !self.whole {
                self.keep(placed);
            }
        }
        next
    }

    fn keep(&mut self, placed: Placed) {
        if self.waiting.len() >= WAITING_LIMIT {
            self.waiting.clear();
        }
        self.waiting.push_back(placed);
    }

    /// Delivers a publication if it is the next, passes over it if it was; else says no.
    fn take(&mut self, placed: Placed, next: &mut Next) -> bool {
        let (position, at) = (placed.stamp.position, self.at);
        if position.offset == 0 {
            next.deliver.push(placed);
            return true;
        }
        let follows = match at {
            None => false,
            Some(at) if at.epoch == position.epoch => {
                if position.offset <= at.offset {
                    return true;
                }
                position.offset == at.offset + 1
            }
            // The room's history was removed: another begins.
            Some(_) => position.offset == 1,
        };
        if follows {
            self.at = Some(position);
            next.deliver.push(placed);
        }
        follows
    }

    /// The log was looked at after [`Tail::at`].
    pub(super) fn found(&mut self, found: Found) -> Next {
        let mut next = Next::default();
        match self.at {
            None => self.at = Some(found.top),
            Some(at) if at.epoch == found.top.epoch => {
                if at.offset < found.gone {
                    self.jump(at.epoch, found.gone, &mut next);
                }
                self.fill(found, &mut next);
            }
            Some(_) => {
                self.jump(found.top.epoch, found.gone, &mut next);
                self.fill(found, &mut next);
            }
        }
        if next.look {
            return next;
        }
        self.whole = true;
        let waiting = std::mem::take(&mut self.waiting);
        let current = self.at.map(|at| at.epoch);
        // What waits of an epoch that is over was read, or is gone with it.
        let waiting = waiting.into_iter();
        let waiting = waiting
            .filter(|it| Some(it.stamp.position.epoch) == current || it.stamp.position.offset <= 1);
        let after = self.heard(waiting.collect());
        next.deliver.extend(after.deliver);
        next.look = after.look;
        next
    }

    fn jump(&mut self, epoch: Epoch, offset: u64, next: &mut Next) {
        self.at = Some(Position { epoch, offset });
        next.lost = true;
    }

    fn fill(&mut self, found: Found, next: &mut Next) {
        let some = !found.placed.is_empty();
        for placed in found.placed {
            if !self.take(placed, next) {
                break;
            }
        }
        let reached = self.at.is_some_and(|at| at.offset >= found.top.offset);
        // Without progress the rest is gone: it was trimmed while it was read.
        if !reached && (some || !next.lost) {
            next.look = true;
        }
    }
}

#[cfg(test)]
mod tests;
