//! The broker of a single host. Presence is in memory and gone with the process; so are
//! publications, but for what the history keeps.

use super::channels::Spread;
use super::keeping::{Keeping, Log, WAITING_LIMIT, Waiting, report};
use super::{
    Broker, Channel, Fanout, Mail, Origin, Position, Publication, Query, Reading, Recovery,
    Refused, Said, Stamp, Taker, Unread, receipts,
};
use futures::FutureExt;
use sschat_history::{HistoryError, HistoryFuture, Page};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts of the presence table, so that shards seldom wait for each other.
const PARTS: usize = 32;

type Counts = HashMap<(Box<str>, Box<str>), u32>;

/// See the module's documentation.
pub struct MemoryBroker<M: Mail> {
    mail: M,
    keeping: Option<Arc<Keeping<M>>>,
    presence: Vec<Mutex<Counts>>,
    hasher: RandomState,
}

impl<M: Mail> MemoryBroker<M> {
    /// A broker that posts to `mail` and keeps no history.
    pub fn new(mail: M) -> Self {
        Self {
            mail,
            keeping: None,
            presence: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Keeps the history of every room.
    #[must_use]
    pub fn with_history(mut self, keeping: Keeping<M>) -> Self {
        self.keeping = Some(Arc::new(keeping));
        self
    }

    fn part(&self, tenant: &str, user: &str) -> MutexGuard<'_, Counts> {
        let part = self.hasher.hash_one((tenant, user)) as usize % PARTS;
        self.presence[part]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn fan_out(
        &self,
        channel: &Arc<Channel>,
        spread: &mut Spread,
        said: &Said<'_>,
        origin: Origin,
        stamp: Option<Stamp>,
    ) -> Fanout {
        if let Origin::Session { shard, .. } = origin {
            let elsewhere = spread
                .shards
                .iter()
                .enumerate()
                .any(|(other, on)| other != shard && on.members > 0);
            // Mail that is still on its way to this shard has lower offsets and goes first.
            if !elsewhere && spread.shards[shard].waiting == 0 {
                return Fanout::Here(stamp);
            }
        }
        post(&self.mail, channel, spread, said, origin, stamp);
        Fanout::ByMail
    }

    /// Publishes into a channel that has history.
    fn publish_kept(
        &self,
        keeping: &Arc<Keeping<M>>,
        channel: &Arc<Channel>,
        said: &Said<'_>,
        origin: Origin,
        taker: Option<Taker>,
    ) -> Result<Fanout, Refused> {
        let mut spread = channel.spread();
        keeping.begin(channel, &mut spread)?;
        match &mut spread.log {
            Log::Open(log) => {
                let log = Arc::clone(log);
                match keeping.append((&log, channel.tap.as_ref()), said, taker) {
                    Ok(None) => Ok(Fanout::ByMail),
                    Ok(stamp) => Ok(self.fan_out(channel, &mut spread, said, origin, stamp)),
                    Err((_, error)) => Err(error.into()),
                }
            }
            Log::Opening(waiting) if waiting.len() < WAITING_LIMIT => {
                waiting.push(Waiting::new(said, origin, taker));
                Ok(Fanout::ByMail)
            }
            Log::Opening(_) | Log::Unopened => Err(HistoryError::Busy.into()),
        }
    }

    fn reading<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&Arc<Keeping<M>>) -> HistoryFuture<T>,
    ) -> Reading<T> {
        match &self.keeping {
            None => futures::future::ready(Err(Unread::NotKept)).boxed(),
            Some(keeping) => begin(keeping).map(|read| Ok(read?)).boxed(),
        }
    }
}

/// Posts a publication to every shard with members.
pub(super) fn post<M: Mail>(
    mail: &M,
    channel: &Arc<Channel>,
    spread: &mut Spread,
    said: &Said<'_>,
    origin: Origin,
    stamp: Option<Stamp>,
) {
    let publication = Arc::new(Publication {
        message: said.message.into(),
        from: Arc::clone(said.from),
        by: said.by.cloned(),
        tags: said.tags.cloned(),
        stamp,
    });
    for (to, on) in spread.shards.iter_mut().enumerate() {
        if on.members > 0 {
            on.waiting += 1;
            let origin = match origin {
                Origin::Session { shard, session } if to == shard => Some(session),
                _ => None,
            };
            mail.deliver(to, channel, &publication, origin);
        }
    }
}

impl<M: Mail> Broker for MemoryBroker<M> {
    fn publish(
        &self,
        channel: &Arc<Channel>,
        said: &Said<'_>,
        origin: Origin,
        taker: Option<Taker>,
    ) -> Result<Fanout, Refused> {
        if let Some(keeping) = &self.keeping
            && !said.passing
        {
            return self.publish_kept(keeping, channel, said, origin, taker);
        }
        let mut spread = channel.spread();
        report(
            channel.tap.as_ref(),
            (&channel.room, said),
            None,
            receipts::NOBODY,
        );
        let fanout = self.fan_out(channel, &mut spread, said, origin, None);
        drop(spread);
        if let Some(taker) = taker {
            receipts::give(&self.mail, taker, Ok(None));
        }
        Ok(fanout)
    }

