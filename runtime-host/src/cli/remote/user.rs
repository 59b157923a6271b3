//! `sschat user`: users of an app.

use super::HostArgs;
use super::ids::{self, IdCommand, Kind};
use clap::Args;

/// `sschat user`.
#[derive(Debug, Clone, Args)]
pub struct UserCommandArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: IdCommand,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

const USERS: Kind = Kind {
    name: "user",
    plural: "users",
    inner: "rooms",
};

pub(super) fn run(args: &UserCommandArgs) -> anyhow::Result<()> {
    ids::run(&USERS, &args.command, &args.host)
}
