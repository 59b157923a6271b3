//! A store in memory that counts its operations: the reference for tests.
//!
//! Single-threaded on purpose. Every operation first yields to whoever polls, so
//! that a test can interleave tasks, or drop them, at each single operation.

use crate::kv::{Error, Read, Write};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// How counters are written, for backends differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counters {
    /// 8 little-endian bytes, as in SQLite.
    #[default]
    Bytes,
    /// Decimal text, as in Redis.
    Text,
}

/// A key-value store in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    entries: RefCell<BTreeMap<String, Vec<u8>>>,
    operations: Cell<u64>,
    writes: Cell<u64>,
    batches_read: Cell<u64>,
    counters: Counters,
    yields: bool,
}

impl Memory {
    /// An empty store with counters of that form.
    #[must_use]
    pub fn new(counters: Counters) -> Self {
        Self {
            counters,
            ..Self::default()
        }
    }

    /// An empty store each of whose operations first yields once.
    #[must_use]
    pub fn yielding(counters: Counters) -> Self {
        Self {
            yields: true,
            ..Self::new(counters)
        }
    }

    /// How many operations were done so far. A batch counts as one, except that
    /// get-many is the loop that it is on most backends.
    pub fn operations(&self) -> u64 {
        self.operations.get()
    }

    /// How many of the operations were writes.
    pub fn writes(&self) -> u64 {
        self.writes.get()
    }

    /// How many get-many calls were made.
    pub fn batches_read(&self) -> u64 {
        self.batches_read.get()
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.entries.borrow().keys().cloned().collect()
    }

    /// The value of a key, without counting as an operation.
    pub fn peek(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.borrow().get(key).cloned()
    }

    /// Puts a value without counting it as an operation.
    pub fn put(&self, key: &str, value: &[u8]) {
        let mut entries = self.entries.borrow_mut();
        entries.insert(key.to_owned(), value.to_vec());
    }

    async fn operation(&self, writes: bool) {
        if self.yields {
            yield_once().await;
        }
        self.operations.set(self.operations.get() + 1);
        self.writes.set(self.writes.get() + u64::from(writes));
    }
}

impl Read for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.operation(false).await;
        Ok(self.entries.borrow().get(key).cloned())
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.batches_read.set(self.batches_read.get() + 1);
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(key).await?);
        }
        Ok(values)
    }
}

impl Write for Memory {
    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Error> {
        self.operation(true).await;
        self.entries.borrow_mut().insert(key.to_owned(), value);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.operation(true).await;
        self.entries.borrow_mut().remove(key);
        Ok(())
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        self.operation(true).await;
        self.entries.borrow_mut().extend(entries);
        Ok(())
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        self.operation(true).await;
        let mut entries = self.entries.borrow_mut();
        for key in keys {
            entries.remove(&key);
        }
        Ok(())
    }

    async fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.operation(true).await;
        let mut entries = self.entries.borrow_mut();
        let before = crate::kv::decode_counter(key, entries.get(key).map(Vec::as_slice))?;
        let sum = before.cast_signed() + delta;
        let value = match self.counters {
            Counters::Bytes => sum.to_le_bytes().to_vec(),
            Counters::Text => sum.to_string().into_bytes(),
        };
        entries.insert(key.to_owned(), value);
        Ok(sum)
    }
}

/// Runs a future that is never woken by anything but being polled again.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|_| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        Poll::Pending
    })
    .await;
}
