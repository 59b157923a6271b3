//! The one task that writes, so that changes are told in the order of the commits.
//!
//! It takes everything that waits in the queue and sends it as one pipeline, while earlier
//! ones are still under way. Answers come in the order of the connection; each is told to
//! the listeners and then given to whoever asked, who waits for the barriers. A write whose
//! future was dropped is told all the same.

use super::link::{Link, is_misplaced};
use super::shared::{SPACE, Shared};
use crate::cache::Written;
use crate::{Barrier, Change, StoreError};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, ready};
use futures::stream::{FuturesOrdered, StreamExt};
use redis::{Pipeline, RedisError, RedisResult, Value};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Pipelines under way at a time: one on each way, one being worked on, one being told.
const FLIGHTS: usize = 4;

/// Operations in one pipeline at most, so that the first does not wait long for the last.
const FLIGHT_OPERATIONS: usize = 512;

/// Bytes after which a pipeline takes no further operation, for the same reason.
const FLIGHT_BYTES: usize = 1 << 20;

/// What is to be written.
pub(super) enum Write {
    SetMany(Vec<(String, Bytes)>),
    DeleteMany(Vec<String>),
    Increment {
        key: String,
        delta: i64,
    },
    /// Sets a key that is not there.
    Create {
        key: String,
        new: Bytes,
    },
    /// Sets a key that this link watches, if nobody has written it since.
    Guarded {
        link: Arc<Link>,
        key: String,
        new: Bytes,
    },
}

/// What a write came to.
pub(super) enum Outcome {
    Done,
    Sum(i64),
    /// Redis itself can't count on with what is there.
    NoNumber,
    /// Whether the key was set.
    Set(bool),
}

/// The answer to an operation: it counts once the barriers have passed.
pub(super) struct Answer {
    result: Result<Outcome, StoreError>,
    barriers: Vec<Barrier>,
}

impl Answer {
    /// The result, once everybody concerned has acted.
    pub(super) async fn settled(self) -> Result<Outcome, StoreError> {
        for barrier in self.barriers {
            barrier.await;
        }
        self.result
    }

    /// The result, and what to wait for before it is acknowledged.
    pub(super) fn split(self) -> (Result<Outcome, StoreError>, Vec<Barrier>) {
        (self.result, self.barriers)
    }
}

/// A write in the queue.
pub(super) struct Operation {
    write: Write,
    bytes: usize,
    answer: oneshot::Sender<Answer>,
    /// The operation's share of the queue's memory, given back with it.
    _permit: OwnedSemaphorePermit,
}

impl Shared {
    /// Queues a write of about `bytes` and waits for its answer.
    pub(super) async fn write(&self, bytes: usize, write: Write) -> Result<Answer, StoreError> {
        let wanted = u32::try_from(bytes)
            .map_err(|_| StoreError::TooLarge(format!("a batch of {bytes} bytes")))?;
        let permit = Arc::clone(&self.room)
            .acquire_many_owned(wanted)
            .await
            .map_err(|_| self.closed())?;
        let (answer, answered) = oneshot::channel();
        let operation = Operation {
            write,
            bytes,
            answer,
            _permit: permit,
        };
        self.queue.send(operation).map_err(|_| self.closed())?;
        answered.await.map_err(|_| self.closed())
    }
}

type Replies = Result<Vec<RedisResult<Value>>, RedisError>;

/// Operations that were sent together, and what Redis says to them.
struct Landed {
    operations: Vec<Operation>,
    replies: Result<Replies, StoreError>,
}

/// Serves the queue until the runtime ends.
pub(super) async fn run(shared: Arc<Shared>, mut queue: UnboundedReceiver<Operation>) {
    let mut flights: FuturesOrdered<BoxFuture<'static, Landed>> = FuturesOrdered::new();
    loop {
        tokio::select! {
            Some(landed) = flights.next(), if !flights.is_empty() => land(&shared, landed),
            operation = queue.recv(), if flights.len() < FLIGHTS => {
                let Some(first) = operation else {
                    return;
                };
                flights.push_back(launch(&shared, gather(first, &mut queue)).await);
            }
        }
    }
}

/// `first` and what waits behind it.
fn gather(first: Operation, queue: &mut UnboundedReceiver<Operation>) -> Vec<Operation> {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while group.len() < FLIGHT_OPERATIONS
        && bytes < FLIGHT_BYTES
        && let Ok(next) = queue.try_recv()
    {
        bytes += next.bytes;
        group.push(next);
    }
    group
}

/// Sends `operations`; what is returned waits for the replies.
async fn launch(shared: &Arc<Shared>, operations: Vec<Operation>) -> BoxFuture<'static, Landed> {
    let link = match shared.link().await {
        Ok(link) => link,
        Err(error) => {
            let replies = Err(error);
            return ready(Landed {
                operations,
                replies,
            })
            .boxed();
        }
    };
    let mut commands = Pipeline::with_capacity(operations.len());
    commands.ignore_errors();
    for operation in &operations {
        operation.write.add_to(&mut commands, &link);
    }
    let keys: Vec<Written> = operations.iter().flat_map(written).collect();
    shared.cache.begin(keys.iter());
    let cache = Arc::clone(shared);
    let mut flight = async move {
        let replies = link.run_all(&commands).await;
        // Not filled in with what was written: somebody else may have written since, and
        // said so by the feed before this reply was read.
        cache.cache.end(keys.iter(), false);
        Landed {
            operations,
            replies: Ok(replies),
        }
    }
    .boxed();
    // Sent here and now, so that pipelines are sent in their order.
    match futures::poll!(&mut flight) {
        std::task::Poll::Ready(landed) => ready(landed).boxed(),
        std::task::Poll::Pending => flight,
    }
}

