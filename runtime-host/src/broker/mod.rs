//! Publications, their history, and presence between the shards of a host and between
//! hosts.
//!
//! This module owns the contract ([`Broker`]); a [`Channel`] is the broker's key of a room. One file per implementation stands beside it; [`receipts`] takes the news
//! that a publication is durable back to who published it.
//!
//! Absent on purpose: how history is kept (`sschat-history`), and who may publish or read.

mod channels;
mod keeping;
pub mod memory;
pub mod peers;
pub mod receipts;
pub mod redis;

pub use channels::{Channel, Channels};
pub use keeping::{Keeping, Kept, Retentions, Standing, WAITING_LIMIT};
pub use receipts::{Receipt, Receipts, Taker};
pub use sschat_history::{
    Epoch, Page, Position, Query, Recovery, Retention, Speaker, Tags, Unrecoverable,
};

use futures::future::BoxFuture;
use sschat_history::{HistoryError, PublishError};
use std::sync::Arc;
use std::time::Duration;

/// What is to be published.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The message: a JSON value as text.
    pub message: &'a str,
    /// Who says it; empty for the tenant's backend.
    pub from: &'a Arc<str>,
    /// The connection that says it, where its protocol names connections.
    pub by: Option<&'a Arc<Speaker>>,
    /// Its tags, if any.
    pub tags: Option<&'a Tags>,
    /// Where the channel has history, a second publication with this key within
    /// [`sschat_history::KEY_WINDOW`] is the first one again.
    pub key: Option<&'a str>,
    /// Whether the channel's history leaves it out: it has no offset, and who is not there misses it.
    pub passing: bool,
}

/// Who publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A session on this shard, which takes in what is to be fanned out there.
    Session {
        /// The shard.
        shard: usize,
        /// The session.
        session: u64,
    },
    /// Nobody on a shard.
    Outside,
}

/// Where and when a publication was put into the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its epoch and offset.
    pub position: Position,
    /// Milliseconds since 1970.
    pub time: u64,
}

/// A publication on its way.
#[derive(Debug)]
pub struct Publication {
    /// The message: a JSON value as text.
    pub message: Box<str>,
    /// Who said it; empty for the tenant's backend.
    pub from: Arc<str>,
    /// The connection that said it, where its protocol names connections.
    pub by: Option<Arc<Speaker>>,
    /// Its tags, if any.
    pub tags: Option<Tags>,
    /// Its place in the channel's history, if there is one.
    pub stamp: Option<Stamp>,
}

/// Where a publication is to be fanned out by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fanout {
    /// Only sessions of the caller's own shard hear it: it takes it in at once.
    Here(Option<Stamp>),
    /// It comes to every shard by its mailbox, the caller's included. Also where nobody is
    /// to hear it because its key was seen before.
    ByMail,
}

/// A session that came into a room or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Its user.
    pub user: Arc<str>,
    /// The name of its connection.
    pub client: Arc<str>,
    /// What its token says of it: JSON.
    pub info: Option<Arc<str>>,
    /// Whether it came.
    pub came: bool,
}

/// Why a publication was refused. None of it has any effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The history refuses it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The channel's history can't be opened, or too much waits until it is.
    #[error(transparent)]
    Open(#[from] HistoryError),
}

impl Refused {
    /// Whether it can never succeed, however often it is tried.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Publish(PublishError::TooLarge(_)))
    }
}

/// Why history was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The room keeps none.
    #[error("the room keeps no history")]
    NotKept,
    /// It could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl Unread {
    /// Whether it may be read soon.
    pub fn passes(&self) -> bool {
        use HistoryError::{Busy, Closed, Unavailable};
        matches!(self, Self::History(Busy | Closed | Unavailable(_)))
    }
}

/// What reading history comes to, on any executor.
pub type Reading<T> = BoxFuture<'static, Result<T, Unread>>;

/// Takes publications and receipts to the shards.
pub trait Mail: Send + Sync + 'static {
    /// Puts the publication into the mailbox of `shard`. `origin` names the publishing
    /// session where it lives on that shard, so that it is left out.
    fn deliver(
        &self,
        shard: usize,
        channel: &Arc<Channel>,
        publication: &Arc<Publication>,
        origin: Option<u64>,
    );

    /// Tells sessions of `shard` what became of what they published: all of one commit
    /// group in one letter.
    fn acknowledge(&self, shard: usize, receipts: Vec<Receipt>);

    /// Publications of a channel may have been lost on their way to this host, for good:
    /// whoever counts its offsets is to be told.
    fn lost(&self, _: &Arc<Channel>) {}

    /// A session of another host came into a room or left it.
    fn visited(&self, _: &Arc<Channel>, _: Visit) {}

    /// A user came online or went offline at another host, who is heard in these channels.
    fn elsewhere(&self, _user: &str, _online: bool, _channels: Vec<Arc<Channel>>) {}
}

