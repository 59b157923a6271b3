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

/// What was said and acknowledged.
struct Course {
    stage: Stage,
    fleet: Fleet,
    start: Instant,
    gap: Duration,
    size: usize,
    /// When each publication was due; its command's number is its place here and two.
    sent: Vec<Duration>,
    accepted: usize,
    times: Histogram<u64>,
    lost: Option<String>,
}

/// The protocol of the publishers.
const DIALECT: Dialect = Dialect::Json;

impl Acknowledged {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let stage = Stage::set(target, self.rooms, 1)?;
        let mut fleet = Fleet::new()?;
        let login = |user: usize| DIALECT.login(&stage.users[user], None);
        let entering = Entering::new(DIALECT, &stage);
        enter_as(&mut fleet, target, &entering, login, |_, _| {})?;
        let mut course = Course {
            stage,
            fleet,
            start: Instant::now(),
            gap: Duration::from_secs_f64(1.0 / self.rate as f64),
            size: self.size,
            sent: Vec::new(),
            accepted: 0,
            times: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
            lost: None,
        };
        course.go_on(WARM_UP)?;
        let before = target.reading()?;
        let length = WARM_UP + Duration::from_secs_f64(self.seconds);
        course.go_on(length)?;
        let after = target.reading()?;
        course.finish(length)?;
        let mut report = Report::default();
        let count = course.times.len();
        report.add("acknowledged", count, "publications");
        if let Some((before, after)) = before.zip(after) {
            let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
            report.add_real("cpu per publication", cpu / count.max(1) as f64, "µs");
        }
        report.add_times(&course.times);
        course.stage.strike(target)?;
        Ok(report)
    }
}

impl Course {
    /// Publishes at the set rate until so much time has passed.
    fn go_on(&mut self, until: Duration) -> anyhow::Result<()> {
        loop {
            let now = self.start.elapsed();
            if now >= until {
                return Ok(());
            }
            while self.due() <= now {
                let (due, number) = (self.due(), self.sent.len());
                let client = number % self.stage.users.len();
                let command = (&*self.stage.rooms[client], number as u32 + 2);
                let said = DIALECT.publish(command, client, due.as_nanos() as u64, self.size);
                self.fleet.send_as(client, DIALECT.opcode(), &said);
                self.sent.push(due);
            }
            self.hear(self.due().min(until).saturating_sub(now))?;
        }
    }

    /// When the next publication is due.
    fn due(&self) -> Duration {
        self.gap * self.sent.len() as u32
    }

    /// Waits for what is not acknowledged.
    fn finish(&mut self, length: Duration) -> anyhow::Result<()> {
        while self.accepted < self.sent.len() {
            self.hear(Duration::from_millis(100))?;
            if self.start.elapsed() > length + LAST {
                let missing = self.sent.len() - self.accepted;
                bail!("{missing} of {} are not acknowledged", self.sent.len());
            }
        }
        Ok(())
    }

    fn hear(&mut self, wait: Duration) -> anyhow::Result<()> {
        let (sent, accepted, times, lost) = (
            &self.sent,
            &mut self.accepted,
            &mut self.times,
            &mut self.lost,
        );
        let start = self.start;
        self.fleet.turn(wait, |fleet, client, heard| {
            let Some(message) = heard.message() else {
                if matches!(heard, Heard::Closed) {
                    *lost = Some("closed by the host".to_owned());
                }
                return;
            };
            DIALECT.read(message, |said| match said {
                Said::Accepted(number) => {
                    *accepted += 1;
                    let due = sent.get(number as usize - 2).copied().unwrap_or_default();
                    if due > WARM_UP {
                        let took = start.elapsed().saturating_sub(due).as_nanos() as u64;
                        // The histogram's bounds hold every time that a scenario can last.
                        let _ = times.record(took.max(1));
                    }
                }
                Said::Refused(why) => *lost = Some(why.into_owned()),
                Said::Ping(pong) => fleet.send_as(client, DIALECT.opcode(), pong),
                Said::Begun(_) | Said::Publication(..) | Said::Other => {}
            });
        })?;
        match self.lost.take() {
            Some(lost) => bail!("a connection was lost: {lost}"),
            None => Ok(()),
        }
    }
}
