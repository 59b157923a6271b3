//! `sschat publish`: says something in a room, as a user or as the app's backend.
//!
//! As a user it goes through a WebSocket and is decided by the app's rule; as the backend, with
//! the API key, through `POST /api/room/{room}/message`. Done means that the host has taken it,
//! of a backend that it is as durable as it will ever be: a refusal is told before the command
//! ends.

use super::chat::Chat;
use super::client::percent_encoded;
use super::shown::{print, print_json, said};
use super::target::{Login, Target};
use super::{Client, Failure, HostArgs, UserArgs};
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
    /// Say it as the backend does, with the API key, in this user's name. Without any user it
    /// is said in nobody's.
    #[arg(long, value_name = "USER", conflicts_with_all = ["user", "token_file"])]
    pub from: Option<String>,
    /// Say it as the backend does; a second message with this key is the first one again.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["user", "token_file"])]
    pub idempotency_key: Option<String>,
    /// As whom.
    #[command(flatten)]
    pub user: UserArgs,
    /// Where.
    #[command(flatten)]
    pub host: HostArgs,
}

/// Who says it.
enum Speaker {
    User(Box<Chat>),
    Backend { client: Client, path: String },
}

pub(super) fn run(args: &PublishArgs) -> anyhow::Result<()> {
    let first = match args.message.as_str() {
        "-" if args.idempotency_key.is_some() => {
            let wrong = "all lines of stdin would be one message: give --idempotency-key with one";
            return Err(Failure::Usage(wrong.to_owned()).into());
        }
        "-" => None,
        message => Some(parsed(message, args.value)?),
    };
    let mut speaker = Speaker::of(args)?;
    let mut count: u64 = 0;
    let mut place = Value::Null;
    let mut say = |message: Value| {
        place = speaker.say(&args.room, &message)?;
        count += 1;
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
    speaker.close();
    show(args, count, &place)
}

fn show(args: &PublishArgs, count: u64, place: &Value) -> anyhow::Result<()> {
    let kept = place["offset"].is_u64();
    if args.host.json {
        let mut shown = json!({"status": "ok", "room": args.room, "published": count});
        if kept {
            shown["offset"] = place["offset"].clone();
            shown["epoch"] = place["epoch"].clone();
        }
        return print_json(&shown);
    }
    let noun = if count == 1 {
        "publication"
    } else {
        "publications"
    };
    let at = match kept {
        true => format!(", up to offset {}", said(&place["offset"])),
        false => String::new(),
    };
    print(&format!("{count} {noun}{at}\n"))
}

impl Speaker {
    fn of(args: &PublishArgs) -> Result<Self, Failure> {
        let target = args.host.target()?;
        let backend = args.from.is_some() || args.idempotency_key.is_some();
        let login = match backend {
            true => None,
            false => target.login_if_any(&args.user)?,
        };
        match login {
            Some(login) => Self::user(&target, &login),
            None if target.key.is_none() && !backend => Err(Target::nobody()),
            None => Self::backend(target, args),
        }
    }

    fn user(target: &Target, login: &(Login, Option<String>)) -> Result<Self, Failure> {
        Ok(Self::User(Box::new(Chat::open_as(target, login)?)))
    }

    fn backend(target: Target, args: &PublishArgs) -> Result<Self, Failure> {
        let mut path = format!("/api/room/{}/message", percent_encoded(&args.room));
        let given = [
            ("from", &args.from),
            ("idempotency_key", &args.idempotency_key),
        ];
        let given = given
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (at, (name, value)) in given.enumerate() {
            path.push(if at == 0 { '?' } else { '&' });
            path.push_str(&format!("{name}={}", percent_encoded(value)));
        }
        let client = Client::new(target)?;
        Ok(Self::Backend { client, path })
    }

    /// Says it; where it is in the room's history, if that is told.
    fn say(&mut self, room: &str, message: &Value) -> Result<Value, Failure> {
        match self {
            Self::User(chat) => {
                chat.command(&json!({"command": "room", "room": room, "msg": message}))?;
                Ok(Value::Null)
            }
            Self::Backend { client, path } => {
                let headers = [("Content-Type", "application/json")];
                let body = message.to_string();
                client.call_with("POST", path, &headers, Some(body.as_bytes()))
            }
        }
    }

    fn close(self) {
        if let Self::User(chat) = self {
            chat.close();
        }
    }
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
