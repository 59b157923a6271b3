//! Publications to rooms: in a closed loop for throughput, in an open one for times.

use super::closed::Closed;
use super::dialect::Dialect;
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Stage, Target, enter};
use anyhow::bail;
use clap::Args;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Where a message's payload begins in the frame of a delivery.
const PREFIX: &str = r#"{"type":"message","data":""#;

/// The payload begins with the publisher's number and the time it was sent, in hex.
pub(super) const STAMP: usize = 8 + 16;

/// How long a scenario waits for what is still on its way.
const LAST: Duration = Duration::from_secs(10);

/// Rooms, members and how much is said in a closed loop.
#[derive(Debug, Clone, Args)]
pub(super) struct Shape {
    /// The protocol of the members.
    #[arg(long, value_enum, default_value_t)]
    pub(super) protocol: Dialect,
    /// Rooms.
    #[arg(long, default_value_t = 1)]
    pub(super) rooms: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 1000)]
    pub(super) members: usize,
    /// Publishers of each room.
    #[arg(long, default_value_t = 4)]
    pub(super) publishers: usize,
    /// Messages of each publisher on their way at once.
    #[arg(long, default_value_t = 4)]
    pub(super) window: usize,
    /// Payload of a message, in bytes; at least 24, and 30 on the Centrifuge protocol.
    #[arg(long, default_value_t = 64)]
    pub(super) size: usize,
}

/// Closed loop.
#[derive(Debug, Args)]
pub(super) struct Fanout {
    #[command(flatten)]
    shape: Shape,
    /// How long to measure, after a second of warming up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Open loop.
#[derive(Debug, Args)]
pub(super) struct Chat {
    /// Rooms.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Deliveries a second, over all rooms.
    #[arg(long, default_value_t = 80_000)]
    rate: usize,
    /// Payload of a message, in bytes; at least 24.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How long to measure, after a second of warming up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

pub(super) fn command(room: &str, publisher: usize, nanoseconds: u64, size: usize) -> String {
    let fill = size.saturating_sub(STAMP);
    format!(
        r#"{{"command":"room","room":"{room}","msg":"{publisher:08x}{nanoseconds:016x}{:x<fill$}"}}"#,
        ""
    )
}

/// The publisher and the time in a delivery.
pub(super) fn stamp(text: &str) -> Option<(usize, u64)> {
    let payload = text.strip_prefix(PREFIX)?;
    let publisher = usize::from_str_radix(payload.get(..8)?, 16).ok()?;
    let time = u64::from_str_radix(payload.get(8..STAMP)?, 16).ok()?;
    Some((publisher, time))
}

/// What was counted while measuring.
pub(super) struct Count {
    start: Instant,
    pub(super) deliveries: u64,
    pub(super) times: Histogram<u64>,
    pub(super) measuring: bool,
    pub(super) lost: Option<String>,
}

impl Count {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            start: Instant::now(),
            deliveries: 0,
            times: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
            measuring: false,
            lost: None,
        })
    }

    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub(super) fn delivered(&mut self, sent: u64) {
        if self.measuring {
            self.deliveries += 1;
            let took = self.now().saturating_sub(sent).max(1);
            // The histogram's bounds hold every time that a scenario can last.
            let _ = self.times.record(took);
        }
    }
}

/// Lets `turn` run for a second, then for `seconds` with the host's process read before and after.
fn measure(
    target: &Target,
    seconds: f64,
    count: &mut Count,
    mut turn: impl FnMut(&mut Count) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let mut run = |count: &mut Count, length: Duration| {
        let start = Instant::now();
        while start.elapsed() < length {
            turn(count)?;
            if let Some(lost) = &count.lost {
                bail!("a connection was lost: {lost}");
            }
        }
        Ok(start.elapsed())
    };
    run(count, Duration::from_secs(1))?;
    let before = target.reading()?;
    count.measuring = true;
    let elapsed = run(count, Duration::from_secs_f64(seconds))?;
    let after = target.reading()?;
    count.measuring = false;
    let mut report = Report::default();
    let rate = count.deliveries as f64 / elapsed.as_secs_f64();
    report.add_real("deliveries", rate / 1_000.0, "thousand/s");
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = (after.cpu - before.cpu) as f64 / 1_000.0;
        report.add_real(
            "cpu per delivery",
            cpu / count.deliveries.max(1) as f64,
            "µs",
        );
        report.add_real("cpu", cpu / elapsed.as_micros() as f64, "cores");
        report.add_real(
            "resident",
            after.resident as f64 / f64::from(1 << 20),
            "MiB",
        );
    }
    report.add_times(&count.times);
    Ok(report)
}

impl Fanout {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let mut closed = Closed::set(target, &self.shape)?;
        let mut count = Count::new()?;
        closed.begin(&count);
        let mut report = measure(target, self.seconds, &mut count, |count| {
            closed.turn(count, true)
        })?;
        drain(|| closed.turn(&mut count, false))?;
        let missing = closed.missing();
        report.add(
            "lost",
            missing as u64,
            "messages not delivered to everybody",
        );
        closed.stage.strike(target)?;
        if missing > 0 {
            bail!("{missing} messages did not reach everybody");
        }
        Ok(report)
    }
}

/// Goes on until nothing has come for a moment.
pub(super) fn drain(mut turn: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let before = Instant::now();
        turn()?;
        if before.elapsed() >= Duration::from_millis(99) || start.elapsed() > LAST {
            return Ok(());
        }
    }
}

impl Chat {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let stage = Stage::set(target, self.rooms, self.members)?;
        let mut fleet = Fleet::new()?;
        enter(&mut fleet, target, &stage.users)?;
        let messages_per_second = self.rate as f64 / (self.members - 1) as f64;
        let gap = Duration::from_secs_f64(1.0 / messages_per_second);
        let mut count = Count::new()?;
        let mut received = 0u64;
        let mut said = 0u64;
        let mut due = Instant::now();
        let mut turn = |fleet: &mut Fleet, count: &mut Count, speak: bool| {
            let now = Instant::now();
            while speak && due <= now {
                // Speakers take turns through all rooms; a late one counts from when it was due.
                let client =
                    (said as usize * self.members + said as usize / self.rooms) % stage.users.len();
                let sent = due.duration_since(count.start).as_nanos() as u64;
                let room = &stage.rooms[client / self.members];
                fleet.send(client, &command(room, client, sent, self.size));
                said += 1;
                due += gap;
            }
            let wait = if speak {
                due.saturating_duration_since(now)
            } else {
                Duration::from_millis(100)
            };
            fleet.turn(wait, |_, _, heard| match heard {
                Heard::Text(text) => {
                    if let Some((_, sent)) = stamp(text) {
                        received += 1;
                        count.delivered(sent);
                    }
                }
                Heard::Closed => count.lost = Some("closed by the host".to_owned()),
                Heard::Binary(_) | Heard::Open => {}
            })
        };
        let mut report = measure(target, self.seconds, &mut count, |count| {
            turn(&mut fleet, count, true)
        })?;
        drain(|| turn(&mut fleet, &mut count, false))?;
        let expected = said * (self.members as u64 - 1);
        report.add("lost", expected - received, "deliveries");
        stage.strike(target)?;
        if received != expected {
            bail!(
                "{} of {expected} deliveries are missing",
                expected - received
            );
        }
        Ok(report)
    }
}
