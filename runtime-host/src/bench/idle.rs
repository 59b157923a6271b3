//! Connections that say nothing, and all of them coming back at once.

use super::fanout::{command, stamp};
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Entry, Stage, Target, enter};
use anyhow::{Context, bail};
use clap::Args;
use std::time::{Duration, Instant};

/// Members of each room of the idle crowd.
const ROOM: usize = 10;

/// How long what is still on its way may take.
const LAST: Duration = Duration::from_secs(10);

/// Idle connections.
#[derive(Debug, Args)]
pub(super) struct Idle {
    /// Connections, each logged in and in one room of ten.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// A reconnect storm.
#[derive(Debug, Args)]
pub(super) struct Storm {
    /// Connections, each logged in and in one room of ten.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How often everybody comes back.
    #[arg(long, default_value_t = 3)]
    times: usize,
}

impl Idle {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let pid = "give the host's --pid: memory is what this measures";
        let stage = Stage::set(target, self.connections.div_ceil(ROOM), ROOM)?;
        let before = target.reading()?.context(pid)?;
        let mut fleet = Fleet::new()?;
        let entry = enter(&mut fleet, target, &stage.users)?;
        let after = target.reading()?.context(pid)?;
        let mut report = Report::default();
        let connections = stage.users.len();
        report.add("connections", connections as u64, "");
        report.add_real(
            "connected and logged in within",
            entry.took.as_secs_f64(),
            "s",
        );
        let grown = after.resident.saturating_sub(before.resident) as f64;
        report.add_real(
            "memory per connection",
            grown / connections as f64 / 1024.0,
            "KiB",
        );
        let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
        report.add_real("cpu per first login", cpu / connections as f64, "µs");
        report.add_times(&entry.times);
        report.add("lost", call_the_roll(&mut fleet, &stage)?, "deliveries");
        drop(fleet);
        stage.strike(target)?;
        Ok(report)
    }
}

impl Storm {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let stage = Stage::set(target, self.connections.div_ceil(ROOM), ROOM)?;
        let mut fleet = Fleet::new()?;
        let mut report = Report::default();
        let first = storm(&mut fleet, target, &stage)?;
        let mut again = Vec::new();
        for _ in 0..self.times {
            fleet.cut();
            again.push(storm(&mut fleet, target, &stage)?);
        }
        report.add("connections", stage.users.len() as u64, "");
        // A wave that loses something ends the scenario.
        report.add("lost", 0, "deliveries");
        report.add("first time", "", "");
        first.report(&mut report);
        again.sort_by_key(|wave| wave.entry.took);
        if let Some(median) = again.get(again.len() / 2) {
            report.add("again, the median wave", "", "");
            median.report(&mut report);
        }
        drop(fleet);
        stage.strike(target)?;
        Ok(report)
    }
}

/// Everybody's entry.
struct Wave {
    entry: Entry,
    /// Of each login, in microseconds, where the host's process is known.
    cpu: Option<f64>,
}

impl Wave {
    fn report(&self, report: &mut Report) {
        report.add_real("everybody in within", self.entry.took.as_secs_f64(), "s");
        if let Some(cpu) = self.cpu {
            report.add_real("cpu per login", cpu, "µs");
        }
        report.add_times(&self.entry.times);
    }
}

/// Lets everybody in at once and sees that everybody hears.
fn storm(fleet: &mut Fleet, target: &Target, stage: &Stage) -> anyhow::Result<Wave> {
    let before = target.reading()?;
    let entry = enter(fleet, target, &stage.users)?;
    let after = target.reading()?;
    let cpu = before.zip(after).map(|(before, after)| {
        (after.cpu - before.cpu) as f64 / 1_000.0 / stage.users.len() as f64
    });
    call_the_roll(fleet, stage)?;
    Ok(Wave { entry, cpu })
}

/// Says one message in each room, which all others in it must hear; how many were not heard, none.
///
/// # Errors
/// Where a message is not heard.
fn call_the_roll(fleet: &mut Fleet, stage: &Stage) -> anyhow::Result<u64> {
    for (at, room) in stage.rooms.iter().enumerate() {
        fleet.send(at * ROOM, &command(room, at * ROOM, 0, 0));
    }
    let mut missing = (stage.rooms.len() * (ROOM - 1)) as u64;
    let start = Instant::now();
    while missing > 0 && start.elapsed() < LAST {
        fleet.turn(Duration::from_millis(100), |_, _, heard| {
            if matches!(heard, Heard::Text(text) if stamp(text).is_some()) {
                missing -= 1;
            }
        })?;
    }
    if missing > 0 {
        bail!("{missing} deliveries are missing");
    }
    Ok(missing)
}
