//! Standing grants: who a live session is and which rooms it hears, kept true.
//!
//! A grant is made of verdicts: one for the login, one for each page of rooms. The
//! session watches them. When one ends, the session is put on hold on its shard before
//! the change is acknowledged, and the grant is evaluated anew; verdicts that still
//! hold are recalled, so that one change re-reads one page. The outcome releases the
//! hold. A grant that can't be evaluated stays on hold and is tried again: sessions are
//! held, not evicted in masses (invariant 3).

mod reading;

use super::answer::{Heard, Login};
use super::memo::{Verdict, Watcher};
use super::trace::Connection;
use super::{Policy, Undecided};
use crate::store::{Barrier, Change, ChangeListener};
use crate::wasm::authority::{Credential, Pass, Refusal};
use futures::FutureExt;
use futures::stream::StreamExt;
use reading::Read;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Parts of the table of grants, so that shards seldom wait for each other.
const PARTS: usize = 64;

/// How many grants are evaluated at a time: enough to keep the authority's threads
/// busy, few enough that new logins find their way between them.
const CONCURRENT: usize = 32;

/// The first and the longest wait before a failed evaluation is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The most sessions whose new grants a write waits for, beyond their holds. A member that
/// is added hears what is published after the answer; where a change concerns many at once,
/// they follow in batches.
const PROMPT: usize = 64;

/// The most rooms of one session; past it the login is refused.
pub const ROOMS_LIMIT: usize = 20_000;

/// How often a grant is read anew because it changed under the reading.
const RACES: usize = 64;

/// What a session may do, as of now.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who it is, until when, and whether it may publish.
    pub login: Login,
    /// The rooms it hears.
    pub rooms: Vec<Heard>,
    /// When it is to be evaluated anew though nothing it read has changed, in seconds
    /// since the epoch: a policy said so, or read the clock.
    pub renew: Option<u64>,
    /// How many holds this outcome answers.
    pub epoch: u32,
}

/// A session's grant ended, or never was.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// As in [`Grant`].
    pub epoch: u32,
}

/// Keeps a write from being acknowledged until it is dropped.
pub type HoldGuard = Arc<oneshot::Sender<()>>;

/// The sessions, as grants reach them.
pub trait Sessions: Send + Sync + 'static {
    /// Stops these sessions. Each watcher comes with the number of its hold; the guard is
    /// to be dropped once they are stopped.
    fn hold(&self, watchers: Vec<(Watcher, u32)>, guard: &HoldGuard);
    /// Gives a session its new grant, which releases the hold of that epoch and those before.
    /// The guards are to be dropped once the grant is in effect.
    fn regrant(&self, watcher: Watcher, outcome: Result<Grant, Refused>, guards: Vec<HoldGuard>);
}

struct Standing {
    presented: Presented,
    /// Rooms that the session named itself.
    joined: Vec<Joined>,
    verdicts: Vec<Arc<Verdict>>,
    epoch: u32,
    /// An evaluation is under way or queued; it will see the current epoch.
    busy: bool,
    /// Of writes that wait for the next grant.
    guards: Vec<HoldGuard>,
}

/// What a session presented to be let in, and the connection that it came by.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Who it says it is.
    pub credential: Credential,
    /// What its policy can ask about it.
    pub connection: Arc<Connection>,
}

/// A room that a session named itself, and what lets it hear that.
#[derive(Debug, Clone)]
struct Joined {
    room: String,
    pass: Option<Pass>,
}

/// What an evaluation starts from.
struct Start {
    presented: Presented,
    joined: Vec<Joined>,
    epoch: u32,
}

/// The grants of all sessions of this host.
pub struct Grants {
    policy: Arc<Policy>,
    sessions: Arc<dyn Sessions>,
    standing: Vec<Mutex<HashMap<Watcher, Standing>>>,
    /// One entry for each grant that is busy, so its length is bounded by the sessions.
    queue: mpsc::UnboundedSender<Watcher>,
}

