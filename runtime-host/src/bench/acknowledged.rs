//! Publications at a set rate on the Centrifuge protocol: when each is acknowledged, which with a durable history is
//! once it is on the disk.

use super::dialect::{Dialect, Said};
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Entering, Stage, Target, enter_as};
use anyhow::bail;
use clap::Args;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// How long what is still on its way may take.
const LAST: Duration = Duration::from_secs(10);

/// Not measured, at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);

/// Publications and their acknowledgements.
#[derive(Debug, Args)]
pub(super) struct Acknowledged {
    /// Rooms, each of one member who publishes.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Publications a second, over all rooms.
    #[arg(long, default_value_t = 1_000)]
    rate: usize,
    /// Payload of a message, in bytes; at least 30.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How long to measure, after a second of warming up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

impl Acknowledged {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let dialect = Dialect::Json;
        let stage = Stage::set(target, self.rooms, 1)?;
        let mut fleet = Fleet::new()?;
        let entering = Entering::new(dialect, &stage);
        let login = |user: usize| dialect.login(&stage.users[user], None);
        enter_as(&mut fleet, target, &entering, login, |_, _| {})?;
        let gap = Duration::from_secs_f64(1.0 / self.rate as f64);
        let length = WARM_UP + Duration::from_secs_f64(self.seconds);
        // When each publication was due; its command's number is its place here and two.
        let mut sent: Vec<Duration> = Vec::new();
        let mut times: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        let (mut accepted, mut lost) = (0, None);
        let start = Instant::now();
        let mut before = target.reading()?;
        let mut warm = false;
        while start.elapsed() < length || accepted < sent.len() {
            let now = start.elapsed();
            if now > WARM_UP && !warm {
                (warm, before) = (true, target.reading()?);
            }
            while now < length && gap * sent.len() as u32 <= now {
                let due = gap * sent.len() as u32;
                let client = sent.len() % stage.users.len();
                let command = (&*stage.rooms[client], sent.len() as u32 + 2);
                let said = dialect.publish(command, client, due.as_nanos() as u64, self.size);
                fleet.send_as(client, dialect.opcode(), &said);
                sent.push(due);
            }
            let wait = (gap * sent.len() as u32).saturating_sub(start.elapsed());
            let wait = wait.min(Duration::from_millis(100));
            fleet.turn(wait, |fleet, client, heard| {
                let Some(message) = heard.message() else {
                    if matches!(heard, Heard::Closed) {
                        lost = Some("closed by the host".to_owned());
                    }
                    return;
                };
                dialect.read(message, |said| match said {
                    Said::Accepted(number) => {
                        accepted += 1;
                        let due = sent.get(number as usize - 2).copied().unwrap_or_default();
                        if due > WARM_UP {
                            let took = start.elapsed().saturating_sub(due).as_nanos() as u64;
                            // The histogram's bounds hold every time that a scenario can last.
                            let _ = times.record(took.max(1));
                        }
                    }
                    Said::Refused(why) => lost = Some(why.into_owned()),
                    Said::Ping(pong) => fleet.send_as(client, dialect.opcode(), pong),
                    Said::Begun(_) | Said::Publication(..) | Said::Other => {}
                });
            })?;
            if let Some(lost) = lost {
                bail!("a connection was lost: {lost}");
            }
            if start.elapsed() > length + LAST {
                bail!(
                    "{} of {} are not acknowledged",
                    sent.len() - accepted,
                    sent.len()
                );
            }
        }
        let mut report = Report::default();
        report.add("acknowledged", times.len(), "publications");
        if let Some((before, after)) = before.zip(target.reading()?) {
            let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
            report.add_real("cpu per publication", cpu / times.len().max(1) as f64, "µs");
        }
        report.add_times(&times);
        stage.strike(target)?;
        Ok(report)
    }
}