/// Publications, offsets, history and presence.
///
/// Order: the publications of one channel reach every shard in the order of their
/// offsets. Delivery: at most once to each session that hears the channel when the
/// publication is accepted; it does not wait for the disk. Durability: a receipt is given
/// once the publication survives `kill -9` and a power cut, where history is durable; where
/// it is not, or there is none, at once. Expiry: presence lasts while a session of the user
/// lives; history as long as [`Retention`] says.
pub trait Broker: Send + Sync + 'static {
    /// Accepts a publication and, where the channel has history, assigns its offset.
    /// `taker` is given the receipt, also where it is refused later, because the history
    /// could not be opened; without one, a session of `origin` is told of such a refusal.
    ///
    /// The lock of the channel is held while its offset is assigned and the mail is
    /// posted, so that mail keeps the order of offsets.
    ///
    /// # Errors
    /// Where it is refused at once: then nobody hears it and no receipt is given.
    fn publish(
        &self,
        channel: &Arc<Channel>,
        said: &Said<'_>,
        origin: Origin,
        taker: Option<Taker>,
    ) -> Result<Fanout, Refused>;

    /// Whether publications are given offsets and kept.
    fn keeps_history(&self) -> bool;

    /// Where the channel is, if that is known at once and no publication is on its way to
    /// `shard`: then a session of that shard hears exactly what follows.
    fn position(&self, channel: &Channel, shard: usize) -> Option<Position>;

    /// Publications of a channel, as they were together at one moment. `query.since` with
    /// another epoch than the channel's is [`HistoryError::WrongEpoch`].
    fn history(&self, channel: &Arc<Channel>, query: Query) -> Reading<Page>;

    /// Everything after `since` up to the top, `limit` publications at most, or why not.
    /// A session that is seated before it asks misses nothing: what it hears meanwhile and
    /// finds here too, has the same offset.
    fn recover(&self, channel: &Arc<Channel>, since: Position, limit: usize) -> Reading<Recovery>;

    /// Removes a room's history: it has another epoch at once. Ends when that is durable;
    /// at once where there is no history.
    fn remove(&self, tenant: &str, room: &str) -> Reading<()>;

    /// Removes the history of all rooms of a tenant, as [`Broker::remove`] does.
    fn remove_tenant(&self, tenant: &str) -> Reading<()>;

    /// Sees to it that what other hosts publish in these channels is heard here; done when
    /// it is. `None` where it is so already.
    fn attend(&self, _: &[Arc<Channel>]) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// The same as [`Broker::arrived`], with the channels that the user is heard in.
    fn arrived_in(&self, tenant: &str, user: &str, _: &[Arc<Channel>]) -> bool {
        self.arrived(tenant, user)
    }

    /// The same as [`Broker::departed`], with the channels that the user was heard in.
    fn departed_from(&self, tenant: &str, user: &str, _: &[Arc<Channel>]) -> bool {
        self.departed(tenant, user)
    }

    /// Whether sessions of other hosts want to hear who comes and goes, as far as is known.
    fn is_listened(&self) -> bool {
        false
    }

    /// One more session of this host wants to hear who comes and goes, or one less.
    fn listens(&self, _more: bool) {}

    /// Tells other hosts that hear the channel that a session of this one came or went. At most once: where Redis is out
    /// of reach nobody hears of it.
    fn visits(&self, _: &Arc<Channel>, _: &Visit) {}

    /// The other hosts, where there may be any.
    fn peers(&self) -> Option<Arc<dyn peers::Peers>> {
        None
    }

    /// How long what this host says to all hosts takes to come back to it, or since when it has been awaited in vain.
    /// Nothing where there are no others.
    fn lag(&self) -> Option<Duration> {
        None
    }

    /// Says farewell to other hosts, where there are any.
    fn close(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// A session of the user began. Says whether the user was offline.
    fn arrived(&self, tenant: &str, user: &str) -> bool;

    /// A session of the user ended. Says whether the user is offline now.
    fn departed(&self, tenant: &str, user: &str) -> bool;

    /// Whether the user has a session.
    fn online(&self, tenant: &str, user: &str) -> bool;

    /// The tenant's users who are online at this host, and how many sessions they have. Looks
    /// through everybody who is.
    fn population(&self, tenant: &str) -> (usize, usize);
}

#[cfg(test)]
mod tests;
