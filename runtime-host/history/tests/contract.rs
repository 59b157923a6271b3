//! One suite over all implementations of the history.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod common;

use common::*;
use futures::executor::block_on;
use sschat_history::{
    Ack, Epoch, HistoryError, KEY_WINDOW, NewPublication, PAYLOAD_LIMIT, PUBLICATION_OVERHEAD,
    Position, PublishError, Query, Recovery, Retention, Unrecoverable,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MEMORY: u64 = 64 << 20;

/// Makes a test of each implementation out of each function.
macro_rules! suite {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(super::Subject::new(false, super::MEMORY)); })*
        }
        mod durable {
            $(#[test] fn $name() { super::$name(super::Subject::new(true, super::MEMORY)); })*
        }
    };
}

suite! {
    offsets_count_from_one_and_reading_gives_them
    pages_go_forward_and_backward_from_a_position
    a_key_seen_before_publishes_nothing
    retention_is_exact
    recover_or_be_told
    a_removed_channel_has_another_epoch
    a_removed_tenant_leaves_nothing_and_touches_no_other
    acknowledgements_come_in_order
    what_is_too_large_is_refused
    threads_get_different_offsets
    a_closed_history_refuses
}

fn offsets_count_from_one_and_reading_gives_them(subject: Subject) {
    let log = subject.log("r");
    assert_eq!(log.top().offset, 0);
    assert_eq!(subject.say(&log, "1"), 1);
    let tags = Arc::from([("lang".into(), "en".into())]);
    let new = NewPublication {
        payload: "2".into(),
        tags: Some(Arc::clone(&tags)),
        ..NewPublication::default()
    };
    let second = subject.publish(&log, new).publication.unwrap();
    assert_eq!((second.offset, second.time), (2, 1_000_000_000));
    let page = subject.read(&log, everything());
    assert_eq!(offsets(&page), [1, 2]);
    assert!(page.complete);
    assert_eq!(page.top, log.top());
    assert_eq!(page.publications[0].from.as_deref(), Some("u"));
    assert!(
        Arc::ptr_eq(&page.publications[1], &second),
        "shared, not copied"
    );
    assert_eq!(page.publications[1].tags, Some(tags));
    let other = subject.log("other");
    assert_eq!(subject.all(&other), [0; 0]);
    assert_ne!(other.top().epoch, log.top().epoch);
    assert!(Arc::ptr_eq(&log, &subject.log("r")));
}

fn pages_go_forward_and_backward_from_a_position(subject: Subject) {
    let log = subject.log("r");
    (1..=6).for_each(|at| assert_eq!(subject.say(&log, "x"), at));
    let epoch = log.top().epoch;
    let page = |since: Option<u64>, limit, reverse| {
        let since = since.map(|offset| Position { epoch, offset });
        let query = Query {
            since,
            limit,
            reverse,
        };
        let page = subject.read(&log, query);
        (offsets(&page), page.complete)
    };
    assert_eq!(page(None, 2, false), (vec![1, 2], true));
    assert_eq!(page(None, 2, true), (vec![6, 5], true));
    assert_eq!(page(Some(2), 3, false), (vec![3, 4, 5], true));
    assert_eq!(page(Some(3), 9, true), (vec![2, 1], true));
    assert_eq!(page(Some(6), 9, false), (vec![], true));
    assert_eq!(page(Some(7), 9, false), (vec![], false));
    assert_eq!(page(Some(u64::MAX), 2, true), (vec![6, 5], false));
    assert_eq!(page(None, 0, false), (vec![], true));
    let since = Some(Position {
        epoch: Epoch(epoch.0 ^ 1),
        offset: 1,
    });
    let query = Query {
        since,
        ..everything()
    };
    let read = block_on(subject.history().read(&log, query));
    assert_eq!(read.unwrap_err(), HistoryError::WrongEpoch);
}

fn a_key_seen_before_publishes_nothing(mut subject: Subject) {
    let keyed = |key: &str| NewPublication {
        key: Some(key.into()),
        ..said("x")
    };
    let mut log = subject.log("r");
    assert_eq!(subject.publish(&log, keyed("a")).position.offset, 1);
    assert_eq!(subject.publish(&log, keyed("b")).position.offset, 2);
    for reopened in [false, true] {
        if reopened {
            drop(log);
            subject.reopen();
            log = subject.log("r");
        }
        let again = subject.publish(&log, keyed("a"));
        assert_eq!(again.position.offset, 1);
        assert!(again.publication.is_none(), "nothing to fan out");
        assert_eq!(log.top().offset, 2);
    }
    let other = subject.log("other");
    assert!(subject.publish(&other, keyed("a")).publication.is_some());
    subject.pass(KEY_WINDOW.as_millis() as u64);
    assert_eq!(subject.publish(&log, keyed("a")).position.offset, 3);
}

