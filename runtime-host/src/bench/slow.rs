//! One member of a room that never reads, beside the others.

use super::fanout::{command, stamp};
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Stage, Target, enter};
use super::stalled::Stalled;
use anyhow::{Context, bail};
use clap::Args;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// How long the host may take to close the one that stalls.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long what is still on its way may take.
const LAST: Duration = Duration::from_secs(10);

/// How often the host's memory is read.
const SAMPLE: Duration = Duration::from_millis(50);

/// A room at a set rate, without and with a member that never reads, in turn.
#[derive(Debug, Args)]
pub(super) struct Slow {
    /// Members of the room, the one that stalls included.
    #[arg(long, default_value_t = 1000)]
    members: usize,
    /// Deliveries a second, over the whole room.
    #[arg(long, default_value_t = 100_000)]
    rate: usize,
    /// Payload of a message, in bytes; at least 24.
    #[arg(long, default_value_t = 4000)]
    size: usize,
    /// How often to measure without and with it.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long to measure without it; with it, until the host closes it.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// The members that read.
struct Crowd<'a> {
    target: &'a Target,
    fleet: Fleet,
    room: &'a str,
    size: usize,
    gap: Duration,
    members: usize,
    start: Instant,
    /// When the next message is due.
    due: Instant,
    said: u64,
    received: u64,
    /// What they are told when the one that stalls is gone.
    notice: String,
    gone: bool,
    lost: bool,
}

/// What was measured in a stretch of time.
struct Stretch {
    times: Histogram<u64>,
    took: Duration,
    /// How much the host's memory grew at most.
    grown: u64,
}

impl Crowd<'_> {
    /// Speaks at the set rate, hears everything, until `over`.
    fn stretch(&mut self, over: impl Fn(&Self, Duration) -> bool) -> anyhow::Result<Stretch> {
        let mut times = histogram()?;
        let resident = |target: &Target| anyhow::Ok(target.reading()?.map_or(0, |it| it.resident));
        let before = resident(self.target)?;
        let (mut most, mut sampled) = (before, Instant::now());
        let start = Instant::now();
        self.due = start;
        while !over(self, start.elapsed()) {
            if start.elapsed() > PATIENCE {
                bail!("the host has not closed the one that stalls after {PATIENCE:?}");
            }
            self.turn(true, &mut times)?;
            if sampled.elapsed() >= SAMPLE {
                most = most.max(resident(self.target)?);
                sampled = Instant::now();
            }
        }
        let took = start.elapsed();
        let last = Instant::now();
        while self.missing() > 0 && last.elapsed() < LAST {
            self.turn(false, &mut times)?;
        }
        Ok(Stretch {
            times,
            took,
            grown: most - before,
        })
    }

    fn missing(&self) -> u64 {
        self.said * (self.members as u64 - 1) - self.received
    }

    fn turn(&mut self, speak: bool, times: &mut Histogram<u64>) -> anyhow::Result<()> {
        let now = Instant::now();
        while speak && self.due <= now {
            // A late one counts from when it was due.
            let sent = self.due.duration_since(self.start).as_nanos() as u64;
            let speaker = self.said as usize % self.members;
            let text = command(self.room, speaker, sent, self.size);
            self.fleet.send(speaker, &text);
            self.said += 1;
            self.due += self.gap;
        }
        let wait = if speak {
            self.due.saturating_duration_since(now)
        } else {
            Duration::from_millis(100)
        };
        let Self {
            fleet,
            start,
            received,
            notice,
            gone,
            lost,
            ..
        } = self;
        fleet.turn(wait, |_, _, heard| match heard {
            Heard::Text(text) => {
                if let Some((_, sent)) = stamp(text) {
                    *received += 1;
                    let now = start.elapsed().as_nanos() as u64;
                    // The histogram's bounds hold every time that a scenario can last.
                    let _ = times.record(now.saturating_sub(sent).max(1));
                } else if text == notice {
                    *gone = true;
                }
            }
            Heard::Closed => *lost = true,
            Heard::Binary(_) | Heard::Open => {}
        })?;
        if self.lost {
            bail!("a member that reads was closed");
        }
        Ok(())
    }
}

