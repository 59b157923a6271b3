//! The memory broker with a history: order while a log is being opened, receipts, refusals.

use super::memory::MemoryBroker;
use super::*;
use futures::FutureExt;
use sschat_history::{
    CommitSink, History, HistoryFuture, MemoryHistory, NewPublication, Published, RoomLog,
    system_clock,
};
use std::sync::Mutex;
use tokio::sync::oneshot;

/// What was delivered, as message and offset, and the receipts.
#[derive(Default)]
struct Letters {
    delivered: Mutex<Vec<(usize, String, Option<u64>)>>,
    receipts: Mutex<Vec<(usize, Receipt)>>,
}

impl Mail for Arc<Letters> {
    fn deliver(
        &self,
        shard: usize,
        _: &Arc<Channel>,
        publication: &Arc<Publication>,
        _: Option<u64>,
    ) {
        let offset = publication.stamp.map(|stamp| stamp.position.offset);
        let letter = (shard, publication.message.to_string(), offset);
        self.delivered.lock().unwrap().push(letter);
    }

    fn acknowledge(&self, shard: usize, receipts: Vec<Receipt>) {
        let receipts = receipts.into_iter().map(|receipt| (shard, receipt));
        self.receipts.lock().unwrap().extend(receipts);
    }
}

/// A history in memory that opens when it is told to, well or not.
struct Gated {
    inner: MemoryHistory,
    gate: Mutex<Option<oneshot::Receiver<bool>>>,
}

impl History for Gated {
    fn durable(&self) -> bool {
        false
    }

    fn open(&self, tenant: &str, room: &str, retention: Retention) -> HistoryFuture<Arc<RoomLog>> {
        let opened = self.inner.open(tenant, room, retention);
        match self.gate.lock().unwrap().take() {
            None => opened,
            Some(gate) => async move {
                if gate.await.unwrap() {
                    return opened.await;
                }
                Err(HistoryError::Unavailable("a test says so".into()))
            }
            .boxed(),
        }
    }

    fn publish(
        &self,
        log: &Arc<RoomLog>,
        publication: NewPublication,
        token: u64,
    ) -> Result<Published, PublishError> {
        self.inner.publish(log, publication, token)
    }

    fn read(&self, log: &Arc<RoomLog>, query: Query) -> HistoryFuture<Page> {
        self.inner.read(log, query)
    }

    fn recover(
        &self,
        log: &Arc<RoomLog>,
        since: Position,
        limit: usize,
    ) -> HistoryFuture<Recovery> {
        self.inner.recover(log, since, limit)
    }

    fn remove(&self, tenant: &str, room: &str) -> HistoryFuture<()> {
        self.inner.remove(tenant, room)
    }

    fn remove_tenant(&self, tenant: &str) -> HistoryFuture<()> {
        self.inner.remove_tenant(tenant)
    }

    fn tenant_bytes(&self, tenant: &str) -> HistoryFuture<u64> {
        self.inner.tenant_bytes(tenant)
    }

    fn close(&self) -> HistoryFuture<()> {
        self.inner.close()
    }
}

type Kept = MemoryBroker<Arc<Letters>>;

fn broker() -> (Kept, Arc<Letters>, oneshot::Sender<bool>) {
    let mail = Arc::new(Letters::default());
    let (open, gate) = oneshot::channel();
    let history = Gated {
        inner: MemoryHistory::new(1 << 20, system_clock()),
        gate: Mutex::new(Some(gate)),
    };
    let broker = MemoryBroker::new(Arc::clone(&mail)).with_history(Keeping {
        terms: None,
        history: Arc::new(history),
        retention: Retention::default(),
        receipts: Arc::new(Receipts::new(Arc::clone(&mail))),
        runtime: tokio::runtime::Handle::current(),
    });
    (broker, mail, open)
}

fn say(
    broker: &Kept,
    channel: &Arc<Channel>,
    message: &str,
    taker: Option<Taker>,
) -> Result<Fanout, Refused> {
    let said = Said {
        message,
        from: &"u".into(),
        by: None,
        tags: None,
        key: None,
        passing: false,
    };
    let origin = Origin::Session {
        shard: 0,
        session: 7,
    };
    broker.publish(channel, &said, origin, taker)
}

fn session(command: u32) -> Option<Taker> {
    Some(Taker::Session {
        shard: 0,
        session: 7,
        command,
    })
}

