//! A reconnect storm on the Centrifuge protocol: everybody comes back at once and is given what was missed.

use super::dialect::{Dialect, subscription};
use super::fleet::Fleet;
use super::report::Report;
use super::stage::{Entering, Stage, Target, enter_as, in_parallel};
use anyhow::{Context, ensure};
use clap::Args;
use std::time::Duration;

/// By how many bytes answers to the same question differ: times and lives of sessions.
const SLACK: usize = 64;

/// Those who come back.
#[derive(Debug, Args)]
pub(super) struct Recovery {
    /// Members of the one room, who are away meanwhile.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Publications that each of them misses. The host's --history-size must hold them.
    #[arg(long, default_value_t = 1_000)]
    missed: usize,
    /// Payload of a message, in bytes; at least 8.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How often everybody comes back.
    #[arg(long, default_value_t = 3)]
    times: usize,
}

/// Where everybody was.
struct Position {
    epoch: String,
    offset: u64,
}

impl Recovery {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let stage = Stage::set(target, 1, self.clients)?;
        let mut away = Fleet::new()?;
        let mut position = self.come(&mut away, target, &stage, None)?.1;
        let mut waves = Vec::new();
        for _ in 0..self.times.max(1) {
            away.cut();
            self.say(target, &stage)?;
            let before = target.reading()?;
            let (took, now) = self.come(&mut away, target, &stage, Some(&position))?;
            let after = target.reading()?;
            let cost = before.zip(after).map(|(before, after)| {
                let grown = after.peak.saturating_sub(before.resident);
                (after.cpu - before.cpu, grown)
            });
            waves.push((took, cost));
            position = now;
        }
        waves.sort_by_key(|wave| wave.0);
        let (took, cost) = waves[waves.len() / 2];
        let mut report = Report::default();
        report.add("clients", self.clients as u64, "");
        report.add("missed by each", self.missed as u64, "publications");
        report.add("the median wave", "", "");
        report.add_real("everybody current within", took.as_secs_f64(), "s");
        if let Some((cpu, grown)) = cost {
            let cpu = cpu as f64 / 1_000.0 / self.clients as f64;
            report.add_real("cpu per client", cpu, "µs");
            let grown = grown as f64 / f64::from(1 << 20);
            report.add_real("memory above before, at most", grown, "MiB");
        }
        drop(away);
        stage.strike(target)?;
        Ok(report)
    }

    /// Everybody comes, all at once; how long until the last has its answer, and the position then.
    ///
    /// # Errors
    /// Where somebody is not given all that was missed.
    fn come(
        &self,
        fleet: &mut Fleet,
        target: &Target,
        stage: &Stage,
        was_at: Option<&Position>,
    ) -> anyhow::Result<(Duration, Position)> {
        let room = &*stage.rooms[0];
        let was = was_at.map(|was| (room, &*was.epoch, was.offset));
        let login = |user: usize| Dialect::Json.login(&stage.users[user], was);
        let entering = Entering {
            at_once: self.clients,
            ..Entering::new(Dialect::Json, stage)
        };
        let (mut first, mut long, mut short) = (None, 0, 0);
        let entry = enter_as(fleet, target, &entering, login, |_, answer| {
            // One is read whole; the others must be as long. Reading them all would be what is measured.
            if first.is_none() {
                (first, long) = (Some(answer.to_vec()), answer.len());
            } else if answer.len() + SLACK < long {
                short += 1;
            }
        })?;
        let answer = first.context("nobody came")?;
        let (epoch, offset, recovered, given) =
            subscription(&answer, room).context("the host keeps no history of the room")?;
        ensure!(short == 0, "{short} were given less than the first");
        let Some(was) = was_at else {
            return Ok((entry.took, Position { epoch, offset }));
        };
        ensure!(
            recovered && given == self.missed,
            "{given} of {} were recovered; the host's --history-size and --queue-limit must allow them",
            self.missed
        );
        let offset = was.offset + given as u64;
        Ok((entry.took, Position { epoch, offset }))
    }

    /// Has the backend say what will be missed; all is acknowledged then.
    fn say(&self, target: &Target, stage: &Stage) -> anyhow::Result<()> {
        let path = format!("/api/room/{}/message?apikey={}", stage.rooms[0], stage.key);
        in_parallel(self.missed, |number| {
            let fill = self.size.saturating_sub(8);
            target.post(&path, &format!(r#""{number:06}{:x<fill$}""#, ""))
        })?;
        Ok(())
    }
}
