//! The broker of a single host: everything in memory, gone with the process.

use super::{Broker, Channel, Fanout, Mail, Publication};
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
    presence: Vec<Mutex<Counts>>,
    hasher: RandomState,
}

impl<M: Mail> MemoryBroker<M> {
    /// A broker that posts to `mail`.
    pub fn new(mail: M) -> Self {
        Self {
            mail,
            presence: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    fn part(&self, tenant: &str, user: &str) -> MutexGuard<'_, Counts> {
        let part = self.hasher.hash_one((tenant, user)) as usize % PARTS;
        self.presence[part]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Mail> Broker for MemoryBroker<M> {
    fn publish(
        &self,
        channel: &Arc<Channel>,
        said: &dyn Fn() -> Arc<Publication>,
        shard: usize,
        origin: u64,
    ) -> Fanout {
        let mut spread = channel.spread();
        spread.offset += 1;
        let elsewhere = spread
            .shards
            .iter()
            .enumerate()
            .any(|(other, on)| other != shard && on.members > 0);
        // Mail that is still on its way to this shard has lower offsets and goes first.
        if !elsewhere && spread.shards[shard].waiting == 0 {
            return Fanout::Here;
        }
        let publication = said();
        for (to, on) in spread.shards.iter_mut().enumerate() {
            if on.members > 0 {
                on.waiting += 1;
                let origin = (to == shard).then_some(origin);
                self.mail.deliver(to, channel, &publication, origin);
            }
        }
        Fanout::ByMail
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Channels;

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
    }

    fn said(message: &str) -> impl Fn() -> Arc<Publication> {
        move || {
            Arc::new(Publication {
                message: message.into(),
                from: "u".into(),
                client: None,
            })
        }
    }

    #[test]
    fn a_publication_goes_by_mail_only_where_others_hear_it_or_mail_is_under_way() {
        let posted = Arc::new(Posted::default());
        let broker = MemoryBroker::new(Arc::clone(&posted));
        let channel = Channels::new(2).get("t", "r");
        channel.entered(0);
        assert_eq!(broker.publish(&channel, &said("1"), 0, 7), Fanout::Here);
        channel.entered(1);
        assert_eq!(broker.publish(&channel, &said("2"), 0, 7), Fanout::ByMail);
        channel.left(1);
        // Shard 0 has not yet taken in the second: the third must not overtake it.
        assert_eq!(broker.publish(&channel, &said("3"), 0, 7), Fanout::ByMail);
        channel.taken_in(0);
        channel.taken_in(0);
        assert_eq!(broker.publish(&channel, &said("4"), 0, 7), Fanout::Here);
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
