//! What the tests share: a sink that can be waited for, a clock that is set.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use futures::executor::block_on;
use sschat_history::{
    Ack, Clock, CommitSink, DurableHistory, Epoch, History, MemoryHistory, NewPublication,
    OpenError, Options, Page, Position, Published, Query, Recovery, Retention, RoomLog,
};
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// No test waits longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Sink {
    pub committed: Mutex<Vec<u64>>,
    seen: Mutex<HashSet<u64>>,
    woken: Condvar,
}

impl CommitSink for Sink {
    fn committed(&self, tokens: &[u64]) {
        self.committed.lock().unwrap().extend(tokens);
        self.seen.lock().unwrap().extend(tokens);
        self.woken.notify_all();
    }

    fn abandoned(&self, tokens: &[u64]) {
        panic!("abandoned: {tokens:?}");
    }
}

impl Sink {
    pub fn wait(&self, token: u64) {
        let waited = self
            .woken
            .wait_timeout_while(self.seen.lock().unwrap(), PATIENCE, |seen| {
                !seen.contains(&token)
            });
        assert!(!waited.unwrap().1.timed_out(), "{token} is not committed");
    }
}

/// A history with what a test needs beside it.
pub struct Subject {
    pub history: Option<Box<dyn History>>,
    pub sink: Arc<Sink>,
    pub time: Arc<AtomicU64>,
    pub folder: tempfile::TempDir,
    pub memory: u64,
    durable: bool,
    token: AtomicU64,
}

pub fn clock(time: &Arc<AtomicU64>) -> Clock {
    let time = Arc::clone(time);
    Arc::new(move || time.load(Ordering::Relaxed))
}

pub fn open(folder: &Path, sink: &Arc<Sink>) -> Result<DurableHistory, OpenError> {
    DurableHistory::open(
        Options::new(folder),
        Arc::clone(sink) as Arc<dyn CommitSink>,
    )
}

impl Subject {
    pub fn new(durable: bool, memory: u64) -> Self {
        let mut subject = Self {
            history: None,
            sink: Arc::default(),
            time: Arc::new(AtomicU64::new(1_000_000_000)),
            folder: tempfile::tempdir().unwrap(),
            memory,
            durable,
            token: AtomicU64::new(1),
        };
        subject.reopen();
        subject
    }

    /// Closes and opens again; a history in memory just goes on.
    pub fn reopen(&mut self) {
        if let Some(history) = &self.history {
            if !self.durable {
                return;
            }
            block_on(history.close()).unwrap();
        }
        self.history = None;
        let clock = clock(&self.time);
        self.history = Some(if self.durable {
            let mut options = Options::new(self.folder.path().join("history"));
            options.memory_bytes = self.memory;
            options.clock = clock;
            Box::new(DurableHistory::open(options, Arc::clone(&self.sink) as _).unwrap())
        } else {
            Box::new(MemoryHistory::new(self.memory, clock))
        });
    }

    pub fn history(&self) -> &dyn History {
        self.history.as_deref().unwrap()
    }

    pub fn pass(&self, milliseconds: u64) {
        self.time.fetch_add(milliseconds, Ordering::Relaxed);
    }

    pub fn open(&self, tenant: &str, room: &str, retention: Retention) -> Arc<RoomLog> {
        block_on(self.history().open(tenant, room, retention)).unwrap()
    }

    pub fn log(&self, room: &str) -> Arc<RoomLog> {
        self.open("t", room, Retention::default())
    }

    pub fn token(&self) -> u64 {
        self.token.fetch_add(1, Ordering::Relaxed)
    }

    /// Publishes and waits until it is as durable as it will be.
    pub fn publish(&self, log: &Arc<RoomLog>, new: NewPublication) -> Published {
        let token = self.token();
        let published = self.history().publish(log, new, token).unwrap();
        if published.ack == Ack::Later {
            self.sink.wait(token);
        }
        published
    }

    pub fn say(&self, log: &Arc<RoomLog>, text: &str) -> u64 {
        self.publish(log, said(text)).position.offset
    }

    pub fn read(&self, log: &Arc<RoomLog>, query: Query) -> Page {
        block_on(self.history().read(log, query)).unwrap()
    }

    pub fn all(&self, log: &Arc<RoomLog>) -> Vec<u64> {
        offsets(&self.read(log, everything()))
    }

    pub fn recover(&self, log: &Arc<RoomLog>, epoch: Epoch, offset: u64, limit: usize) -> Recovery {
        block_on(
            self.history()
                .recover(log, Position { epoch, offset }, limit),
        )
        .unwrap()
    }
}

pub fn said(text: &str) -> NewPublication {
    NewPublication {
        payload: text.to_owned().into(),
        from: Some("u".into()),
        ..NewPublication::default()
    }
}

pub fn everything() -> Query {
    Query {
        limit: usize::MAX,
        ..Query::default()
    }
}

pub fn offsets(page: &Page) -> Vec<u64> {
    page.publications.iter().map(|it| it.offset).collect()
}

/// Copies a folder file by file, cutting journals where their content ends.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else if path.extension().is_some_and(|it| it == "jnl") {
            let mut bytes = std::fs::read(&path).unwrap();
            let end = bytes.iter().rposition(|it| *it != 0).map_or(0, |at| at + 1);
            bytes.truncate(end);
            std::fs::write(&target, bytes).unwrap();
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
