//! `sschat room`: rooms of an app.

use super::HostArgs;
use super::ids::{self, IdCommand, Kind};
use clap::Args;

/// `sschat room`.
#[derive(Debug, Clone, Args)]
pub struct RoomArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: IdCommand,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

const ROOMS: Kind = Kind {
    name: "room",
    plural: "rooms",
    inner: "members",
};

pub(super) fn run(args: &RoomArgs) -> anyhow::Result<()> {
    ids::run(&ROOMS, &args.command, &args.host)
}
