//! `sschat publish`: says something in a room, as a user.
//!
//! Done means that the host has taken it: a refusal is told before the command ends.

use super::chat::Chat;
use super::shown::{print, print_json};
use super::{Failure, HostArgs, UserArgs};
use clap::Args;
use serde_json::{Value, json};
use std::io::{BufRead, Read};

/// The longest line that is read from stdin, so that one without an end fills no memory.
const LINE_LIMIT: u64 = 16 << 20;

/// `sschat publish`.
#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    /// The room.
    pub room: String,
    /// What to say, as text; `-` says each line of stdin.
    pub message: String,
    /// What is said is one JSON value each.
    #[arg(long)]
    pub value: bool,
    /// As whom.
    #[command(flatten)]
    pub user: UserArgs,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

pub(super) fn run(args: &PublishArgs) -> anyhow::Result<()> {
    let first = match args.message.as_str() {
        "-" => None,
        message => Some(parsed(message, args.value)?),
    };
    let mut chat = Chat::open(&args.host.target()?, &args.user)?;
    let mut said: u64 = 0;
    let mut say = |message: Value| {
        chat.command(&json!({"command": "room", "room": args.room, "msg": message}))?;
        said += 1;
        Ok::<(), Failure>(())
    };
    match first {
        Some(message) => say(message)?,
        None => {
            let mut input = std::io::stdin().lock();
            let mut line = String::new();
            while (&mut input).take(LINE_LIMIT).read_line(&mut line)? > 0 {
                say(parsed(line.trim_end_matches(['\n', '\r']), args.value)?)?;
                line.clear();
            }
        }
    }
    chat.close();
    if args.host.json {
        return print_json(&json!({"status": "ok", "room": args.room, "published": said}));
    }
    let noun = if said == 1 {
        "publication"
    } else {
        "publications"
    };
    print(&format!("{said} {noun}\n"))
}

fn parsed(message: &str, value: bool) -> Result<Value, Failure> {
    if !value {
        return Ok(Value::String(message.to_owned()));
    }
    serde_json::from_str(message).map_err(|error| {
        let next = "leave --value away to say it as text";
        Failure::Usage(format!("the message is no JSON value: {error}; {next}"))
    })
}
