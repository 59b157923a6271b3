//! From the removal of a member to the last delivery to it, under load.

use super::fanout::{command, stamp};
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Stage, Target, enter};
use anyhow::{Context, bail};
use clap::Args;
use hdrhistogram::Histogram;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A member is removed and added again and again while everybody talks.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Rooms, the first of which has the member that is removed.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Members of each.
    #[arg(long, default_value_t = 5)]
    members: usize,
    /// Publications a second, over all rooms.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Removals.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
}

/// When a removal was asked for and answered, in nanoseconds since the start.
type Removal = (u64, u64);

struct Round {
    /// The last delivery to the member.
    last: u64,
    /// When the latest delivered publication was sent.
    newest: u64,
    /// When the member was told.
    told: Option<u64>,
    removal: Option<Removal>,
}

impl Revoke {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let stage = Stage::set(target, self.rooms, self.members)?;
        let mut fleet = Fleet::new()?;
        enter(&mut fleet, target, &stage.users)?;
        let start = Instant::now();
        let (ask, asked) = mpsc::channel::<()>();
        let (answer, answered) = mpsc::channel();
        let (room, user) = (&stage.rooms[0], &stage.users[0]);
        let path = |action| format!("/api/room/{room}/{user}/{action}?apikey={}", stage.key);
        let (remove, add) = (path("remove"), path("add"));
        let rest = target.also().unwrap_or(target);
        let found = std::thread::scope(|scope| {
            scope.spawn(move || {
                // Ends when the scenario drops its end.
                while asked.recv().is_ok() {
                    let began = nanoseconds(start);
                    let done = rest.call("PUT", &remove);
                    let removal = done.map(|_| (began, nanoseconds(start)));
                    if answer.send(removal).is_err() || asked.recv().is_err() {
                        return;
                    }
                    if let Err(error) = rest.call("PUT", &add) {
                        let _ = answer.send(Err(error));
                        return;
                    }
                }
            });
            let far = target.also().is_some();
            let outcome = self.talk((&mut fleet, far), &stage, start, &ask, &answered);
            drop(ask);
            outcome
        });
        let report = found?;
        stage.strike(target)?;
        Ok(report)
    }

    fn talk(
        &self,
        (fleet, far): (&mut Fleet, bool),
        stage: &Stage,
        start: Instant,
        ask: &mpsc::Sender<()>,
        answered: &mpsc::Receiver<anyhow::Result<Removal>>,
    ) -> anyhow::Result<Report> {
        let gap = Duration::from_secs_f64(1.0 / self.rate as f64);
        let (mut due, mut said) = (Instant::now(), 0usize);
        let mut evicted = Histogram::<u64>::new(3)?;
        let mut answers = Histogram::<u64>::new(3)?;
        let mut told = Histogram::<u64>::new(3)?;
        let mut after = Histogram::<u64>::new(3)?;
        let mut violations = 0u64;
        for _ in 0..self.rounds {
            let mut round = Round::new();
            let began = Instant::now();
            // Sure to be hearing before it is removed.
            while round.last == 0 {
                self.turn(fleet, stage, start, (&mut due, &mut said), gap, &mut round)?;
                expect(began, "the member hears nothing")?;
            }
            ask.send(()).context("the thread that removes is gone")?;
            while round.told.is_none() || round.removal.is_none() {
                self.turn(fleet, stage, start, (&mut due, &mut said), gap, &mut round)?;
                if let Ok(removal) = answered.try_recv() {
                    round.removal = Some(removal?);
                }
                expect(began, "the member is not told")?;
            }
            // What would still be under way, were the promise not kept.
            let pause = Instant::now();
            while pause.elapsed() < Duration::from_millis(20) {
                self.turn(fleet, stage, start, (&mut due, &mut said), gap, &mut round)?;
            }
            if let Some((asked, done)) = round.removal {
                evicted.record(round.last.saturating_sub(asked).max(1))?;
                answers.record((done - asked).max(1))?;
                told.record(round.told.unwrap_or(0).saturating_sub(asked).max(1))?;
                after.record(round.last.saturating_sub(done).max(1))?;
                violations += u64::from(round.newest > done);
            }
            ask.send(()).context("the thread that adds is gone")?;
        }
        let mut report = Report::default();
        let seconds = start.elapsed().as_secs_f64();
        report.add_real("publications", said as f64 / seconds, "/s");
        report.add("remove, asked to last delivery", "", "");
        report.add_times(&evicted);
        report.add("remove, asked to answered", "", "");
        report.add_times(&answers);
        report.add("remove, asked to told", "", "");
        report.add_times(&told);
        if far {
            // The other host hears of it by Redis.
            report.add("remove, answered to last delivery", "", "");
            report.add_times(&after);
        }
        report.add("rounds", self.rounds as u64, "");
        report.add(
            "violations",
            violations,
            "rounds in which a publication sent after the answer was delivered",
        );
        if violations > 0 && !far {
            bail!("{violations} removals were not in effect when they were answered");
        }
        Ok(report)
    }

    /// Says what is due and hears what comes.
    fn turn(
        &self,
        fleet: &mut Fleet,
        stage: &Stage,
        start: Instant,
        (due, said): (&mut Instant, &mut usize),
        gap: Duration,
        round: &mut Round,
    ) -> anyhow::Result<()> {
        let now = Instant::now();
        while *due <= now {
            // Everybody but the member that comes and goes.
            let room = *said % self.rooms;
            let speaker = 1 + (*said / self.rooms) % (self.members - 1);
            let client = room * self.members + speaker;
            let text = command(&stage.rooms[room], client, nanoseconds(start), 64);
            fleet.send(client, &text);
            *said += 1;
            *due += gap;
        }
        let wait = due.saturating_duration_since(Instant::now());
        let mut lost = false;
        fleet.turn(wait, |_, client, heard| match heard {
            Heard::Text(text) if client == 0 => round.hear(text, nanoseconds(start)),
            Heard::Text(_) | Heard::Binary(_) | Heard::Open => {}
            Heard::Closed => lost = true,
        })?;
        if lost {
            bail!("a connection was lost");
        }
        Ok(())
    }
}

impl Round {
    fn new() -> Self {
        Self {
            last: 0,
            newest: 0,
            told: None,
            removal: None,
        }
    }

    fn hear(&mut self, text: &str, now: u64) {
        if let Some((_, sent)) = stamp(text) {
            self.last = now;
            self.newest = self.newest.max(sent);
        } else if text.starts_with(r#"{"type":"room","data":"remove""#) {
            self.told = Some(now);
        }
    }
}

fn nanoseconds(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

fn expect(began: Instant, what: &str) -> anyhow::Result<()> {
    if began.elapsed() > PATIENCE {
        bail!("{what}, after {PATIENCE:?}");
    }
    Ok(())
}
