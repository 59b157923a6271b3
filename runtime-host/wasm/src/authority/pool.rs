//! The threads that ask the authority.
//!
//! A call is synchronous on a thread of its own: no fiber, no executor, and a read of
//! the store may block. Calls wait in one bounded queue.

use super::instance::{Caller, Kind};
use super::{Answer, CallError, Question};
use crate::calls::{NoReads, Reads};
use crate::engine::{Compiled, Engines};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The most calls that wait. At some microseconds each this is a fraction of a second of work.
const QUEUE_LIMIT: usize = 32_768;

/// More threads than this would only take turns: a call computes, it seldom waits.
const THREADS_LIMIT: usize = 4;

type Outcome = (Result<Answer, CallError>, Box<dyn Reads>);

struct Job {
    question: Question,
    reads: Box<dyn Reads>,
    reply: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

/// Asks the authority. Dropping it ends the threads after the calls under way.
pub struct AuthorityPool {
    queue: Arc<Queue>,
    kind: Arc<Kind>,
}

impl std::fmt::Debug for AuthorityPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorityPool").finish_non_exhaustive()
    }
}

impl AuthorityPool {
    /// Links the component and starts the threads. `reuse`: an instance may answer many
    /// calls. Only for a component that is known to keep nothing from one call to the
    /// next; any other would answer from what it read before, unseen (invariant 2).
    ///
    /// # Errors
    /// Where the component does not fit the world `sschat:policy/authority`.
    pub fn new(
        engines: &Engines,
        compiled: &Compiled,
        name: &str,
        reuse: bool,
    ) -> anyhow::Result<Self> {
        let kind = Arc::new(
            Kind::new(engines, compiled, name).map_err(|error| anyhow::anyhow!("{error:#}"))?,
        );
        let queue = Arc::new(Queue::default());
        let pool = Self {
            queue: Arc::clone(&queue),
            kind: Arc::clone(&kind),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for index in 0..cores.min(THREADS_LIMIT) {
            let queue = Arc::clone(&queue);
            let mut caller = Caller::new(Arc::clone(&kind), reuse);
            std::thread::Builder::new()
                .name(format!("authority-{index}"))
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        let outcome = caller.call(&job.question, job.reads);
                        // Nobody waits any more where the session is gone.
                        let _ = job.reply.send(outcome);
                    }
                })?;
        }
        Ok(pool)
    }

    /// Calls on the caller's own thread, for those who measure. `reuse` as in
    /// [`AuthorityPool::new`].
    pub fn caller(&self, reuse: bool) -> Caller {
        Caller::new(Arc::clone(&self.kind), reuse)
    }

    /// Asks and waits. Gives `reads` back.
    pub async fn call(&self, question: Question, reads: Box<dyn Reads>) -> Outcome {
        match self.queue.push(question, reads) {
            Err(reads) => (Err(CallError::Overloaded), reads),
            Ok(answered) => answered
                .await
                .unwrap_or_else(|_| (Err(CallError::Overloaded), Box::new(NoReads))),
        }
    }
}

impl Drop for AuthorityPool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        question: Question,
        reads: Box<dyn Reads>,
    ) -> Result<oneshot::Receiver<Outcome>, Box<dyn Reads>> {
        let mut state = self.lock();
        if state.closed || state.waiting.len() >= QUEUE_LIMIT {
            return Err(reads);
        }
        let (reply, answered) = oneshot::channel();
        state.waiting.push_back(Job {
            question,
            reads,
            reply,
        });
        drop(state);
        self.changed.notify_one();
        Ok(answered)
    }

    /// The next job; `None` once the pool is gone.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
