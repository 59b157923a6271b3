//! Reading a grant: the questions that make it up, each verdict watched.

use super::{Grants, Joined, RACES, ROOMS_LIMIT, Start};
use crate::clock::unix_now;
use crate::policy::Undecided;
use crate::policy::answer::{Answer, Heard, Login};
use crate::policy::memo::{Verdict, Watcher};
use crate::policy::trace::Occasion;
use crate::wasm::authority::{Question, Refusal};
use std::sync::Arc;

/// Seconds after which a grant is evaluated anew whose policy read the clock without
/// saying until when its answer holds.
const UNTIMED: u64 = 5;

impl Grants {
    /// Asks for everything that makes up the grant, watching each verdict.
    pub(super) async fn read(
        &self,
        watcher: Watcher,
        start: &Start,
        recalled_only: bool,
    ) -> Result<Read, Undecided> {
        let mut reading = Reading {
            grants: self,
            watcher,
            recalled_only,
            occasion: Occasion {
                connection: Some(Arc::clone(&start.presented.connection)),
                payload: None,
            },
            verdicts: Vec::new(),
            joined: Vec::new(),
            passes: Vec::new(),
        };
        let outcome = reading.run(start).await?;
        let renew = match &outcome {
            Ok((login, _)) => reading.renew(login),
            Err(_) => None,
        };
        Ok(Read {
            outcome,
            renew,
            verdicts: std::mem::take(&mut reading.verdicts),
            joined: std::mem::take(&mut reading.joined),
        })
    }
}

pub(super) type Outcome = Result<(Login, Vec<Heard>), Refusal>;

/// What was read.
pub(super) struct Read {
    pub(super) outcome: Outcome,
    pub(super) verdicts: Vec<Arc<Verdict>>,
    /// Those rooms that the session named itself and still may hear.
    pub(super) joined: Vec<Joined>,
    /// See [`super::Grant::renew`].
    pub(super) renew: Option<u64>,
}

/// An evaluation under way. Dropped before its end, it watches nothing any more.
struct Reading<'a> {
    grants: &'a Grants,
    watcher: Watcher,
    recalled_only: bool,
    occasion: Occasion,
    verdicts: Vec<Arc<Verdict>>,
    joined: Vec<Joined>,
    /// Verdicts that a pass ends, whose session sees to it by its own clock.
    passes: Vec<u64>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        for verdict in self.verdicts.drain(..) {
            verdict.unwatch(self.watcher);
        }
    }
}

impl Reading<'_> {
    async fn run(&mut self, start: &Start) -> Result<Outcome, Undecided> {
        let credential = start.presented.credential.clone();
        let verdict = self.ask(Question::LogIn(credential)).await?;
        let login = match verdict.answer() {
            Some(Answer::Login(login)) => login.clone(),
            Some(Answer::No(refusal)) => return Ok(Err(refusal.clone())),
            _ => return Err(Undecided::Unsteady),
        };
        let mut rooms = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.ask(Question::Rooms(login.who.clone(), cursor)).await?;
            match page.answer() {
                Some(Answer::Rooms(more, next)) => {
                    rooms.extend_from_slice(more);
                    cursor = next.clone();
                }
                Some(Answer::No(refusal)) => return Ok(Err(refusal.clone())),
                _ => return Err(Undecided::Unsteady),
            }
            if rooms.len() > ROOMS_LIMIT {
                return Ok(Err(Refusal {
                    code: "too_many_rooms".to_owned(),
                    reason: format!("a session hears at most {ROOMS_LIMIT} rooms"),
                }));
            }
            if cursor.is_none() {
                break;
            }
        }
        self.join(&login, start, &mut rooms).await?;
        Ok(Ok((login, rooms)))
    }

    /// The rooms that its token names and those that the session named itself, as far as it may
    /// hear them. By what a token names its backend only subscribes it: whether it may hear
    /// that is decided like for any other room, so that a removal counts at once.
    async fn join(
        &mut self,
        login: &Login,
        start: &Start,
        rooms: &mut Vec<Heard>,
    ) -> Result<(), Undecided> {
        for room in &*login.channels {
            if !rooms.iter().any(|heard| heard.room == *room) {
                let question = Question::MayJoin(login.who.clone(), room.clone(), None);
                if let Some(Answer::Rooms(heard, _)) = self.ask(question).await?.answer() {
                    rooms.extend_from_slice(heard);
                }
            }
        }
        for named in &start.joined {
            if rooms.iter().any(|heard| heard.room == named.room) {
                continue;
            }
            let pass = named.pass.clone();
            let question = Question::MayJoin(login.who.clone(), named.room.clone(), pass);
            let verdict = self.ask(question).await?;
            if let Some(Answer::Rooms(heard, _)) = verdict.answer() {
                rooms.extend_from_slice(heard);
                self.passes
                    .extend(heard.iter().filter_map(|heard| heard.expires));
                self.joined.push(named.clone());
            }
        }
        Ok(())
    }

    /// When the first verdict wants to be made again. That of the login may say when the
    /// login ends, which is not the same.
    fn renew(&self, login: &Login) -> Option<u64> {
        let mut renew: Option<u64> = None;
        for verdict in &self.verdicts {
            let until = match verdict.expires() {
                Some(until) if Some(until) == login.expires => None,
                Some(until) if self.passes.contains(&until) => None,
                None if !verdict.keeps() => Some(unix_now() + UNTIMED),
                until => until,
            };
            renew = renew.into_iter().chain(until).min();
        }
        renew
    }

    async fn ask(&mut self, question: Question) -> Result<Arc<Verdict>, Undecided> {
        for _ in 0..RACES {
            let policy = &self.grants.policy;
            let verdict = match policy.recall(&question) {
                Some(verdict) => verdict,
                None if self.recalled_only => return Err(Undecided::Unsteady),
                None => policy.decide(question.clone(), &self.occasion).await?,
            };
            if verdict.watch(self.watcher) {
                self.verdicts.push(Arc::clone(&verdict));
                return Ok(verdict);
            }
        }
        Err(Undecided::Unsteady)
    }
}
