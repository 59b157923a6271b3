//! `sschat explain`: how a decision comes about, asked of a running host.

use super::remote::{Client, HostArgs, percent_encoded, print};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// `sschat explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// What the user wants to do.
    #[arg(value_enum)]
    pub action: Action,
    /// The user.
    #[arg(long)]
    pub user: String,
    /// The room: to join or to publish in.
    #[arg(long)]
    pub room: Option<String>,
    /// The other user: to see.
    #[arg(long)]
    pub other: Option<String>,
    /// What would be published, one JSON value.
    #[arg(long)]
    pub payload: Option<String>,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// What can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// To log in.
    Login,
    /// Which rooms the user hears.
    Rooms,
    /// To join a room.
    Join,
    /// To publish in a room.
    Publish,
    /// To see whether another user is online.
    See,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Rooms => "rooms",
            Self::Join => "join",
            Self::Publish => "publish",
            Self::See => "see",
        }
    }
}

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let client = Client::new(args.host.target()?)?;
    let action = args.action.word();
    let mut path = format!(
        "/api/explain?action={action}&user={}",
        percent_encoded(&args.user)
    );
    let more = [
        ("room", &args.room),
        ("other", &args.other),
        ("payload", &args.payload),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", percent_encoded(value)));
        }
    }
    let answer = client.call("GET", &path)?;
    if args.host.json {
        return print(&format!("{answer:#}\n"));
    }
    print(&table(&answer))
}

/// The answer for people.
fn table(answer: &Value) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let said = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    line("verdict", said(&answer["verdict"]));
    if answer["verdict"] == "undecided" {
        line("because", said(&answer["reason"]));
        return text;
    }
    if !answer["detail"].is_null() {
        line("detail", said(&answer["detail"]));
    }
    let decided_by = &answer["decided_by"];
    line(
        "decided by",
        format!("authority {}", said(&decided_by["authority"])),
    );
    if let Value::String(digest) = &decided_by["policy"] {
        line("then by", format!("policy {digest}"));
    }
    if let Value::String(digest) = &answer["candidate"] {
        line("candidate", digest.clone());
    }
    let memo = &answer["memo"];
    let can_be = if memo["can_be"] == true {
        "can be"
    } else {
        "can't be"
    };
    let memo = match memo["remembered"] == true {
        true => "hit: it was remembered".to_owned(),
        false => format!("miss: it was not remembered, and {can_be}"),
    };
    line("memo", memo);
    let took = answer["microseconds"].as_f64().unwrap_or_default();
    line("took", format!("{took:.1} µs to compute"));
    line("ended by", said(&answer["ended_by"]));
    for read in answer["reads"].as_array().into_iter().flatten() {
        let version = match &read["version"] {
            Value::String(version) => version.clone(),
            _ => "absent".to_owned(),
        };
        line("read", format!("{version:<16}  {}", said(&read["key"])));
    }
    text
}
