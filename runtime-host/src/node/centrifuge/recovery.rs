//! What a client missed of a channel: where it says that it was, what the history has since, and what it is told.
//!
//! All or nothing: either everything between the two positions is there, or the client is told that it is not.

use super::filters::{Kept, looked_at};
use super::publish::shown;
use crate::broker::{
    Broker, Channel, Epoch, Position, Publication as Said, Query, Recovery, Unread, Unrecoverable,
};
use crate::node::Heard;
use futures::future::BoxFuture;
use sschat_protocol::centrifuge::{Payload, Publication, Subscription};
use std::sync::Arc;

/// The most publications that one answer brings, and that are set aside for a client: many times what a room keeps
/// by default.
const PUBLICATIONS: usize = 4_096;

/// Where a client says that it was.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// The epoch; empty: whichever it is.
    pub(super) epoch: Box<str>,
    /// The offset of the last publication that it has.
    pub(super) offset: u64,
}

/// What a client catches up for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its connect, which is answered once it caught up with all its rooms.
    Connect,
    /// A subscribe.
    Subscribe(Asked),
    /// A room that it became a member of.
    Membership,
}

/// A subscribe that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The command's id.
    pub(super) id: u32,
    /// When the subscription ends by its token, in seconds since 1970.
    pub(super) expires: Option<u64>,
    /// Whether the client wants to be told who comes and goes.
    pub(super) join_leave: bool,
    /// Whether it hears publications as differences.
    pub(super) deltas: bool,
    /// Which publications it wants, where not all.
    pub(super) filter: Option<Kept>,
    /// Whether it is refused where it can't recover.
    pub(super) strict: bool,
}

/// A channel that a client catches up with.
pub(super) struct CatchUp {
    /// Unlike that of every other on this shard.
    pub(super) serial: u64,
    pub(super) heard: Heard,
    pub(super) purpose: Purpose,
    pub(super) claim: Option<Claim>,
    pub(super) aside: Aside,
    pub(super) read: Option<Read>,
}

/// What was said while the history was read.
#[derive(Default)]
pub(super) struct Aside {
    said: Vec<Arc<Said>>,
    bytes: usize,
    /// Where the channel is after the last of it.
    last: Option<Position>,
    /// More was said than is set aside.
    overflowed: bool,
}

/// What reading the history came to.
pub(crate) type Read = Result<Recovery, Unread>;

/// What a client is told of a channel.
#[derive(Default)]
pub(super) struct Caught {
    position: Option<(String, u64)>,
    missed: Vec<Arc<sschat_history::Publication>>,
    aside: Vec<Arc<Said>>,
    recovered: bool,
    was_recovering: bool,
}

impl Caught {
    /// At a position that is known, without anything missed.
    pub(super) fn at(position: Position, was_recovering: bool) -> Self {
        Self {
            position: Some((position.epoch.to_string(), position.offset)),
            recovered: was_recovering,
            was_recovering,
            ..Self::default()
        }
    }

    /// In a channel that the client hears already; what it missed before that is not given.
    pub(super) fn heard_since(position: Option<Position>, was_recovering: bool) -> Self {
        let known = position.map(|position| Self::at(position, false));
        Self {
            was_recovering,
            ..known.unwrap_or_default()
        }
    }

    pub(super) fn recovered(&self) -> bool {
        self.recovered || !self.was_recovering
    }

    /// What was missed and is wanted, as the protocol has it; `deltas`: for who hears differences, who is given it
    /// whole.
    pub(super) fn publications(&self, deltas: bool, filter: Option<&Kept>) -> Vec<Publication<'_>> {
        let wants = |tags| filter.is_none_or(|filter| filter.matches(&looked_at(tags)));
        let missed = self.missed.iter().filter(|it| wants(it.tags.as_ref()));
        let missed = missed.map(|it| kept(it));
        let aside = self.aside.iter().filter(|it| wants(it.tags.as_ref()));
        let aside = aside.map(|it| Publication {
            offset: it.stamp.map_or(0, |stamp| stamp.position.offset),
            time: it.stamp.map_or(0, |stamp| stamp.time as i64),
            ..shown(
                it.message.as_bytes(),
                &it.from,
                (it.by.as_deref(), it.tags.as_ref()),
            )
        });
        let mut all: Vec<_> = missed.chain(aside).collect();
        for publication in all.iter_mut().filter(|_| deltas) {
            if let Payload::Whole(data) = publication.data {
                publication.data = Payload::Base(data);
            }
        }
        all
    }

    pub(super) fn subscription<'a>(
        &'a self,
        publications: &'a [Publication<'a>],
    ) -> Subscription<'a> {
        let (epoch, offset) = match &self.position {
            Some((epoch, offset)) => (&**epoch, *offset),
            None => ("", 0),
        };
        Subscription {
            recoverable: self.position.is_some(),
            positioned: self.position.is_some(),
            epoch,
            // The position before the first of them.
            offset: publications.first().map_or(offset, |it| it.offset - 1),
            publications,
            recovered: self.recovered,
            was_recovering: self.was_recovering,
            ..Subscription::default()
        }
    }
}

