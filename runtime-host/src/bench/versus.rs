//! Two hosts in one run: the closed loop, in short turns by one and the other.
//!
//! The speed of a shared machine drifts by far more than two hosts differ. Turns of a
//! fraction of a second see the same machine, and the median over many pairs of them
//! settles what no two runs one after the other can.

use super::closed::Closed;
use super::dialect::Dialect;
use super::fanout::{Count, Shape, drain};
use super::report::Report;
use super::stage::Target;
use anyhow::{Context, bail};
use clap::Args;
use std::time::{Duration, Instant};

/// The closed loop by turns on two hosts.
#[derive(Debug, Args)]
pub(super) struct Versus {
    /// The other host.
    #[arg(long)]
    against: String,
    /// Its process id.
    #[arg(long)]
    against_pid: u32,
    /// The protocol of its members, where that is another.
    #[arg(long, value_enum)]
    against_protocol: Option<Dialect>,
    /// Turns of each.
    #[arg(long, default_value_t = 40)]
    turns: usize,
    /// How long a turn is, in seconds.
    #[arg(long, default_value_t = 0.25)]
    length: f64,
    #[command(flatten)]
    shape: Shape,
}

struct Side {
    target: Target,
    closed: Closed,
    count: Count,
    /// Of each turn: nanoseconds of CPU a delivery, deliveries a second, and bytes a delivery.
    turns: Vec<(f64, f64, f64)>,
}

impl Side {
    fn set(target: Target, shape: &Shape) -> anyhow::Result<Self> {
        Ok(Self {
            closed: Closed::set(&target, shape)?,
            target,
            count: Count::new()?,
            turns: Vec::new(),
        })
    }

    fn turn(&mut self, length: Duration) -> anyhow::Result<()> {
        let unread = "the process can't be read";
        self.closed.begin(&self.count);
        let before = self.target.reading()?.context(unread)?;
        let (start, heard) = (Instant::now(), self.count.deliveries);
        let received = self.closed.received();
        self.count.measuring = true;
        while start.elapsed() < length {
            self.closed.turn(&mut self.count, true)?;
        }
        // What was on its way belongs to this turn.
        let elapsed = start.elapsed();
        let within = self.count.deliveries - heard;
        let bytes = (self.closed.received() - received) as f64 / within.max(1) as f64;
        self.count.measuring = false;
        let after = self.target.reading()?.context(unread)?;
        drain(|| self.closed.turn(&mut self.count, false))?;
        if let Some(lost) = &self.count.lost {
            bail!("a connection was lost: {lost}");
        }
        let cpu = (after.cpu - before.cpu) as f64 / within.max(1) as f64;
        self.turns
            .push((cpu, within as f64 / elapsed.as_secs_f64(), bytes));
        Ok(())
    }

    fn report(&self, report: &mut Report, heading: &'static str) {
        report.add(heading, "", "");
        let rates = self.turns.iter().map(|turn| turn.1 / 1_000.0);
        report.add_real("deliveries", median(rates), "thousand/s");
        let cpu = self.turns.iter().map(|turn| turn.0 / 1_000.0);
        report.add_real("cpu per delivery", median(cpu), "µs");
        let bytes = self.turns.iter().map(|turn| turn.2);
        report.add_real("bytes per delivery", median(bytes), "");
        report.add_times(&self.count.times);
    }
}

impl Versus {
    pub(super) fn run(&self, target: Target) -> anyhow::Result<Report> {
        target.pid.context("give the host's --pid")?;
        let other = Target::new(&self.against, Some(self.against_pid), target.compression)?;
        let protocol = self.against_protocol.unwrap_or(self.shape.protocol);
        let against = Shape {
            protocol,
            ..self.shape.clone()
        };
        let mut sides = [Side::set(target, &self.shape)?, Side::set(other, &against)?];
        let length = Duration::from_secs_f64(self.length);
        for turn in 0..=self.turns {
            // Who goes first changes, so that what one leaves behind meets both alike.
            let first = turn % 2;
            for side in [first, 1 - first] {
                sides[side].turn(length)?;
            }
            if turn == 0 {
                // To warm up.
                sides.iter_mut().for_each(|side| side.turns.clear());
            }
        }
        let [one, other] = sides;
        let mut report = Report::default();
        one.report(&mut report, "host");
        other.report(&mut report, "against");
        let pairs = || one.turns.iter().zip(&other.turns);
        report.add("host / against, median of pairs", "", "");
        let cpu = pairs().map(|(one, other)| one.0 / other.0);
        report.add_real("ratio of cpu per delivery", median(cpu), "");
        let rates = pairs().map(|(one, other)| one.1 / other.1);
        report.add_real("ratio of deliveries", median(rates), "");
        for side in [one, other] {
            if side.closed.missing() > 0 {
                bail!("{} messages did not reach everybody", side.closed.missing());
            }
            side.closed.stage.strike(&side.target)?;
        }
        Ok(report)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