fn retention_is_exact(subject: Subject) {
    let retention = Retention {
        count: 3,
        bytes: 3 * (PUBLICATION_OVERHEAD + 101),
        age: Duration::from_millis(100),
    };
    let log = subject.open("t", "r", retention);
    (1..=5).for_each(|at| assert_eq!(subject.say(&log, "x"), at));
    assert_eq!(subject.all(&log), [3, 4, 5], "by count");
    let large = "y".repeat(100);
    (6..=8).for_each(|at| assert_eq!(subject.say(&log, &large), at));
    assert_eq!(subject.all(&log), [6, 7, 8]);
    subject.say(&log, &"y".repeat(200));
    assert_eq!(subject.all(&log), [8, 9], "by bytes");
    let bytes = block_on(subject.history().tenant_bytes("t")).unwrap();
    assert_eq!(bytes, 2 * (PUBLICATION_OVERHEAD + 1) + 300);
    subject.pass(60);
    subject.say(&log, "z");
    subject.pass(40);
    assert_eq!(subject.all(&log), [10], "by age");
    subject.pass(60);
    assert_eq!(subject.all(&log), [0; 0]);
    let none = subject.open("t", "none", Retention::NONE);
    assert_eq!(subject.say(&none, "x"), 1);
    assert_eq!(subject.all(&none), [0; 0]);
    assert_eq!(block_on(subject.history().tenant_bytes("t")), Ok(0));
}

fn recover_or_be_told(subject: Subject) {
    let retention = Retention {
        count: 5,
        ..Retention::default()
    };
    let log = subject.open("t", "r", retention);
    (1..=8).for_each(|at| assert_eq!(subject.say(&log, "x"), at));
    let epoch = log.top().epoch;
    let recover = |epoch, offset, limit| match subject.recover(&log, epoch, offset, limit) {
        Recovery::Recovered { publications, top } => {
            assert_eq!(top, log.top());
            Ok(publications.iter().map(|it| it.offset).collect::<Vec<_>>())
        }
        Recovery::Unrecoverable { reason, top } => {
            assert_eq!(top, log.top());
            Err(reason)
        }
    };
    assert_eq!(recover(epoch, 8, 0), Ok(vec![]));
    assert_eq!(recover(epoch, 6, 2), Ok(vec![7, 8]));
    assert_eq!(recover(epoch, 6, 1), Err(Unrecoverable::TooMany));
    assert_eq!(recover(epoch, 3, 9), Ok(vec![4, 5, 6, 7, 8]));
    assert_eq!(recover(epoch, 2, 9), Err(Unrecoverable::Gone));
    assert_eq!(recover(epoch, 0, 9), Err(Unrecoverable::Gone));
    assert_eq!(recover(epoch, 9, 9), Err(Unrecoverable::Future));
    assert_eq!(recover(epoch, u64::MAX, 9), Err(Unrecoverable::Future));
    let other = Epoch(epoch.0 ^ 1);
    assert_eq!(recover(other, 8, 9), Err(Unrecoverable::WrongEpoch));
}

fn a_removed_channel_has_another_epoch(mut subject: Subject) {
    let log = subject.log("r");
    subject.say(&log, "x");
    let before = log.top();
    block_on(subject.history().remove("t", "r")).unwrap();
    assert_eq!(log.top().offset, 0, "at once, for those who have it open");
    assert_ne!(log.top().epoch, before.epoch);
    assert_eq!(block_on(subject.history().tenant_bytes("t")), Ok(0));
    assert_eq!(subject.say(&log, "y"), 1);
    let after = log.top();
    drop(log);
    subject.reopen();
    let log = subject.log("r");
    assert_eq!(log.top(), after);
    assert_eq!(subject.all(&log), [1]);
    let told = subject.recover(&log, before.epoch, 1, 9);
    let reason = Unrecoverable::WrongEpoch;
    assert!(matches!(told, Recovery::Unrecoverable { reason: it, .. } if it == reason));
}

