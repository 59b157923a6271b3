//! `sschat bench`: what a host can do, measured from outside.
//!
//! Each scenario makes its own key, rooms and users over REST, connects over WebSocket
//! and reports deliveries, times and, given the host's process id, its CPU time and
//! memory. The generator is one thread with its own event loop; give it (`--pin-core`) and
//! the host (`up --pin-cores`, or `taskset`) cores of their own and compare only what ran
//! side by side.
//!
//! Nothing here is used by the host itself.

mod acknowledged;
mod closed;
mod decide;
mod dialect;
mod exodus;
mod fanout;
mod fleet;
mod idle;
mod noise;
mod process;
mod recovery;
mod report;
mod rest;
mod revoke;
mod slow;
mod stage;
mod stalled;
mod versus;

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
pub struct Bench {
    /// The host to measure.
    #[arg(
        long,
        global = true,
        env = "SSCHAT_URL",
        default_value = "http://127.0.0.1:3000"
    )]
    url: String,
    /// Another host on the same Redis, where every other connection is made, and where `revoke`
    /// asks for removals.
    #[arg(long, global = true)]
    also: Option<String>,
    /// The host's process id, to read its CPU time and memory.
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Offer compression with every connection. The host needs --compression, too.
    #[arg(long, global = true)]
    compression: bool,
    /// The core that the generator keeps to.
    #[arg(long, global = true)]
    pin_core: Option<usize>,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Closed loop: a few publishers a room, a few messages each on their way.
    Fanout(fanout::Fanout),
    /// The closed loop by short turns on two hosts: the ratio of what they cost.
    Versus(versus::Versus),
    /// Open loop: a fixed rate of messages over many rooms; how long each delivery takes.
    Chat(fanout::Chat),
    /// The chat beside a tenant whose policy never ends.
    Noise(noise::Noise),
    /// The chat while another tenant's key is deleted under thousands of live sessions.
    Exodus(exodus::Exodus),
    /// Many connections that say nothing: memory each.
    Idle(idle::Idle),
    /// A room at a set rate, without and with a member that never reads.
    Slow(slow::Slow),
    /// Everybody reconnects at once.
    Storm(idle::Storm),
    /// Everybody reconnects at once and recovers what was missed.
    Recovery(recovery::Recovery),
    /// Publications at a set rate: how long until each is acknowledged with its offset.
    Acknowledged(acknowledged::Acknowledged),
    /// REST: GET and POST of a room.
    Rest(rest::Rest),
    /// One decision: by a hook, by the component, from the memo. Starts its own host.
    Decide(decide::Decide),
    /// A member is removed under load: how long until it hears nothing.
    Revoke(revoke::Revoke),
}

impl Bench {
    /// Runs the scenario and prints what it found.
    ///
    /// # Errors
    /// Where the host can't be reached, refuses, or loses a message.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(id) = self.pin_core
            && !core_affinity::set_for_current(core_affinity::CoreId { id })
        {
            anyhow::bail!("this process may not run on core {id}");
        }
        if let Scenario::Decide(scenario) = self.scenario {
            scenario.run()?.print(self.json);
            return Ok(());
        }
        let target = stage::Target::new(&self.url, self.pid, self.compression)?;
        let target = target.and_also(self.also.as_deref())?;
        let report = match self.scenario {
            Scenario::Decide(scenario) => scenario.run()?,
            Scenario::Fanout(scenario) => scenario.run(&target)?,
            Scenario::Versus(scenario) => scenario.run(target)?,
            Scenario::Chat(scenario) => scenario.run(&target)?,
            Scenario::Noise(scenario) => scenario.run(&target)?,
            Scenario::Exodus(scenario) => scenario.run(&target)?,
            Scenario::Idle(scenario) => scenario.run(&target)?,
            Scenario::Slow(scenario) => scenario.run(&target)?,
            Scenario::Storm(scenario) => scenario.run(&target)?,
            Scenario::Recovery(scenario) => scenario.run(&target)?,
            Scenario::Acknowledged(scenario) => scenario.run(&target)?,
            Scenario::Rest(scenario) => scenario.run(&target)?,
            Scenario::Revoke(scenario) => scenario.run(&target)?,
        };
        report.print(self.json);
        Ok(())
    }
}
