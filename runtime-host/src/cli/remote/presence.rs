//! `sschat presence`: asks whether users are online, as a user who may know.

use super::chat::{Chat, refusal};
use super::shown::{print, print_json, said, table};
use super::{Failure, HostArgs, UserArgs};
use clap::Args;
use serde_json::{Value, json};

/// `sschat presence`.
#[derive(Debug, Clone, Args)]
pub struct PresenceArgs {
    /// The users to ask about.
    #[arg(required = true, value_name = "USER_ID")]
    pub users: Vec<String>,
    /// As whom: one that shares a room with them.
    #[command(flatten)]
    pub user: UserArgs,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

pub(super) fn run(args: &PresenceArgs) -> anyhow::Result<()> {
    let mut chat = Chat::open(&args.host.target()?, &args.user)?;
    let mut rows = Vec::new();
    let mut refused = 0;
    for user in &args.users {
        chat.say(&json!({"command": "ping", "user": user}))?;
        let frames = chat.settle()?;
        let (state, why) = state(user, &frames);
        refused += usize::from(why.is_some());
        rows.push((user, state, why));
    }
    chat.close();
    if args.host.json {
        let row = |(user, state, why): &(&String, String, Option<String>)| json!({"user": user, "state": state, "reason": why});
        let rows: Vec<Value> = rows.iter().map(row).collect();
        print_json(&json!({"status": "ok", "data": rows}))?;
    } else {
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|(user, state, why)| {
                vec![
                    (*user).clone(),
                    state.clone(),
                    why.clone().unwrap_or_default(),
                ]
            })
            .collect();
        print(&table(&["USER", "STATE", ""], &cells))?;
    }
    match refused {
        0 => Ok(()),
        count => {
            let next = "only who shares a room with a user may know";
            Err(Failure::Refused(format!("{count} can't be seen: {next}")).into())
        }
    }
}

/// The answer about `user`: the last one, for news may come in between.
fn state(user: &str, frames: &[Value]) -> (String, Option<String>) {
    let answer = frames
        .iter()
        .rev()
        .find(|frame| match frame["type"].as_str() {
            Some("presense") => frame["from"] == user,
            Some("error") => true,
            _ => false,
        });
    match answer {
        Some(frame) if frame["type"] == "error" => ("unknown".to_owned(), Some(refusal(frame))),
        Some(frame) => (said(&frame["data"]), None),
        None => ("unknown".to_owned(), Some("no answer".to_owned())),
    }
}
