//! The broker's contract, over every implementation; and what is true of several hosts on
//! one Redis alone.

mod clustered;
mod figures;
mod several;

use sschat::broker::memory::MemoryBroker;
use sschat::broker::redis::{RedisBroker, Settings};
use sschat::broker::{
    Broker, Channel, Channels, Keeping, Mail, Origin, Position, Publication, Query, Receipt,
    Receipts, Recovery, Retention, Said, Taker, Unrecoverable,
};
use sschat_history::{HistoryError, MemoryHistory, system_clock};
use sschat_tests::{Redis, within};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};

/// What the shards of a host are told.
#[derive(Clone)]
pub(crate) struct Ear(mpsc::UnboundedSender<(String, Option<Position>)>);

impl Mail for Ear {
    fn deliver(&self, _: usize, _: &Arc<Channel>, publication: &Arc<Publication>, _: Option<u64>) {
        let position = publication.stamp.map(|stamp| stamp.position);
        // The test may be over.
        let _ = self.0.send((publication.message.to_string(), position));
    }

    fn acknowledge(&self, _: usize, _: Vec<Receipt>) {}
}

/// A host's broker and what it delivers.
pub(crate) struct Host<B> {
    pub(crate) broker: B,
    pub(crate) channels: Arc<Channels>,
    heard: Mutex<mpsc::UnboundedReceiver<(String, Option<Position>)>>,
}

pub(crate) const RETENTION: Retention = Retention {
    count: 100,
    bytes: 1 << 20,
    age: std::time::Duration::from_secs(3_600),
};

/// So that each has a name of its own.
static HOSTS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn on(redis: &Redis) -> Host<RedisBroker<Ear>> {
    at(&redis.url())
}

/// A host on the Redis or cluster with these URLs.
fn at(urls: &str) -> Host<RedisBroker<Ear>> {
    let (ear, heard) = mpsc::unbounded_channel();
    let channels = Arc::new(Channels::new(1));
    let settings = Settings {
        url: urls.to_owned(),
        host: format!("host-{}", HOSTS.fetch_add(1, Ordering::Relaxed)).into(),
        retention: RETENTION,
        history: true,
    };
    Host {
        broker: RedisBroker::open(&settings, Ear(ear), Arc::clone(&channels)).unwrap(),
        channels,
        heard: Mutex::new(heard),
    }
}

fn alone() -> Host<MemoryBroker<Ear>> {
    let (ear, heard) = mpsc::unbounded_channel();
    let ear = Ear(ear);
    let keeping = Keeping {
        terms: None,
        history: Arc::new(MemoryHistory::new(1 << 20, system_clock())),
        retention: RETENTION,
        receipts: Arc::new(Receipts::new(ear.clone())),
        runtime: tokio::runtime::Handle::current(),
    };
    Host {
        broker: MemoryBroker::new(ear).with_history(keeping),
        channels: Arc::new(Channels::new(1)),
        heard: Mutex::new(heard),
    }
}

impl<B: Broker> Host<B> {
    /// A session hears the room from now on.
    pub(crate) async fn enter(&self, room: &str) -> Arc<Channel> {
        let channel = self.channels.get("t", room);
        if let Some(attended) = self.broker.attend(&[Arc::clone(&channel)]) {
            within("the room is heard", attended).await;
        }
        channel.entered(0);
        channel
    }

    pub(crate) async fn say(&self, room: &str, message: &str, key: Option<&str>) -> Position {
        self.saying(room, message, key).await.unwrap().unwrap()
    }

    pub(crate) async fn saying(
        &self,
        room: &str,
        message: &str,
        key: Option<&str>,
    ) -> sschat::broker::receipts::Outcome {
        let said = Said {
            message,
            from: &"u".into(),
            by: None,
            tags: None,
            key,
            passing: false,
        };
        self.publish(room, &said).await
    }

    /// Says what no history keeps.
    async fn pass(&self, room: &str, message: &str) {
        let said = Said {
            message,
            from: &"u".into(),
            by: None,
            tags: None,
            key: Some("once"),
            passing: true,
        };
        assert_eq!(self.publish(room, &said).await, Ok(None));
    }

    async fn publish(&self, room: &str, said: &Said<'_>) -> sschat::broker::receipts::Outcome {
        let (taker, taken) = oneshot::channel();
        let channel = self.channels.get("t", room);
        let taker = Some(Taker::Task(taker));
        self.broker
            .publish(&channel, said, Origin::Outside, taker)?;
        within("a receipt", taken).await.unwrap()
    }

    pub(crate) async fn hears(&self) -> (String, Option<Position>) {
        let next = std::future::poll_fn(|context| self.heard.lock().unwrap().poll_recv(context));
        within("a publication", next).await.unwrap()
    }

    async fn recover(&self, room: &str, since: Position, limit: usize) -> Recovery {
        let channel = self.channels.get("t", room);
        self.broker.recover(&channel, since, limit).await.unwrap()
    }
}