#[tokio::test]
async fn what_is_said_while_a_log_opens_is_heard_in_order() {
    let (broker, mail, open) = broker();
    let channel = Channels::new(1).get("t", "r");
    channel.entered(0);
    assert_eq!(say(&broker, &channel, "1", None), Ok(Fanout::ByMail));
    assert_eq!(say(&broker, &channel, "2", session(5)), Ok(Fanout::ByMail));
    let (taker, taken) = oneshot::channel();
    let third = say(&broker, &channel, "3", Some(Taker::Task(taker)));
    assert_eq!(third, Ok(Fanout::ByMail));
    assert!(mail.delivered.lock().unwrap().is_empty());
    open.send(true).unwrap();
    let position = taken.await.unwrap().unwrap().unwrap();
    assert_eq!(position.offset, 3);
    let expected = [(0, "1".to_owned(), Some(1)), (0, "2".to_owned(), Some(2))];
    let delivered = mail.delivered.lock().unwrap().clone();
    assert_eq!(delivered[..2], expected);
    let receipt = Receipt {
        session: 7,
        command: 5,
        outcome: Ok(Some(Position {
            offset: 2,
            ..position
        })),
    };
    assert_eq!(*mail.receipts.lock().unwrap(), [(0, receipt)]);
    // The shard has yet to take three in: what follows must not overtake them.
    assert_eq!(say(&broker, &channel, "4", None), Ok(Fanout::ByMail));
    (0..4).for_each(|_| channel.taken_in(0));
    let here = say(&broker, &channel, "5", None).unwrap();
    let Fanout::Here(Some(stamp)) = here else {
        panic!("{here:?}");
    };
    assert_eq!(stamp.position.offset, 5);
    let page = broker.history(
        &channel,
        Query {
            limit: 9,
            ..Query::default()
        },
    );
    let page = page.await.unwrap();
    let texts: Vec<_> = page
        .publications
        .iter()
        .map(|it| it.payload.to_vec())
        .collect();
    assert_eq!(texts, [b"1", b"2", b"3", b"4", b"5"]);
}

#[tokio::test]
async fn a_log_that_does_not_open_refuses_and_is_tried_again() {
    let (broker, mail, open) = broker();
    let channel = Channels::new(1).get("t", "r");
    channel.entered(0);
    say(&broker, &channel, "1", None).unwrap();
    let (taker, taken) = oneshot::channel();
    say(&broker, &channel, "2", Some(Taker::Task(taker))).unwrap();
    open.send(false).unwrap();
    let refused = taken.await.unwrap().unwrap_err();
    assert!(matches!(
        refused,
        Refused::Open(HistoryError::Unavailable(_))
    ));
    let told = mail.receipts.lock().unwrap().clone();
    assert_eq!(
        told.len(),
        1,
        "a session that wants no receipt is told of a refusal"
    );
    assert_eq!((told[0].1.command, told[0].1.outcome.is_err()), (0, true));
    let again = say(&broker, &channel, "3", None);
    assert!(matches!(again, Ok(Fanout::Here(Some(_)))), "{again:?}");
    assert!(mail.delivered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_waits_for_a_log_is_bounded() {
    let (broker, _, _open) = broker();
    let channel = Channels::new(1).get("t", "r");
    for _ in 0..WAITING_LIMIT {
        say(&broker, &channel, "1", None).unwrap();
    }
    let refused = say(&broker, &channel, "1", None).unwrap_err();
    assert_eq!(refused, Refused::Open(HistoryError::Busy));
}

#[tokio::test]
async fn a_commit_group_s_receipts_come_in_one_letter() {
    let mail = Arc::new(Letters::default());
    let receipts = Receipts::new(Arc::clone(&mail));
    let position = Position {
        epoch: Epoch(1),
        offset: 9,
    };
    let (task, taken) = oneshot::channel();
    for (token, taker) in [
        (1, session(1)),
        (2, session(2)),
        (3, Some(Taker::Task(task))),
    ] {
        receipts.waiting().insert(token, (taker.unwrap(), position));
    }
    receipts.committed(&[receipts::NOBODY, 1, 3, 77]);
    assert_eq!(taken.await.unwrap(), Ok(Some(position)));
    receipts.abandoned(&[2]);
    let told = mail.receipts.lock().unwrap().clone();
    let told: Vec<_> = told
        .iter()
        .map(|(_, it)| (it.command, it.outcome.is_ok()))
        .collect();
    assert_eq!(told, [(1, true), (2, false)]);
    assert!(receipts.waiting().is_empty());
}

#[tokio::test]
async fn without_history_a_receipt_comes_at_once_and_nothing_is_read() {
    let mail = Arc::new(Letters::default());
    let broker = MemoryBroker::new(Arc::clone(&mail));
    let channel = Channels::new(1).get("t", "r");
    channel.entered(0);
    let said = say(&broker, &channel, "1", session(4));
    assert_eq!(said, Ok(Fanout::Here(None)));
    assert_eq!(mail.receipts.lock().unwrap()[0].1.outcome, Ok(None));
    let read = broker.history(&channel, Query::default()).await;
    assert_eq!(read.unwrap_err(), Unread::NotKept);
    assert_eq!(broker.remove("t", "r").await, Ok(()));
}