impl Grants {
    /// Grants by `policy` for `sessions`. Evaluations run on the current tokio runtime
    /// until the last reference is gone.
    pub fn start(policy: Arc<Policy>, sessions: Arc<dyn Sessions>) -> Arc<Self> {
        let (queue, mut queued) = mpsc::unbounded_channel();
        let grants = Arc::new(Self {
            policy,
            sessions,
            standing: (0..PARTS).map(|_| Mutex::default()).collect(),
            queue,
        });
        let weak = Arc::downgrade(&grants);
        tokio::spawn(async move {
            futures::stream::poll_fn(move |context| queued.poll_recv(context))
                .for_each_concurrent(CONCURRENT, |watcher| {
                    let grants = weak.upgrade();
                    async move {
                        if let Some(grants) = grants {
                            grants.re_evaluate(watcher).await;
                        }
                    }
                })
                .await;
        });
        grants
    }

    fn part(&self, watcher: Watcher) -> MutexGuard<'_, HashMap<Watcher, Standing>> {
        // The low bits of a watcher count up.
        self.standing[watcher as usize % PARTS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a grant. [`Grants::recall`] or [`Grants::evaluate`] follows.
    pub fn begin(&self, watcher: Watcher, presented: Presented) {
        let standing = Standing {
            presented,
            joined: Vec::new(),
            verdicts: Vec::new(),
            epoch: 0,
            busy: true,
            guards: Vec::new(),
        };
        self.part(watcher).insert(watcher, standing);
    }

    /// The outcome of a grant that was begun, if every verdict is remembered.
    pub fn recall(&self, watcher: Watcher) -> Option<Result<Grant, Refused>> {
        let start = self.take(watcher)?;
        // Nothing in it waits where every verdict is at hand.
        let outcome = self.read(watcher, &start, true).now_or_never()?.ok()?;
        let (outcome, _) = self.settle(watcher, start.epoch, outcome)?;
        Some(outcome)
    }

    /// The outcome of a grant that was begun.
    ///
    /// # Errors
    /// Where it can't be decided now; the grant is ended.
    pub async fn evaluate(&self, watcher: Watcher) -> Result<Result<Grant, Refused>, Undecided> {
        for _ in 0..RACES {
            let Some(start) = self.take(watcher) else {
                break;
            };
            match self.read(watcher, &start, false).await {
                Ok(outcome) => {
                    if let Some((outcome, _)) = self.settle(watcher, start.epoch, outcome) {
                        return Ok(outcome);
                    }
                }
                Err(undecided) => {
                    self.end(watcher);
                    return Err(undecided);
                }
            }
        }
        self.end(watcher);
        Err(Undecided::Unsteady)
    }

    /// Forgets the grant of a session that is gone.
    pub fn end(&self, watcher: Watcher) {
        let standing = self.part(watcher).remove(&watcher);
        for verdict in standing.into_iter().flat_map(|gone| gone.verdicts) {
            verdict.unwatch(watcher);
        }
    }

    /// Adds a room that the session named and may hear by `verdict`, and maybe a pass; one
    /// that it named before gets the new pass. Says whether it is new; `None` where the
    /// verdict holds no more, or the session is gone.
    pub fn join(
        &self,
        watcher: Watcher,
        (room, pass): (&str, Option<Pass>),
        verdict: &Arc<Verdict>,
    ) -> Option<bool> {
        let mut part = self.part(watcher);
        let standing = part.get_mut(&watcher)?;
        if !verdict.watch(watcher) {
            return None;
        }
        standing.verdicts.push(Arc::clone(verdict));
        let known = standing.joined.iter_mut().find(|known| known.room == room);
        let new = known.is_none();
        match known {
            Some(known) => known.pass = pass,
            None => standing.joined.push(Joined {
                room: room.to_owned(),
                pass,
            }),
        }
        // An evaluation under way knows nothing of this room: it begins anew.
        standing.epoch += 1;
        Some(new)
    }

    /// Takes back a room that the session named. Says `false` where it did not.
    pub fn leave(&self, watcher: Watcher, room: &str) -> bool {
        let mut part = self.part(watcher);
        let Some(standing) = part.get_mut(&watcher) else {
            return false;
        };
        let Some(at) = standing.joined.iter().position(|known| known.room == room) else {
            return false;
        };
        standing.joined.swap_remove(at);
        standing.epoch += 1;
        true
    }

    /// Begins a new evaluation because the time has come; gives back the number of the hold
    /// that it is to end. `None` where the session is gone.
    pub fn renew(&self, watcher: Watcher) -> Option<u32> {
        let mut part = self.part(watcher);
        let standing = part.get_mut(&watcher)?;
        standing.epoch += 1;
        self.enqueue(watcher, standing);
        Some(standing.epoch)
    }

    /// Puts a new credential in the place of what a session presented, and begins a new evaluation, as
    /// [`Grants::renew`] does.
    pub fn present(&self, watcher: Watcher, presented: Presented) -> Option<u32> {
        self.part(watcher).get_mut(&watcher)?.presented = presented;
        self.renew(watcher)
    }

    fn enqueue(&self, watcher: Watcher, standing: &mut Standing) {
        if !std::mem::replace(&mut standing.busy, true) && self.queue.send(watcher).is_err() {
            tracing::error!("grants are evaluated no more");
        }
    }

    async fn re_evaluate(&self, watcher: Watcher) {
        let mut wait = RETRY.0;
        while let Some(start) = self.take(watcher) {
            match self.read(watcher, &start, false).await {
                Ok(outcome) => {
                    if let Some((outcome, guards)) = self.settle(watcher, start.epoch, outcome) {
                        self.sessions.regrant(watcher, outcome, guards);
                        return;
                    }
                }
                Err(undecided) => {
                    tracing::warn!(%undecided, "a session stays on hold");
                    // The hold is what a write must wait for; it is in place.
                    if let Some(standing) = self.part(watcher).get_mut(&watcher) {
                        standing.guards.clear();
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    /// What an evaluation starts from; `None` once the session is gone. Its old verdicts
    /// are given up: those that hold are found again.
    fn take(&self, watcher: Watcher) -> Option<Start> {
        let (old, start) = {
            let mut part = self.part(watcher);
            let standing = part.get_mut(&watcher)?;
            let old = std::mem::take(&mut standing.verdicts);
            let start = Start {
                presented: standing.presented.clone(),
                joined: standing.joined.clone(),
                epoch: standing.epoch,
            };
            (old, start)
        };
        for verdict in old {
            verdict.unwatch(watcher);
        }
        Some(start)
    }

    /// Notes the outcome, unless it was overtaken by another hold. Comes with the guards of
    /// the writes that wait for it.
    fn settle(
        &self,
        watcher: Watcher,
        epoch: u32,
        read: Read,
    ) -> Option<(Result<Grant, Refused>, Vec<HoldGuard>)> {
        let mut part = self.part(watcher);
        let guards = match part.get_mut(&watcher) {
            Some(standing) if standing.epoch == epoch => {
                standing.verdicts = read.verdicts;
                standing.joined = read.joined;
                standing.busy = false;
                std::mem::take(&mut standing.guards)
            }
            _ => {
                drop(part);
                for verdict in read.verdicts {
                    verdict.unwatch(watcher);
                }
                return None;
            }
        };
        let outcome = match read.outcome {
            Ok((login, rooms)) => Ok(Grant {
                login,
                rooms,
                renew: read.renew,
                epoch,
            }),
            Err(refusal) => Err(Refused { refusal, epoch }),
        };
        Some((outcome, guards))
    }
}

impl ChangeListener for Grants {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        let touched = self.policy.forget(change);
        let mut held = Vec::with_capacity(touched.len());
        let (guard, in_effect) = oneshot::channel();
        let guard = Arc::new(guard);
        let prompt = touched.len() <= PROMPT;
        for watcher in touched {
            let mut part = self.part(watcher);
            let Some(standing) = part.get_mut(&watcher) else {
                continue;
            };
            standing.epoch += 1;
            held.push((watcher, standing.epoch));
            if prompt {
                standing.guards.push(Arc::clone(&guard));
            }
            self.enqueue(watcher, standing);
        }
        let all = matches!(change, Change::Lost);
        if !held.is_empty() {
            self.sessions.hold(held, &guard);
        } else if !all {
            return None;
        }
        if all {
            self.policy.losses.told();
        }
        Some(in_effect.map(drop).boxed().shared())
    }
}