/// What all rounds came to.
struct Figures {
    without: Histogram<u64>,
    with: Histogram<u64>,
    ratios: Vec<f64>,
    closed_after: Vec<f64>,
    grown: u64,
    code: Option<u16>,
}

impl Slow {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        if self.members < 3 || self.rounds == 0 {
            bail!("this takes three members or more, and a round or more");
        }
        let stage = Stage::set(target, 1, self.members)?;
        let (stalled, others) = stage.users.split_first().context("no members")?;
        // Of a big room nobody is told who leaves; a small one tells when the host closed it.
        stage.share(target, &[stalled, &others[0]])?;
        let mut fleet = Fleet::new()?;
        enter(&mut fleet, target, others)?;
        let messages = self.rate as f64 / (others.len() - 1) as f64;
        let mut crowd = Crowd {
            target,
            fleet,
            room: &stage.rooms[0],
            size: self.size,
            gap: Duration::from_secs_f64(1.0 / messages),
            members: others.len(),
            start: Instant::now(),
            due: Instant::now(),
            said: 0,
            received: 0,
            notice: format!(r#"{{"type":"presense","data":"offline","from":"{stalled}"}}"#),
            gone: false,
            lost: false,
        };
        let figures = self.rounds(&mut crowd, stalled)?;
        let lost = crowd.missing();
        drop(crowd);
        stage.strike(target)?;
        if lost > 0 {
            bail!("{lost} deliveries are missing");
        }
        Ok(figures.report(target.pid.is_some()))
    }

    fn rounds(&self, crowd: &mut Crowd<'_>, user: &str) -> anyhow::Result<Figures> {
        let length = Duration::from_secs_f64(self.seconds);
        let mut figures = Figures {
            without: histogram()?,
            with: histogram()?,
            ratios: Vec::new(),
            closed_after: Vec::new(),
            grown: 0,
            code: None,
        };
        crowd.stretch(|_, elapsed| elapsed > Duration::from_secs(1))?;
        for round in 0..2 * self.rounds {
            // Which comes first changes, so that what drifts meets both alike.
            if [0, 3].contains(&(round % 4)) {
                let alone = crowd.stretch(|_, elapsed| elapsed > length)?;
                figures.without.add(&alone.times)?;
                figures.ratios.push(p99(&alone.times));
                continue;
            }
            crowd.gone = false;
            let stalled = Stalled::enter(crowd.target, user)?;
            let beside = crowd.stretch(|crowd, _| crowd.gone)?;
            figures.with.add(&beside.times)?;
            figures.ratios.push(p99(&beside.times));
            figures.closed_after.push(beside.took.as_secs_f64());
            figures.grown = figures.grown.max(beside.grown);
            let code = stalled.close_code()?;
            if figures
                .code
                .replace(code)
                .is_some_and(|before| before != code)
            {
                bail!("the host closed with different codes");
            }
        }
        Ok(figures)
    }
}

impl Figures {
    fn report(mut self, memory: bool) -> Report {
        let mut report = Report::default();
        let mut pairs: Vec<f64> = (self.ratios.chunks_exact(2).enumerate())
            .map(|(pair, p99)| match pair % 2 {
                0 => p99[1] / p99[0],
                _ => p99[0] / p99[1],
            })
            .collect();
        report.add_real(
            "p99 with / without, median of the pairs",
            median(&mut pairs),
            "",
        );
        report.add_real("closed after, median", median(&mut self.closed_after), "s");
        report.add("closed with code", self.code.unwrap_or(0), "");
        if memory {
            let grown = self.grown as f64 / f64::from(1 << 20);
            report.add_real("the host grew by at most", grown, "MiB");
        }
        report.add("lost", 0, "deliveries");
        for (heading, times) in [
            ("without the one that stalls", &self.without),
            ("with it", &self.with),
        ] {
            report.add(heading, "", "");
            report.add("deliveries", times.len(), "");
            report.add_times(times);
        }
        report
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000_000, 3)?)
}

fn p99(times: &Histogram<u64>) -> f64 {
    times.value_at_quantile(0.99) as f64
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
