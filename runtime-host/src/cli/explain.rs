//! `sschat explain`: how a decision comes about, asked of a running host.

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::time::Duration;

/// How long the host has to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// `sschat explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// What the user wants to do.
    #[arg(value_enum)]
    pub action: Action,
    /// The host.
    #[arg(long, env = "SSCHAT_URL", default_value = "http://127.0.0.1:3000")]
    pub url: String,
    /// The management key of the tenant.
    #[arg(long, env = "SSCHAT_APIKEY", hide_env_values = true)]
    pub apikey: String,
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
    /// Print the host's answer as it is.
    #[arg(long)]
    pub json: bool,
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
    let url = format!("{}/api/explain", args.url.trim_end_matches('/'));
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build();
    let mut request = ureq::Agent::new_with_config(config)
        .get(&url)
        .header("X-API-Key", &args.apikey)
        .query("action", args.action.word())
        .query("user", &args.user);
    let more = [
        ("room", &args.room),
        ("other", &args.other),
        ("payload", &args.payload),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            request = request.query(name, value);
        }
    }
    let mut response = request
        .call()
        .with_context(|| format!("{} does not answer", args.url))?;
    let ok = response.status().is_success();
    let answer: Value = response
        .body_mut()
        .read_json()
        .context("the answer is no JSON; is this an SSChat host?")?;
    if !ok {
        let text = |name| answer[name].as_str().unwrap_or_default();
        bail!("{} ({})", text("msg"), text("code"));
    }
    if args.json {
        println!("{answer:#}");
    } else {
        print!("{}", table(&answer));
    }
    Ok(())
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