/// Tells and answers, in order.
fn land(shared: &Shared, landed: Landed) {
    let replies = landed
        .replies
        .and_then(|replies| replies.map_err(|error| shared.unavailable(error)));
    let mut replies = match replies {
        Ok(replies) => replies.into_iter(),
        Err(error) => {
            for operation in landed.operations {
                operation.answer(Err(error.clone()), Vec::new());
            }
            return;
        }
    };
    for operation in landed.operations {
        let result = operation.write.outcome(shared, &mut replies);
        let barriers = match &result {
            Ok(outcome) if outcome.changed() => {
                let keys: Vec<String> = written(&operation).map(|it| it.key).collect();
                shared.listeners.tell(&change(keys))
            }
            _ => Vec::new(),
        };
        operation.answer(result, barriers);
    }
}

impl Operation {
    fn answer(self, result: Result<Outcome, StoreError>, barriers: Vec<Barrier>) {
        // Nobody listens if the future was dropped; the write stands.
        let _ = self.answer.send(Answer { result, barriers });
    }
}

impl Outcome {
    fn changed(&self) -> bool {
        match self {
            Self::Done | Self::Sum(_) | Self::Set(true) => true,
            Self::NoNumber | Self::Set(false) => false,
        }
    }
}

impl Write {
    fn add_to(&self, commands: &mut Pipeline, on: &Arc<Link>) {
        match self {
            Self::SetMany(entries) => {
                commands.cmd("MSET");
                for (key, value) in entries {
                    commands.arg(key).arg(&value[..]);
                }
            }
            Self::DeleteMany(keys) => {
                commands.cmd("DEL").arg(keys);
            }
            Self::Increment { key, delta } => {
                commands.cmd("INCRBY").arg(key).arg(delta);
            }
            Self::Create { key, new } => {
                commands.cmd("SET").arg(key).arg(&new[..]).arg("NX");
            }
            Self::Guarded { link, key, new } => {
                // Another connection watches nothing: there the write must not happen.
                if Arc::ptr_eq(link, on) {
                    commands.cmd("MULTI");
                    commands.cmd("SET").arg(key).arg(&new[..]);
                    commands.cmd("EXEC");
                } else {
                    commands.cmd("UNWATCH").cmd("UNWATCH").cmd("UNWATCH");
                }
            }
        }
    }

    /// Takes this operation's replies and says what they mean.
    fn outcome(
        &self,
        shared: &Shared,
        replies: &mut impl Iterator<Item = RedisResult<Value>>,
    ) -> Result<Outcome, StoreError> {
        if let Self::Guarded { .. } = self {
            replies.next();
            replies.next();
        }
        let reply = replies.next().ok_or_else(|| shared.closed())?;
        let value = match (self, reply) {
            (_, Ok(value)) => value,
            (Self::Increment { .. }, Err(error))
                if !is_misplaced(&error) && refuses_number(&error) =>
            {
                return Ok(Outcome::NoNumber);
            }
            (_, Err(error)) => {
                if is_misplaced(&error) {
                    shared.break_off();
                }
                return Err(shared.unavailable(error));
            }
        };
        Ok(match (self, value) {
            (Self::Increment { .. }, Value::Int(sum)) => Outcome::Sum(sum),
            (Self::Create { .. }, value) => Outcome::Set(value == Value::Okay),
            (Self::Guarded { .. }, value) => Outcome::Set(matches!(value, Value::Array(_))),
            _ => Outcome::Done,
        })
    }

    fn keys(&self) -> Box<dyn Iterator<Item = &String> + '_> {
        match self {
            Self::SetMany(entries) => Box::new(entries.iter().map(|(key, _)| key)),
            Self::DeleteMany(keys) => Box::new(keys.iter()),
            Self::Increment { key, .. } | Self::Create { key, .. } | Self::Guarded { key, .. } => {
                Box::new(std::iter::once(key))
            }
        }
    }
}

/// `ERR value is not an integer or out of range`, `ERR increment or decrement would overflow`.
fn refuses_number(error: &RedisError) -> bool {
    let text = error.to_string();
    text.contains("not an integer") || text.contains("overflow")
}

/// The keys of an operation, as the cache wants them.
fn written(operation: &Operation) -> impl Iterator<Item = Written> {
    operation.write.keys().map(|key| Written {
        space: SPACE,
        key: key.clone(),
        value: None,
    })
}

fn change(mut keys: Vec<String>) -> Change {
    keys.sort_unstable();
    keys.dedup();
    Change::Keys(keys.into())
}
