//! `sschat member`: who belongs to a room.

use super::client::{Paging, percent_encoded};
use super::shown::{print, visible};
use super::{Client, HostArgs, ids};
use clap::{Args, Subcommand};

/// `sschat member`.
#[derive(Debug, Clone, Args)]
pub struct MemberArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MemberCommand,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// What is done with a room's members.
#[derive(Debug, Clone, Subcommand)]
pub enum MemberCommand {
    /// List the members of a room.
    List {
        /// The room.
        room: String,
        /// How many of them.
        #[command(flatten)]
        paging: Paging,
    },
    /// Make users members of a room; they hear it at once.
    Add {
        /// The room.
        room: String,
        /// The users.
        #[arg(required = true)]
        users: Vec<String>,
    },
    /// End memberships; the users hear nothing more once this is done.
    Remove {
        /// The room.
        room: String,
        /// The users.
        #[arg(required = true)]
        users: Vec<String>,
    },
}

pub(super) fn run(args: &MemberArgs) -> anyhow::Result<()> {
    let client = Client::new(args.host.target()?)?;
    let (room, users, action, said) = match &args.command {
        MemberCommand::List { room, paging } => {
            let path = format!("/api/room/{}", percent_encoded(room));
            let answer = client.list(&path, "members", paging)?;
            return ids::show_list(&answer, "members", "MEMBER", args.host.json);
        }
        MemberCommand::Add { room, users } => (room, users, "add", "is a member of"),
        MemberCommand::Remove { room, users } => (room, users, "remove", "is no member of"),
    };
    let mut changed = Vec::new();
    for user in users {
        let (room_part, user_part) = (percent_encoded(room), percent_encoded(user));
        let path = format!("/api/room/{room_part}/{user_part}/{action}");
        changed.push(client.call("PUT", &path)?);
        if !args.host.json {
            print(&format!("{} {said} {}\n", visible(user), visible(room)))?;
        }
    }
    ids::print_answers(changed, args.host.json)
}
