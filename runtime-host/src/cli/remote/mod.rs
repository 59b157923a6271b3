//! The commands that act on a running host, near or far: one file per group.
//!
//! Which host, and with which key, is the same for all of them ([`HostArgs`]): options, then
//! the profile that was asked for, then the environment, then the profile file's default.
//! They use the public HTTP and WebSocket interfaces alone. Absent on purpose: anything of
//! the host itself.

mod chat;
mod client;
mod config;
mod dial;
mod failure;
mod history;
mod ids;
mod member;
mod policy;
mod presence;
mod profiles;
mod publish;
mod register;
mod room;
mod shown;
mod status;
mod tail;
mod target;
mod user;

pub use config::ConfigArgs;
pub use failure::Failure;
pub use history::HistoryArgs;
pub use member::MemberArgs;
pub use policy::PolicyArgs;
pub use presence::PresenceArgs;
pub use publish::PublishArgs;
pub use register::RegisterArgs;
pub use room::RoomArgs;
pub use status::StatusArgs;
pub use tail::TailArgs;
pub use target::{HostArgs, UserArgs};
pub use user::UserCommandArgs;

pub(super) use client::{Client, percent_encoded};
pub(super) use shown::print;

use clap::Subcommand;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Remote {
    /// Register an API key; show or delete it.
    Register(RegisterArgs),
    /// Create, list, show and delete rooms.
    Room(RoomArgs),
    /// Create, list, show and delete users.
    User(UserCommandArgs),
    /// Add users to a room and remove them.
    Member(MemberArgs),
    /// Choose the rule of an app, or bring one of its own.
    Policy(PolicyArgs),
    /// Say something in a room.
    Publish(PublishArgs),
    /// Print what is said in rooms, as it comes.
    Tail(TailArgs),
    /// Print what was said in a room, as far as it is kept.
    History(HistoryArgs),
    /// Ask whether users are online.
    Presence(PresenceArgs),
    /// Say how a host is, and what the API key has there.
    Status(StatusArgs),
    /// Keep hosts and keys in profiles.
    Config(ConfigArgs),
}

impl Remote {
    /// Runs the command.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Register(args) => register::run(args),
            Self::Room(args) => room::run(args),
            Self::User(args) => user::run(args),
            Self::Member(args) => member::run(args),
            Self::Policy(args) => policy::run(args),
            Self::Publish(args) => publish::run(args),
            Self::Tail(args) => tail::run(args),
            Self::History(args) => history::run(args),
            Self::Presence(args) => presence::run(args),
            Self::Status(args) => status::run(args),
            Self::Config(args) => config::run(args),
        }
    }
}
