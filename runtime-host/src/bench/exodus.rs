//! What the end of a big tenant does to the others: its key is deleted while thousands of
//! its sessions are live.

use super::fanout::Chat;
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Stage, Target, enter};
use anyhow::bail;
use clap::Args;
use std::time::{Duration, Instant};

/// Members of each room of the big tenant.
const ROOM: usize = 10;

/// When the key is deleted, after the others' chat began: past its second of warming up.
const LEAD: Duration = Duration::from_secs(2);

/// How long everybody's end may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The chat of one tenant: alone, and while another tenant's key is deleted.
#[derive(Debug, Args)]
pub(super) struct Exodus {
    /// Live sessions of the tenant whose key is deleted.
    #[arg(long, default_value_t = 8_000)]
    sessions: usize,
    #[command(flatten)]
    chat: Chat,
}

/// How the big tenant ended.
struct Ended {
    answered: Duration,
    closed: Duration,
}

impl Exodus {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let big = Stage::set(target, self.sessions.div_ceil(ROOM), ROOM)?;
        let mut fleet = Fleet::new()?;
        enter(&mut fleet, target, &big.users)?;
        let alone = self.chat.run(target)?;
        let (ended, beside) = std::thread::scope(|scope| {
            let ending = scope.spawn(|| {
                // The fleet reads on, so that nobody is closed for being slow.
                let begin = Instant::now();
                while begin.elapsed() < LEAD {
                    fleet.turn(Duration::from_millis(10), |_, _, _| {})?;
                }
                end(target, &big, &mut fleet)
            });
            let beside = self.chat.run(target);
            match ending.join() {
                Ok(ended) => anyhow::Ok((ended?, beside?)),
                Err(_) => bail!("the thread of the big tenant panicked"),
            }
        })?;
        let mut report = Report::default();
        report.add("sessions", big.users.len() as u64, "");
        report.add_real(
            "deletion answered",
            ended.answered.as_secs_f64() * 1e3,
            "ms",
        );
        report.add_real("everybody closed", ended.closed.as_secs_f64() * 1e3, "ms");
        for (when, figures) in [("alone", &alone), ("while it ended", &beside)] {
            report.add(when, "", "");
            for name in ["deliveries", "p50", "p99", "p99.9", "max"] {
                report.add_real(name, figures.value(name), figures.unit(name));
            }
        }
        Ok(report)
    }
}

/// Deletes the key and waits until every session of it is closed.
fn end(target: &Target, big: &Stage, fleet: &mut Fleet) -> anyhow::Result<Ended> {
    let begin = Instant::now();
    let path = format!("/api/register/{}", big.key);
    std::thread::scope(|scope| {
        let deleting = scope.spawn(|| {
            target.call("DELETE", &path)?;
            anyhow::Ok(begin.elapsed())
        });
        let mut closed = 0;
        while closed < big.users.len() {
            fleet.turn(Duration::from_millis(10), |_, _, heard| {
                if matches!(heard, Heard::Closed) {
                    closed += 1;
                }
            })?;
            if begin.elapsed() > PATIENCE {
                bail!("only {closed} of {} sessions were closed", big.users.len());
            }
        }
        let closed = begin.elapsed();
        match deleting.join() {
            Ok(answered) => Ok(Ended {
                answered: answered?,
                closed,
            }),
            Err(_) => bail!("the thread that deletes panicked"),
        }
    })
}