    fn keeps_history(&self) -> bool {
        self.keeping.is_some()
    }

    fn position(&self, channel: &Channel, shard: usize) -> Option<Position> {
        let spread = channel.spread();
        match &spread.log {
            Log::Open(log) if spread.shards[shard].waiting == 0 => Some(log.top()),
            _ => None,
        }
    }

    fn history(&self, channel: &Arc<Channel>, query: Query) -> Reading<Page> {
        self.reading(|keeping| {
            let (history, log) = (Arc::clone(&keeping.history), keeping.log(channel));
            async move { history.read(&log.await?, query).await }.boxed()
        })
    }

    fn recover(&self, channel: &Arc<Channel>, since: Position, limit: usize) -> Reading<Recovery> {
        self.reading(|keeping| {
            let (history, log) = (Arc::clone(&keeping.history), keeping.log(channel));
            async move { history.recover(&log.await?, since, limit).await }.boxed()
        })
    }

    fn remove(&self, tenant: &str, room: &str) -> Reading<()> {
        match &self.keeping {
            None => futures::future::ready(Ok(())).boxed(),
            Some(keeping) => keeping
                .history
                .remove(tenant, room)
                .map(|it| Ok(it?))
                .boxed(),
        }
    }

    fn remove_tenant(&self, tenant: &str) -> Reading<()> {
        match &self.keeping {
            None => futures::future::ready(Ok(())).boxed(),
            Some(keeping) => {
                let removed = keeping.history.remove_tenant(tenant);
                removed.map(|it| Ok(it?)).boxed()
            }
        }
    }

    fn arrived(&self, tenant: &str, user: &str) -> bool {
        let mut counts = self.part(tenant, user);
        let count = counts.entry((tenant.into(), user.into())).or_insert(0);
        *count += 1;
        *count == 1
    }

    fn departed(&self, tenant: &str, user: &str) -> bool {
        let mut counts = self.part(tenant, user);
        let key = (tenant.into(), user.into());
        let Some(count) = counts.get_mut(&key) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        counts.remove(&key);
        true
    }

    fn online(&self, tenant: &str, user: &str) -> bool {
        self.part(tenant, user)
            .contains_key(&(tenant.into(), user.into()))
    }

    fn population(&self, tenant: &str) -> (usize, usize) {
        let (mut users, mut sessions) = (0, 0);
        for part in &self.presence {
            let counts = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, count) in counts.iter().filter(|((of, _), _)| **of == *tenant) {
                users += 1;
                sessions += *count as usize;
            }
        }
        (users, sessions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Channels, Receipt};

    #[derive(Default)]
    struct Posted(Mutex<Vec<(usize, String, Option<u64>)>>);

    impl Mail for Arc<Posted> {
        fn deliver(
            &self,
            shard: usize,
            _: &Arc<Channel>,
            publication: &Arc<Publication>,
            origin: Option<u64>,
        ) {
            let message = publication.message.to_string();
            self.0.lock().unwrap().push((shard, message, origin));
        }

        fn acknowledge(&self, _: usize, _: Vec<Receipt>) {}
    }

    const ORIGIN: Origin = Origin::Session {
        shard: 0,
        session: 7,
    };

    fn say<M: Mail>(broker: &MemoryBroker<M>, channel: &Arc<Channel>, message: &str) -> Fanout {
        let said = Said {
            message,
            from: &"u".into(),
            by: None,
            tags: None,
            key: None,
            passing: false,
        };
        broker.publish(channel, &said, ORIGIN, None).unwrap()
    }

    #[test]
    fn a_publication_goes_by_mail_only_where_others_hear_it_or_mail_is_under_way() {
        let posted = Arc::new(Posted::default());
        let broker = MemoryBroker::new(Arc::clone(&posted));
        let channel = Channels::new(2).get("t", "r");
        channel.entered(0);
        assert_eq!(say(&broker, &channel, "1"), Fanout::Here(None));
        channel.entered(1);
        assert_eq!(say(&broker, &channel, "2"), Fanout::ByMail);
        channel.left(1);
        // Shard 0 has not yet taken in the second: the third must not overtake it.
        assert_eq!(say(&broker, &channel, "3"), Fanout::ByMail);
        channel.taken_in(0);
        channel.taken_in(0);
        assert_eq!(say(&broker, &channel, "4"), Fanout::Here(None));
        let posted = posted.0.lock().unwrap();
        let expected = [(0, "2", Some(7)), (1, "2", None), (0, "3", Some(7))];
        assert!(
            posted
                .iter()
                .map(|(s, m, o)| (*s, m.as_str(), *o))
                .eq(expected)
        );
    }

    #[test]
    fn a_user_is_online_from_the_first_session_to_the_last() {
        let broker = MemoryBroker::new(Arc::new(Posted::default()));
        assert!(broker.arrived("t", "u"));
        assert!(!broker.arrived("t", "u"));
        assert!(
            !broker.online("other", "u"),
            "another tenant's user of that name"
        );
        assert!(!broker.departed("t", "u"));
        assert!(broker.online("t", "u"));
        assert!(broker.departed("t", "u"));
        assert!(!broker.online("t", "u"));
        assert!(!broker.departed("t", "u"), "nobody is left to depart");
    }
}