fn a_removed_tenant_leaves_nothing_and_touches_no_other(mut subject: Subject) {
    let rooms = ["r1", "r2", "r3"];
    for room in rooms {
        subject.say(&subject.log(room), "x");
        let other = subject.open("other", room, Retention::default());
        subject.say(&other, "x");
    }
    let open = subject.log("r1");
    let epochs = rooms.map(|room| subject.log(room).top().epoch);
    block_on(subject.history().remove_tenant("t")).unwrap();
    assert_eq!(open.top().offset, 0);
    assert_eq!(block_on(subject.history().tenant_bytes("t")), Ok(0));
    assert_eq!(subject.say(&open, "new"), 1);
    let new = open.top();
    drop(open);
    subject.reopen();
    assert_eq!(subject.log("r1").top(), new);
    for (room, epoch) in rooms.iter().zip(epochs) {
        let log = subject.log(room);
        assert_ne!(log.top().epoch, epoch);
        assert_eq!(subject.all(&log).len(), usize::from(*room == "r1"));
        let other = subject.open("other", room, Retention::default());
        assert_eq!(subject.all(&other), [1]);
    }
    let bytes = block_on(subject.history().tenant_bytes("other")).unwrap();
    assert_eq!(bytes, 3 * (PUBLICATION_OVERHEAD + 2));
}

fn acknowledgements_come_in_order(subject: Subject) {
    let log = subject.log("r");
    let durable = subject.history().durable();
    for token in 1..=1_000 {
        let published = subject.history().publish(&log, said("x"), token).unwrap();
        assert_eq!(published.ack == Ack::Later, durable);
    }
    if durable {
        subject.sink.wait(1_000);
    }
    let expected: Vec<u64> = (1..=if durable { 1_000 } else { 0 }).collect();
    assert_eq!(*subject.sink.committed.lock().unwrap(), expected);
}

fn what_is_too_large_is_refused(subject: Subject) {
    let log = subject.log("r");
    let long: Box<str> = "x".repeat(1_025).into();
    let payload = NewPublication {
        payload: vec![0; PAYLOAD_LIMIT + 1].into(),
        ..NewPublication::default()
    };
    let from = NewPublication {
        from: Some(long.to_string().into()),
        ..NewPublication::default()
    };
    let key = NewPublication {
        key: Some(long.clone()),
        ..NewPublication::default()
    };
    let tags = NewPublication {
        tags: Some(Arc::from(vec![("a".into(), "b".into()); 33])),
        ..NewPublication::default()
    };
    for new in [payload, from, key, tags] {
        let refused = subject.history().publish(&log, new, 1);
        assert!(matches!(refused, Err(PublishError::TooLarge(_))));
    }
    assert_eq!(log.top().offset, 0);
    for name in ["", &long] {
        let opened = block_on(subject.history().open("t", name, Retention::NONE));
        assert_eq!(opened.err(), Some(HistoryError::BadName));
    }
}

fn threads_get_different_offsets(subject: Subject) {
    let log = subject.log("r");
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let offset = subject.say(&log, "x");
                    seen.lock().unwrap().push(offset);
                }
            });
        }
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=2_000).collect::<Vec<u64>>());
    assert_eq!(subject.all(&log), (1_001..=2_000).collect::<Vec<u64>>());
}

fn a_closed_history_refuses(subject: Subject) {
    let log = subject.log("r");
    subject.say(&log, "x");
    block_on(subject.history().close()).unwrap();
    let refused = subject.history().publish(&log, said("y"), 1);
    assert_eq!(refused.err(), Some(PublishError::Closed));
    assert_eq!(log.top().offset, 1);
    let opened = block_on(subject.history().open("t", "new", Retention::NONE));
    assert_eq!(opened.err(), Some(HistoryError::Closed));
}

/// What does not fit into memory comes from the disk, or is said to be gone.
#[test]
fn short_of_memory_nobody_gets_a_partial_answer() {
    for durable in [true, false] {
        let subject = Subject::new(durable, 20_000);
        let text = "x".repeat(200);
        for round in 0..10 {
            for room in 0..40 {
                let log = subject.log(&format!("r{room}"));
                subject.pass(1);
                assert_eq!(subject.say(&log, &text), round + 1);
                if !durable {
                    continue;
                }
                assert_eq!(subject.all(&log).len() as u64, round + 1);
            }
        }
        let mut told = 0;
        for room in 0..40 {
            let log = subject.log(&format!("r{room}"));
            match subject.recover(&log, log.top().epoch, 0, 99) {
                Recovery::Recovered { publications, .. } => {
                    let offsets = publications.iter().map(|it| it.offset);
                    assert!(offsets.eq(1..=10));
                    assert!(
                        publications
                            .iter()
                            .all(|it| *it.payload == *text.as_bytes())
                    );
                }
                Recovery::Unrecoverable { reason, .. } => {
                    assert_eq!(reason, Unrecoverable::Gone);
                    told += 1;
                }
            }
        }
        assert_eq!(told > 0, !durable, "{told} told");
    }
}
