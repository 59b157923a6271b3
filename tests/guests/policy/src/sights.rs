//! Modes that decide by, or tell, what a policy can see. Refusals carry it in `reason`.
//!
//! | mode | what it does |
//! |---|---|
//! | `clock`, `wall-clock`, `monotonic` | denies with the time: by our import, by WASI's two clocks |
//! | `clock-until` | the same by our import, for the next `seconds` (2) |
//! | `payload` | allows only what contains `word` (`please`) |
//! | `header`, `claim`, `address` | allows only if that `header` (`x-pass`), `claim` (`pass`), the peer's address is `value` (`yes`, `"yes"`, `127.0.0.1`) |
//! | `state` | allows only if there is a record at `key` (`flag`) |
//! | `static` | the same, but looks once in the life of an instance |
//! | `count` | denies with how often this instance was called |
//! | `configuration` | denies with the configuration |
//! | `probe` | asks for keys that are not its own (and `key`), and denies with what it got |
//! | `surroundings` | denies with what the standard library shows: environment, arguments, random numbers, files |

use crate::answers::Answer;
use crate::order::Order;
use crate::sschat::policy::{clock, configuration, connection, payload, state};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

pub(crate) const MODES: &[&str] = &[
    "clock",
    "wall-clock",
    "monotonic",
    "clock-until",
    "payload",
    "header",
    "claim",
    "address",
    "state",
    "static",
    "count",
    "configuration",
    "probe",
    "surroundings",
];

/// Decides as `mode` says; nothing if it is none of these.
pub(crate) fn tell(mode: &str, order: &Order) -> Option<Answer> {
    Some(match mode {
        "clock" => Answer::deny("clock", format!("now={}", clock::now())),
        "clock-until" => {
            let now = clock::now();
            Answer::deny("clock", format!("now={now}")).until(now + order.number("seconds", 2))
        }
        "wall-clock" => Answer::deny("clock", format!("{:?}", SystemTime::now())),
        "monotonic" => Answer::deny("clock", format!("{:?}", Instant::now())),
        "payload" => {
            let seen = payload::get();
            only_if(seen.contains(&order.text("word", "please")), &seen)
        }
        "header" => {
            let seen = connection::header(&order.text("header", "x-pass"));
            only_if_equal(seen, &order.text("value", "yes"))
        }
        "claim" => {
            let seen = connection::claim(&order.text("claim", "pass"));
            only_if_equal(seen, &order.text("value", "\"yes\""))
        }
        "address" => only_if_equal(
            connection::remote_address(),
            &order.text("value", "127.0.0.1"),
        ),
        "state" => present(&look(&order.text("key", "flag"))),
        "static" => remembered(order),
        "count" => Answer::deny("count", format!("calls={}", count())),
        "configuration" => {
            let seen = configuration::get().map(|text| beginning(&text));
            Answer::deny("configuration", format!("{seen:?}"))
        }
        "probe" => Answer::deny("probed", probe(order)),
        "surroundings" => Answer::deny("surroundings", surroundings()),
        _ => return None,
    })
}

fn only_if(agreed: bool, seen: &str) -> Answer {
    if agreed {
        return Answer::allow();
    }
    Answer::deny("not_this", format!("saw {}", beginning(seen)))
}

/// As much of what was seen as a reason has room for.
fn beginning(seen: &str) -> String {
    seen.chars().take(200).collect()
}

fn only_if_equal(seen: Option<String>, wanted: &str) -> Answer {
    let seen = seen.unwrap_or_else(|| "nothing".to_owned());
    only_if(seen == wanted, &seen)
}

fn present(seen: &str) -> Answer {
    only_if(seen.ends_with("bytes"), seen)
}

/// What is at `key`: its length, `nothing`, or the error.
fn look(key: &str) -> String {
    match state::get_many(&[key.to_owned()]).as_deref() {
        Ok([Some(bytes)]) => format!("{} bytes", bytes.len()),
        Ok([None]) => "nothing".to_owned(),
        Ok(values) => format!("{} values", values.len()),
        Err(error) => format!("{error:?}"),
    }
}

fn remembered(order: &Order) -> Answer {
    static FIRST: OnceLock<String> = OnceLock::new();
    present(FIRST.get_or_init(|| look(&order.text("key", "flag"))))
}

fn count() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

/// One line a key: the key, and what was there.
fn probe(order: &Order) -> String {
    let other = "app_00000000000040008000000000000000";
    let keys = [
        "".to_owned(),
        "/".to_owned(),
        "/app".to_owned(),
        "./app".to_owned(),
        "room/../app".to_owned(),
        "app/".to_owned(),
        "app\0".to_owned(),
        "*".to_owned(),
        "../index/doomed".to_owned(),
        "index/doomed".to_owned(),
        format!("../{other}/app"),
        format!("{other}/app"),
        format!("/{other}/app"),
        order.text("key", &format!("..//{other}/app")),
    ];
    keys.iter()
        .map(|key| format!("{key:?}: {}\n", look(key)))
        .collect()
}

/// Everything that a program can see beside its arguments, in one line.
fn surroundings() -> String {
    let random = RandomState::new().build_hasher().finish();
    let drawn = wasip2::random::random::get_random_u64();
    let variables = std::env::vars().count();
    let arguments = std::env::args().count();
    let folder = std::env::current_dir().is_ok();
    let files = std::fs::read_dir("/").is_ok() || std::fs::read("/etc/hostname").is_ok();
    format!(
        "random={random} drawn={drawn} variables={variables} arguments={arguments} folder={folder} files={files}"
    )
}
