//! `sschat tail`: prints what is said in rooms, as it comes.

use super::chat::{Chat, refusal};
use super::shown::{note, print, said, visible};
use super::{HostArgs, UserArgs};
use clap::Args;
use serde_json::{Value, json};

/// `sschat tail`.
#[derive(Debug, Clone, Args)]
pub struct TailArgs {
    /// The rooms; all that the user hears if none is named.
    pub rooms: Vec<String>,
    /// End after this many messages.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Also print who comes and goes.
    #[arg(long)]
    pub presence: bool,
    /// As whom.
    #[command(flatten)]
    pub user: UserArgs,
    /// Where. With --json each line is one frame of the protocol.
    #[command(flatten)]
    pub host: HostArgs,
}

pub(super) fn run(args: &TailArgs) -> anyhow::Result<()> {
    let mut chat = Chat::open(&args.host.target()?, &args.user)?;
    for room in &args.rooms {
        // Where the app's rule lets everybody in, a room is heard by joining it.
        if !chat.rooms.contains(room) {
            chat.command(&json!({"command": "join", "room": room}))?;
        }
    }
    let heard = match args.rooms.len() {
        0 => chat.rooms.len(),
        named => named,
    };
    note(&format!(
        "listening to {heard} room{}; end with Ctrl-C",
        if heard == 1 { "" } else { "s" }
    ));
    chat.wait_forever()?;
    let mut left = args.count;
    while left != Some(0) {
        let frame = chat.next()?;
        if !wanted(args, &frame) {
            continue;
        }
        if args.host.json {
            print(&format!("{frame}\n"))?;
        } else {
            print(&line(&frame))?;
        }
        if frame["type"] == "message" {
            left = left.map(|left| left - 1);
        }
    }
    chat.close();
    Ok(())
}

fn wanted(args: &TailArgs, frame: &Value) -> bool {
    let named = |room: &Value| args.rooms.is_empty() || args.rooms.iter().any(|name| room == name);
    match frame["type"].as_str() {
        Some("message") => named(&frame["to"]),
        Some("room") => named(&frame["room"]),
        Some("presense") => args.presence,
        _ => true,
    }
}

/// A frame for people.
fn line(frame: &Value) -> String {
    let text = |name: &str| visible(&said(&frame[name]));
    match frame["type"].as_str() {
        Some("message") => format!("{}  {}  {}\n", text("to"), text("from"), text("data")),
        Some("presense") => format!("* {} is {}\n", text("from"), text("data")),
        Some("room") => match frame["data"].as_str() {
            Some("add") => format!("* you hear {} from now on\n", text("room")),
            _ => format!("* you hear {} no more\n", text("room")),
        },
        Some("error") => format!("* refused: {}\n", refusal(frame)),
        _ => format!("* {}\n", visible(&frame.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_holds() {
        let frame = json!({"type": "message", "data": "a\n\u{1b}[2Jb", "from": "u", "to": "r"});
        assert_eq!(line(&frame), "r  u  a\\n\\u{1b}[2Jb\n");
        let frame = json!({"type": "message", "data": {"a": [1]}, "from": "u", "to": "r"});
        assert_eq!(line(&frame), "r  u  {\"a\":[1]}\n");
    }
}
