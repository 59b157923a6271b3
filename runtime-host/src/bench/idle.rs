//! Connections that say nothing, and all of them coming back at once.

use super::fleet::Fleet;
use super::report::Report;
use super::stage::{Stage, Target, enter};
use anyhow::Context;
use clap::Args;

/// Members of each room of the idle crowd.
const ROOM: usize = 10;

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
        let took = enter(&mut fleet, target, &stage.users)?;
        let after = target.reading()?.context(pid)?;
        let mut report = Report::default();
        let connections = stage.users.len();
        report.add("connections", connections as u64, "");
        report.add_real("connected and logged in within", took.as_secs_f64(), "s");
        let grown = after.resident.saturating_sub(before.resident) as f64;
        report.add_real(
            "memory per connection",
            grown / connections as f64 / 1024.0,
            "KiB",
        );
        let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
        report.add_real("cpu per first login", cpu / connections as f64, "µs");
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
        let connections = stage.users.len() as f64;
        let before = target.reading()?;
        let first = enter(&mut fleet, target, &stage.users)?;
        let after = target.reading()?;
        report.add_real("first time", first.as_secs_f64(), "s");
        if let (Some(before), Some(after)) = (before, after) {
            let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
            report.add_real("cpu per first login", cpu / connections, "µs");
        }
        for _ in 0..self.times {
            fleet.cut();
            let before = target.reading()?;
            let again = enter(&mut fleet, target, &stage.users)?;
            let after = target.reading()?;
            report.add_real("again", again.as_secs_f64(), "s");
            if let (Some(before), Some(after)) = (before, after) {
                let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
                report.add_real("cpu per reconnect", cpu / connections, "µs");
            }
        }
        drop(fleet);
        stage.strike(target)?;
        Ok(report)
    }
}