/// A publication out of the history.
pub(super) fn kept(publication: &sschat_history::Publication) -> Publication<'_> {
    let from = publication.from.as_deref().unwrap_or_default();
    Publication {
        offset: publication.offset,
        time: publication.time as i64,
        ..shown(
            &publication.payload,
            from,
            (publication.by.as_deref(), publication.tags.as_ref()),
        )
    }
}

impl CatchUp {
    pub(super) fn set_aside(&mut self, said: &Arc<Said>, limit: usize) {
        let aside = &mut self.aside;
        aside.last = said.stamp.map(|stamp| stamp.position);
        aside.bytes += said.message.len();
        if aside.said.len() >= PUBLICATIONS || aside.bytes > limit {
            aside.overflowed = true;
            aside.said = Vec::new();
        } else {
            aside.said.push(Arc::clone(said));
        }
    }

    /// Whether the history was read.
    pub(super) fn is_read(&self) -> bool {
        self.read.is_some()
    }

    /// Whether the history can't be read just now. Who was let in without a position could never recover.
    pub(super) fn is_in_vain(&self) -> bool {
        matches!(&self.read, Some(Err(unread)) if unread.passes())
    }

    /// What the client is told. `budget`: the bytes that it may be given, of which this takes its part.
    pub(super) fn caught(self, budget: &mut usize) -> Caught {
        let was_recovering = self.claim.is_some();
        let Self { aside, read, .. } = self;
        let (missed, top, mut recovered) = match read {
            Some(Ok(Recovery::Recovered { publications, top })) => (publications, top, true),
            Some(Ok(Recovery::Unrecoverable { top, .. })) => (Vec::new(), top, false),
            Some(Err(_)) | None => {
                return Caught {
                    was_recovering,
                    ..Caught::default()
                };
            }
        };
        let after = |said: &Arc<Said>| {
            let position = said.stamp.map(|stamp| stamp.position);
            position.is_some_and(|it| it.epoch != top.epoch || it.offset > top.offset)
        };
        let mut aside_after = aside.said;
        aside_after.retain(after);
        let changed = aside.last.is_some_and(|last| last.epoch != top.epoch);
        let payloads = missed.iter().map(|it| it.payload.len());
        let bytes: usize = payloads.sum::<usize>() + aside.bytes;
        recovered &= !aside.overflowed && !changed && bytes <= *budget;
        let last = aside.last.filter(|it| changed || it.offset > top.offset);
        let position = last.unwrap_or(top);
        if !recovered || !was_recovering {
            return Caught {
                recovered: false,
                was_recovering,
                ..Caught::at(position, false)
            };
        }
        *budget -= bytes;
        Caught {
            missed,
            aside: aside_after,
            ..Caught::at(position, true)
        }
    }
}

impl Claim {
    pub(super) fn is(&self, position: Position) -> bool {
        self.offset == position.offset
            && (self.epoch.is_empty() || *self.epoch == *position.epoch.to_string())
    }
}

/// Reads what follows a claimed position; without one, where the channel is.
pub(super) fn read(
    broker: &Arc<dyn Broker>,
    channel: &Arc<Channel>,
    claim: Option<Claim>,
) -> BoxFuture<'static, Read> {
    let (broker, channel) = (Arc::clone(broker), Arc::clone(channel));
    Box::pin(async move {
        let top = |broker: &Arc<dyn Broker>| broker.history(&channel, Query::default());
        let unrecoverable = |top| Recovery::Unrecoverable {
            reason: Unrecoverable::WrongEpoch,
            top,
        };
        let Some(claim) = claim else {
            let top = top(&broker).await?.top;
            let publications = Vec::new();
            return Ok(Recovery::Recovered { publications, top });
        };
        let epoch = match claim.epoch.parse::<Epoch>() {
            Ok(epoch) => epoch,
            Err(_) if claim.epoch.is_empty() => top(&broker).await?.top.epoch,
            Err(_) => return Ok(unrecoverable(top(&broker).await?.top)),
        };
        let since = Position {
            epoch,
            offset: claim.offset,
        };
        broker.recover(&channel, since, PUBLICATIONS).await
    })
}
