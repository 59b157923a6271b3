//! What a tenant whose policy never ends does to the others.

use super::fanout::Chat;
use super::fleet::{Fleet, Heard};
use super::report::Report;
use super::stage::{Stage, Target, enter};
use anyhow::{Context, bail};
use clap::Args;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The chat of one tenant: alone, and beside another tenant whose every publication is
/// decided by the policy given.
#[derive(Debug, Args)]
pub(super) struct Noise {
    /// The other tenant's policy.
    #[arg(long)]
    policy: PathBuf,
    /// Its configuration, JSON.
    #[arg(long, default_value = "\"loop\"")]
    configuration: String,
    /// Members of the other tenant who publish as soon as they were answered.
    #[arg(long, default_value_t = 16)]
    talkers: usize,
    #[command(flatten)]
    chat: Chat,
}

impl Noise {
    pub(super) fn run(&self, target: &Target) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let alone = self.chat.run(target)?;
        let noisy = Stage::set(target, 1, self.talkers)?;
        let policy = std::fs::read(&self.policy)
            .with_context(|| format!("cannot read {}", self.policy.display()))?;
        target.put(&format!("/api/policy?apikey={}", noisy.key), &policy)?;
        let path = format!("/api/policy/config?apikey={}", noisy.key);
        target.put(&path, self.configuration.as_bytes())?;
        let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
        let beside = std::thread::scope(|scope| {
            let talking = scope.spawn(|| talk(target, &noisy, &stop, &asked));
            let beside = self.chat.run(target);
            stop.store(true, Ordering::Relaxed);
            match talking.join() {
                Ok(talked) => talked?,
                Err(_) => bail!("the noisy tenant's thread panicked"),
            }
            beside
        })?;
        noisy.strike(target)?;
        report.add(
            "publications of the noisy tenant",
            asked.into_inner(),
            "answered",
        );
        for (when, figures) in [("alone", &alone), ("beside the noisy tenant", &beside)] {
            report.add(when, "", "");
            for name in ["deliveries", "p50", "p99", "p99.9"] {
                report.add_real(name, figures.value(name), figures.unit(name));
            }
        }
        let ratio = beside.value("p99") / alone.value("p99");
        report.add_real("p99 beside / alone", ratio, "");
        Ok(report)
    }
}

/// Everybody publishes, again and again.
fn talk(
    target: &Target,
    stage: &Stage,
    stop: &AtomicBool,
    asked: &AtomicU64,
) -> anyhow::Result<()> {
    let mut fleet = Fleet::new()?;
    enter(&mut fleet, target, &stage.users)?;
    let text = format!(
        r#"{{"command":"room","room":"{}","msg":"noise"}}"#,
        stage.rooms[0]
    );
    for client in 0..stage.users.len() {
        fleet.send(client, &text);
    }
    while !stop.load(Ordering::Relaxed) {
        fleet.turn(
            Duration::from_millis(10),
            |fleet, client, heard| match heard {
                Heard::Text(answer) if answer.starts_with(r#"{"type":"error""#) => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    fleet.send(client, &text);
                }
                _ => {}
            },
        )?;
    }
    Ok(())
}