fn texts(publications: &[Arc<sschat_history::Publication>]) -> Vec<String> {
    let texts = publications.iter();
    texts
        .map(|it| String::from_utf8(it.payload.to_vec()).unwrap())
        .collect()
}

/// What every broker with a history does. `a` and `b`: two hosts, or one and itself.
async fn contract<B: Broker>(a: &Host<B>, b: &Host<B>) {
    let channel = b.enter("r").await;
    let mut last = None;
    for number in 1..=9_u64 {
        let position = a.say("r", &number.to_string(), None).await;
        assert_eq!(position.offset, number);
        assert_eq!(b.hears().await, (number.to_string(), Some(position)));
        last = Some(position);
    }
    let last = last.unwrap();
    let at = |offset| Position { offset, ..last };
    // A key is good for one publication.
    let once = a.say("r", "once", Some("k")).await;
    assert_eq!(b.say("r", "twice", Some("k")).await, once);
    assert_eq!(b.hears().await, ("once".to_owned(), Some(once)));
    // What is passing is heard each time, and has no place.
    for _ in 0..2 {
        a.pass("r", "passing").await;
        assert_eq!(b.hears().await, ("passing".to_owned(), None));
    }
    // History, from both ends and from both hosts.
    for host in [a, b] {
        let channel = host.channels.get("t", "r");
        let query = Query {
            since: Some(at(7)),
            limit: 2,
            reverse: false,
        };
        let page = host.broker.history(&channel, query).await.unwrap();
        assert_eq!(
            (texts(&page.publications), page.top),
            (vec!["8".into(), "9".into()], once)
        );
        let query = Query {
            since: None,
            limit: 2,
            reverse: true,
        };
        let page = host.broker.history(&channel, query).await.unwrap();
        assert_eq!(texts(&page.publications), ["once", "9"]);
        let wrong = Position {
            epoch: sschat::broker::Epoch(7),
            offset: 1,
        };
        let query = Query {
            since: Some(wrong),
            limit: 1,
            reverse: false,
        };
        let error = host.broker.history(&channel, query).await.unwrap_err();
        assert!(matches!(
            error,
            sschat::broker::Unread::History(HistoryError::WrongEpoch)
        ));
    }
    recovery(b, once).await;
    // What was removed is gone everywhere, and so is its epoch.
    b.broker.remove("t", "r").await.unwrap();
    let Recovery::Unrecoverable { reason, top } = a.recover("r", at(7), 9).await else {
        panic!("it was removed");
    };
    assert_eq!((reason, top.offset), (Unrecoverable::WrongEpoch, 0));
    assert_eq!(a.say("r", "anew", None).await.offset, 1);
    assert_eq!(b.hears().await.0, "anew");
    // All at once, with what is passing in between.
    let said = (0..60_u64).map(|number| async move {
        match number % 3 {
            0 => a.pass("r", &number.to_string()).await,
            _ => drop(a.say("r", &number.to_string(), None).await),
        }
    });
    futures::future::join_all(said).await;
    for number in 0..60_u64 {
        let offset = (number % 3 > 0).then_some(1 + number - number / 3);
        let (message, position) = b.hears().await;
        let heard = (message, position.map(|position| position.offset));
        assert_eq!(heard, (number.to_string(), offset));
    }
    drop(channel);
    let other = a.say("other", "1", None).await;
    a.broker.remove_tenant("t").await.unwrap();
    let top = b
        .broker
        .history(&b.channels.get("t", "other"), Query::default());
    assert_ne!(top.await.unwrap().top.epoch, other.epoch);
}

async fn recovery<B: Broker>(host: &Host<B>, top: Position) {
    let at = |offset| Position { offset, ..top };
    let Recovery::Recovered {
        publications,
        top: to,
    } = host.recover("r", at(8), 9).await
    else {
        panic!("nothing is missing");
    };
    assert_eq!(
        (texts(&publications), to),
        (vec!["9".into(), "once".into()], top)
    );
    for (since, limit, why) in [
        (at(99), 9, Unrecoverable::Future),
        (at(2), 3, Unrecoverable::TooMany),
    ] {
        let Recovery::Unrecoverable { reason, .. } = host.recover("r", since, limit).await else {
            panic!("{why:?}");
        };
        assert_eq!(reason, why);
    }
    for number in 0..200 {
        host.say("long", &number.to_string(), None).await;
    }
    let first = host
        .broker
        .history(&host.channels.get("t", "long"), Query::default());
    let top = first.await.unwrap().top;
    let since = |offset| Position { offset, ..top };
    let Recovery::Recovered { publications, .. } = host.recover("long", since(100), 500).await
    else {
        panic!("so many are kept");
    };
    assert_eq!(publications.len(), 100);
    let Recovery::Unrecoverable { reason, .. } = host.recover("long", since(99), 500).await else {
        panic!("so many are not kept");
    };
    assert_eq!(reason, Unrecoverable::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis() {
    let redis = Redis::start();
    let (a, b) = (on(&redis), on(&redis));
    contract(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory() {
    let host = alone();
    contract(&host, &host).await;
}
