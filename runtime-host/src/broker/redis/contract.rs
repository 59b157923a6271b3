//! The broker's contract over Redis.

use super::asking::Others;
use super::outgoing::{OVERHEAD, QUEUE_BYTES, Waiting};
use super::presence::User;
use super::{RedisBroker, record};
use crate::broker::peers::Peers;
use crate::broker::{
    Broker, Channel, Fanout, Mail, Origin, Page, Position, Query, Reading, Recovery, Refused, Said,
    Taker, Unread, Visit,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use sschat_history::{HistoryError, PAYLOAD_LIMIT, PublishError, TEXT_LIMIT};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl<M: Mail> RedisBroker<M> {
    /// Whether the publication may be put in line.
    fn check(&self, said: &Said<'_>) -> Result<(), Refused> {
        let info = said.by.and_then(|by| by.info.as_ref());
        let texts = [
            ("from", said.from.len()),
            ("client", said.by.map_or(0, |by| by.client.len())),
            ("info", info.map_or(0, |info| info.len())),
            ("key", said.key.map_or(0, str::len)),
        ];
        let long = texts.iter().find(|(_, length)| *length > TEXT_LIMIT);
        if let Some((what, _)) = long {
            return Err(PublishError::TooLarge(what).into());
        }
        if said.message.len() > PAYLOAD_LIMIT {
            return Err(PublishError::TooLarge("payload").into());
        }
        let cost = said.message.len() + OVERHEAD;
        if self.shared.queued.load(Ordering::Relaxed) + cost > QUEUE_BYTES {
            return Err(HistoryError::Busy.into());
        }
        Ok(())
    }
}

fn user(tenant: &str, user: &str) -> User {
    User {
        tenant: tenant.into(),
        user: user.into(),
    }
}

impl<M: Mail> Broker for RedisBroker<M> {
    fn publish(
        &self,
        channel: &Arc<Channel>,
        said: &Said<'_>,
        origin: Origin,
        taker: Option<Taker>,
    ) -> Result<Fanout, Refused> {
        self.check(said)?;
        let taker = match (taker, origin) {
            (None, Origin::Session { shard, session }) => Some(Taker::Session {
                shard,
                session,
                command: 0,
            }),
            (taker, _) => taker,
        };
        let waiting = Waiting {
            channel: Arc::clone(channel),
            record: record::encode(self.shared.host, said, origin),
            key: said.key.map(Into::into),
            passing: said.passing,
            taker,
            since: Instant::now(),
        };
        let cost = waiting.cost();
        self.shared.queued.fetch_add(cost, Ordering::Relaxed);
        match self.queue.send(waiting) {
            Ok(()) => Ok(Fanout::ByMail),
            Err(_) => Err(PublishError::Closed.into()),
        }
    }

    fn keeps_history(&self) -> bool {
        self.shared.kept
    }

    fn position(&self, channel: &Channel, shard: usize) -> Option<Position> {
        self.shared.rooms.settled(channel, shard)
    }

    fn history(&self, channel: &Arc<Channel>, query: Query) -> Reading<Page> {
        if !self.shared.kept {
            return futures::future::ready(Err(Unread::NotKept)).boxed();
        }
        self.reading(Arc::clone(&self.shared).page(Arc::clone(channel), query))
    }

    fn recover(&self, channel: &Arc<Channel>, since: Position, limit: usize) -> Reading<Recovery> {
        if !self.shared.kept {
            return futures::future::ready(Err(Unread::NotKept)).boxed();
        }
        self.reading(Arc::clone(&self.shared).missed(Arc::clone(channel), since, limit))
    }

    fn remove(&self, tenant: &str, room: &str) -> Reading<()> {
        self.reading(Arc::clone(&self.shared).remove(tenant.into(), room.into()))
    }

    fn remove_tenant(&self, tenant: &str) -> Reading<()> {
        self.reading(Arc::clone(&self.shared).remove_all(tenant.into()))
    }

    fn attend(&self, channels: &[Arc<Channel>]) -> Option<BoxFuture<'static, ()>> {
        let attended = channels.iter().map(|it| self.shared.attended(it));
        let waiting: Vec<_> = attended.filter_map(Result::err).collect();
        if waiting.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            futures::future::join_all(waiting.iter().map(|room| room.heard())).await;
        }))
    }

    fn arrived_in(&self, tenant: &str, name: &str, channels: &[Arc<Channel>]) -> bool {
        self.shared.presence.arrived(user(tenant, name), channels)
    }

    fn departed_from(&self, tenant: &str, name: &str, channels: &[Arc<Channel>]) -> bool {
        self.shared.presence.departed(user(tenant, name), channels)
    }

    fn arrived(&self, tenant: &str, user: &str) -> bool {
        self.arrived_in(tenant, user, &[])
    }

    fn departed(&self, tenant: &str, user: &str) -> bool {
        self.departed_from(tenant, user, &[])
    }

    fn online(&self, tenant: &str, name: &str) -> bool {
        self.shared.presence.online(&user(tenant, name))
    }

    fn population(&self, tenant: &str) -> (usize, usize) {
        self.shared.presence.population(tenant)
    }

    fn lag(&self) -> Option<Duration> {
        Some(self.shared.pulse.lag())
    }

    fn is_listened(&self) -> bool {
        self.shared.presence.is_listened()
    }

    fn listens(&self, more: bool) {
        self.shared.presence.listens(more);
    }

    fn visits(&self, channel: &Arc<Channel>, visit: &Visit) {
        self.shared.visits(channel, visit);
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        Some(Arc::new(Others(Arc::clone(&self.shared))))
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        let running = self.shared.runtime.spawn(async move {
            let link = shared.link.borrow().clone();
            if let Some(link) = link {
                shared.farewell(&link).await;
            }
        });
        Box::pin(async move { drop(running.await) })
    }
}
