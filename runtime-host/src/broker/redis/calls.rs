//! The scripts that Redis runs, and what they answer.

use super::record::{self, Placed, text};
use super::tail::Found;
use crate::broker::{Epoch, Position};
use redis::{Cmd, Value};
use sschat_history::{KEY_WINDOW, Retention};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Publishes a batch.
pub(super) const PUBLISH: &str = include_str!("publish.lua");

/// Reads a log.
pub(super) const READ: &str = include_str!("read.lua");

/// Says who is online at a host.
pub(super) const TELL: &str = include_str!("tell.lua");

/// Who is online at a host.
pub(super) const USERS: &str = include_str!("users.lua");

/// What the keys begin with that the broker writes.
pub(super) const PREFIX: &str = "sschat-room/";

/// How long a room's epoch and top outlive the last look at them, beside its retention.
/// Whoever comes back later is told that it can't recover.
const META_EXPIRY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The keys of a room. One hash tag, so that a cluster has them in one place.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    base: Box<str>,
}

impl Keys {
    pub(super) fn of(tenant: &str, room: &str) -> Self {
        Self {
            base: format!("{PREFIX}{{{tenant}/{room}}}").into(),
        }
    }

    pub(super) fn meta(&self) -> String {
        format!("{}/meta", self.base)
    }

    pub(super) fn log(&self) -> String {
        format!("{}/log", self.base)
    }

    /// The channel by which hosts hear of the room.
    pub(super) fn channel(&self) -> &str {
        &self.base
    }

    fn sent(&self, host: u64) -> String {
        format!("{}/sent/{host:016x}", self.base)
    }

    fn once(&self, key: &str) -> String {
        format!("{}/key/{key}", self.base)
    }
}

/// The set of a tenant's rooms that have a log.
pub(super) fn index(tenant: &str) -> String {
    format!("sschat-rooms/{tenant}")
}

/// A number that nobody has.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 12)
}

fn meta_expiry(retention: &Retention) -> u64 {
    millis(META_EXPIRY + retention.age)
}

fn known(command: &mut Cmd, at: Option<Position>) {
    let (epoch, offset) = at.map_or((String::new(), 0), |at| (at.epoch.to_string(), at.offset));
    command.arg(epoch).arg(offset);
}

/// What becomes of a record beside being heard.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark<'a> {
    /// The log keeps it.
    Kept,
    /// The log keeps it, once under this idempotency key.
    Once(&'a str),
    /// Nothing.
    Passing,
}

/// The call that publishes `records`; `host` has numbered it.
pub(super) fn publish<'a>(
    script: &str,
    keys: &Keys,
    (host, number): (u64, u64),
    retention: &Retention,
    heard: Option<Position>,
    records: impl Iterator<Item = (&'a [u8], Mark<'a>)> + Clone,
) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    let once = records.clone().filter_map(|(_, mark)| match mark {
        Mark::Once(key) => Some(key),
        Mark::Kept | Mark::Passing => None,
    });
    command.arg(script).arg(4 + once.clone().count());
    command.arg(keys.meta()).arg(keys.log());
    command.arg(keys.sent(host)).arg(keys.channel());
    for key in once {
        command.arg(keys.once(key));
    }
    command.arg(Epoch(random()).to_string()).arg(number);
    command.arg(retention.count).arg(retention.bytes);
    command
        .arg(millis(retention.age))
        .arg(meta_expiry(retention));
    known(&mut command, heard);
    command.arg(millis(KEY_WINDOW));
    let mut index = 0;
    for (record, mark) in records {
        command.arg(record);
        match mark {
            Mark::Kept => command.arg(0),
            Mark::Passing => command.arg(-1),
            Mark::Once(_) => {
                index += 1;
                command.arg(index)
            }
        };
    }
    command
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) epoch: Epoch,
    /// The room's log began with it.
    pub(super) begun: bool,
    /// In the order of the records; 0 for what is not kept.
    pub(super) offsets: Vec<u64>,
}

impl Published {
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let mut parts = text(answer)?.split(' ');
        let epoch = parts.next()?.parse().ok()?;
        let _time: u64 = parts.next()?.parse().ok()?;
        let begun = parts.next()? == "1";
        let offsets: Result<_, _> = parts.map(str::parse).collect();
        Some(Self {
            epoch,
            begun,
            offsets: offsets.ok()?,
        })
    }
}

/// Which part of a log is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) since: Option<Position>,
    pub(super) limit: usize,
    pub(super) reverse: bool,
}

/// The call that reads a part of a log. `heard`: what the host knows to be in it.
pub(super) fn read(
    script: &str,
    keys: &Keys,
    retention: &Retention,
    heard: Option<Position>,
    part: Part,
) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(2).arg(keys.meta()).arg(keys.log());
    command.arg(Epoch(random()).to_string());
    command
        .arg(millis(retention.age))
        .arg(meta_expiry(retention));
    known(&mut command, heard);
    known(&mut command, part.since);
    command.arg(part.limit).arg(u8::from(part.reverse));
    command
}

/// Reads what the script answers: what was found, and whether the log began with it.
pub(super) fn found(answer: &Value) -> Option<(Found, bool)> {
    let Value::Array(answer) = answer else {
        return None;
    };
    let [epoch, top, gone, Value::Int(begun), Value::Array(entries)] = &answer[..] else {
        return None;
    };
    let epoch: Epoch = text(epoch)?.parse().ok()?;
    let entries = entries.iter().map(|it| record::decode_entry(epoch, it));
    let placed: Option<Vec<Placed>> = entries.collect();
    let found = Found {
        top: Position {
            epoch,
            offset: text(top)?.parse().ok()?,
        },
        gone: text(gone)?.parse().ok()?,
        placed: placed?,
    };
    Some((found, *begun == 1))
}
