//! Both histories against a simple one that is written down twice.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod common;

use common::*;
use futures::executor::block_on;
use proptest::prelude::*;
use sschat_history::{
    Epoch, NewPublication, PUBLICATION_OVERHEAD, Position, Query, Recovery, Retention, RoomLog,
    Unrecoverable,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const NAMES: [&str; 4] = ["r0", "r1", "r2", "r3"];
const WINDOW: u64 = 5 * 60 * 1_000;

#[derive(Debug, Clone)]
enum Step {
    Publish(u8, usize, Option<u8>),
    Keep(u8, u32, u64, u64),
    Pass(u64),
    Recover(u8, u64, usize),
    Read(u8, u64, usize, bool),
    Remove(u8),
    RemoveTenant(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let room = 0u8..4;
    prop_oneof![
        8 => (room.clone(), 0usize..300, proptest::option::of(0u8..6))
            .prop_map(|(room, size, key)| Step::Publish(room, size, key)),
        1 => (room.clone(), 0u32..12, 0u64..4_000, 0u64..90_000)
            .prop_map(|(room, count, bytes, age)| Step::Keep(room, count, bytes, age)),
        2 => (0u64..50_000).prop_map(Step::Pass),
        3 => (room.clone(), 0u64..12, 0usize..9)
            .prop_map(|(room, back, limit)| Step::Recover(room, back, limit)),
        3 => (room.clone(), 0u64..12, 0usize..9, any::<bool>())
            .prop_map(|(room, back, limit, reverse)| Step::Read(room, back, limit, reverse)),
        1 => room.clone().prop_map(Step::Remove),
        1 => (0u8..2).prop_map(Step::RemoveTenant),
        1 => Just(Step::Reopen),
    ]
}

struct Model {
    epoch: Option<Epoch>,
    top: u64,
    kept: Vec<(u64, u64, u64)>,
    keys: HashMap<u8, (u64, u64)>,
    retention: Retention,
}

impl Model {
    fn new(retention: Retention) -> Self {
        Self {
            epoch: None,
            top: 0,
            kept: Vec::new(),
            keys: HashMap::new(),
            retention,
        }
    }

    fn trim(&mut self, now: u64) {
        let Retention { count, bytes, age } = self.retention;
        let age = age.as_millis() as u64;
        while !self.kept.is_empty() {
            let held: u64 = self.kept.iter().map(|it| it.2).sum();
            if self.kept.len() <= count as usize && held <= bytes && self.kept[0].1 + age > now {
                break;
            }
            self.kept.remove(0);
        }
    }

    fn restart(&mut self) {
        *self = Self::new(self.retention);
    }
}

/// Room 0 and 1 are the first tenant's.
fn tenant(room: u8) -> &'static str {
    ["a", "b"][usize::from(room / 2)]
}

fn run(durable: bool, memory: u64, steps: &[Step]) {
    let mut subject = Subject::new(durable, memory);
    let retention = Retention {
        count: 8,
        bytes: 3_000,
        age: Duration::from_secs(60),
    };
    let mut models: Vec<_> = (0..4).map(|_| Model::new(retention)).collect();
    for step in steps {
        let room = match step {
            Step::Publish(room, ..) | Step::Keep(room, ..) => *room,
            Step::Recover(room, ..) | Step::Read(room, ..) | Step::Remove(room) => *room,
            _ => 0,
        };
        let model = &mut models[usize::from(room)];
        let name = NAMES[usize::from(room)];
        let log = subject.open(tenant(room), name, model.retention);
        let top = log.top();
        assert_eq!(top.offset, model.top);
        assert_eq!(*model.epoch.get_or_insert(top.epoch), top.epoch);
        match step {
            Step::Publish(_, size, key) => publish(&subject, &log, model, *size, *key),
            Step::Keep(_, count, bytes, age) => {
                model.retention = Retention {
                    count: *count,
                    bytes: *bytes,
                    age: Duration::from_millis(*age),
                };
                log.set_retention(model.retention);
            }
            Step::Pass(milliseconds) => subject.pass(*milliseconds),
            Step::Recover(_, back, limit) => recover(&subject, &log, model, *back, *limit),
            Step::Read(_, back, limit, reverse) => {
                read(&subject, &log, model, *back, *limit, *reverse);
            }
            Step::Remove(_) => remove(&subject, &log, model),
            Step::RemoveTenant(which) => {
                let name = ["a", "b"][usize::from(*which)];
                block_on(subject.history().remove_tenant(name)).unwrap();
                for room in [which * 2, which * 2 + 1] {
                    models[usize::from(room)].restart();
                }
            }
            Step::Reopen => {
                drop(log);
                subject.reopen();
            }
        }
        compare(&subject, &mut models, &format!("{step:?}"));
    }
}

/// Publishes in both.
fn publish(subject: &Subject, log: &Arc<RoomLog>, model: &mut Model, size: usize, key: Option<u8>) {
    let now = subject.time.load(std::sync::atomic::Ordering::Relaxed);
    let new = NewPublication {
        payload: vec![b'x'; size].into(),
        key: key.map(|key| key.to_string().into()),
        ..NewPublication::default()
    };
    let known = key.and_then(|key| model.keys.get(&key).copied());
    let known = known.filter(|(_, time)| time + WINDOW > now);
    let offset = subject.publish(log, new).position.offset;
    if let Some((first, _)) = known {
        assert_eq!(offset, first);
    } else {
        model.top += 1;
        assert_eq!(offset, model.top);
        let cost = size as u64 + PUBLICATION_OVERHEAD;
        model.kept.push((offset, now, cost));
        key.map(|key| model.keys.insert(key, (offset, now)));
        model.trim(now);
    }
}

/// Recovers in both.
fn recover(subject: &Subject, log: &Arc<RoomLog>, model: &mut Model, back: u64, limit: usize) {
    let now = subject.time.load(std::sync::atomic::Ordering::Relaxed);
    let top = log.top();
    model.trim(now);
    let since = model.top.saturating_sub(back);
    let told = subject.recover(log, top.epoch, since, limit);
    let missed: Vec<u64> = (since + 1..=model.top).collect();
    let there = missed
        .iter()
        .all(|it| model.kept.iter().any(|(at, ..)| at == it));
    match told {
        Recovery::Recovered { publications, .. } => {
            assert!(there && missed.len() <= limit);
            assert!(publications.iter().map(|it| it.offset).eq(missed));
        }
        Recovery::Unrecoverable { reason, .. } => {
            let many = missed.len() > limit;
            assert_eq!(reason == Unrecoverable::TooMany, many);
            assert!(many || !there);
        }
    }
}

/// Reads in both.
fn read(
    subject: &Subject,
    log: &Arc<RoomLog>,
    model: &mut Model,
    back: u64,
    limit: usize,
    reverse: bool,
) {
    let now = subject.time.load(std::sync::atomic::Ordering::Relaxed);
    let top = log.top();
    model.trim(now);
    let offset = model.top.saturating_sub(back);
    let query = Query {
        since: Some(Position {
            epoch: top.epoch,
            offset,
        }),
        limit,
        reverse,
    };
    let mut expected: Vec<u64> = model.kept.iter().map(|it| it.0).collect();
    if reverse {
        expected.reverse();
        expected.retain(|it| *it < offset);
    } else {
        expected.retain(|it| *it > offset);
    }
    expected.truncate(limit);
    assert_eq!(offsets(&subject.read(log, query)), expected);
}

/// Removes in both.
fn remove(subject: &Subject, log: &Arc<RoomLog>, model: &mut Model) {
    let now = subject.time.load(std::sync::atomic::Ordering::Relaxed);
    block_on(subject.history().remove(log.tenant(), log.room())).unwrap();
    let before = model.epoch;
    model.restart();
    assert_ne!(Some(log.top().epoch), before);
    model.epoch = Some(log.top().epoch);
    // Nothing was published in it: once nobody has it open, it never was.
    subject.say(log, "");
    model.top = 1;
    model.kept.push((1, now, PUBLICATION_OVERHEAD + 1));
    model.trim(now);
}

/// What is held, room by room and tenant by tenant.
fn compare(subject: &Subject, models: &mut [Model], step: &str) {
    let now = subject.time.load(std::sync::atomic::Ordering::Relaxed);
    for (room, model) in models.iter_mut().enumerate() {
        model.trim(now);
        let tenant = tenant(room as u8);
        let log = subject.open(tenant, NAMES[room], model.retention);
        let epoch = log.top().epoch;
        assert_eq!(*model.epoch.get_or_insert(epoch), epoch, "after {step}");
        let expected: Vec<u64> = model.kept.iter().map(|it| it.0).collect();
        assert_eq!(subject.all(&log), expected, "after {step}");
    }
    for (first, name) in [(0, "a"), (2, "b")] {
        let held: u64 = models[first..first + 2]
            .iter()
            .flat_map(|model| model.kept.iter().map(|it| it.2))
            .sum();
        let told = block_on(subject.history().tenant_bytes(name)).unwrap();
        assert_eq!(told, held, "bytes of {name} after {step}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_as_the_model(steps in proptest::collection::vec(step(), 1..120)) {
        run(false, 1 << 30, &steps);
    }

    #[test]
    fn the_disk_is_as_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        run(true, 1 << 30, &steps);
    }

    #[test]
    fn the_disk_is_as_the_model_without_memory(steps in proptest::collection::vec(step(), 1..60)) {
        run(true, 0, &steps);
    }
}
