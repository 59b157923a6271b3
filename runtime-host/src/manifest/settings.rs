//! `[application.tool.sschat]`: the settings that belong to the application.
//!
//! Every one can also be given on the command line or in the environment, which win.

use super::document::{ManifestError, Node};
use clap::ValueEnum;
use std::time::Duration;

/// What the manifest says of each setting; `None` leaves it to the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Origins that browsers may connect from.
    pub allow_origins: Option<Vec<String>>,
    /// The largest message, in bytes.
    pub message_limit: Option<u64>,
    /// Whether a WebSocket may agree on compression.
    pub compression: Option<bool>,
    /// Unsent bytes of one connection before it is closed.
    pub queue_limit: Option<u64>,
    /// Online members up to which a room's presence is pushed.
    pub presence_limit: Option<u64>,
    /// Where rooms' publications are kept.
    pub history: Option<HistoryKind>,
    /// How publications reach other hosts.
    pub broker: Option<BrokerKind>,
    /// Publications that a room keeps at most.
    pub history_size: Option<u64>,
    /// How long a room keeps a publication.
    pub history_age: Option<Duration>,
    /// The largest body of a REST request, in bytes.
    pub body_limit: Option<u64>,
    /// How long a handshake, a request's head, or each 64 KiB of its body may take.
    pub handshake_timeout: Option<Duration>,
    /// How long a connection may be silent.
    pub idle_timeout: Option<Duration>,
    /// The time between two pings of the server.
    pub ping_interval: Option<Duration>,
    /// How long a component may take for a request.
    pub request_timeout: Option<Duration>,
    /// Requests that a component works on at once.
    pub instances: Option<u64>,
    /// Requests that wait for a component.
    pub waiting: Option<u64>,
    /// Requests that an instance of a component answers.
    pub instance_reuse: Option<u64>,
}

/// Where rooms' publications are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum HistoryKind {
    /// Nowhere: who was away missed them.
    None,
    /// In memory: all is gone with the process, whatever was acknowledged.
    Memory,
    /// In the state folder: what was acknowledged survives `kill -9` and a power cut.
    #[default]
    Durable,
}

/// How publications and presence reach other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BrokerKind {
    /// Not at all: there is one host.
    Memory,
    /// By the Redis that holds the state.
    Redis,
}

/// Which part of the work a host does, where several share it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum HostRole {
    /// Everything.
    #[default]
    All,
    /// What is asked over HTTP: the components, the server API, history, policies and events. No sessions.
    Api,
    /// Sessions, and what HTTP asks of hosts themselves. The components are served elsewhere, by Spin or by hosts of
    /// the role `api`.
    Realtime,
}

impl Settings {
    pub(super) fn read(table: &Node<'_>) -> Result<Self, ManifestError> {
        table.only(&[
            "allow_origins",
            "message_limit",
            "compression",
            "queue_limit",
            "presence_limit",
            "broker",
            "history",
            "history_size",
            "history_age",
            "body_limit",
            "handshake_timeout",
            "idle_timeout",
            "ping_interval",
            "request_timeout",
            "instances",
            "waiting",
            "instance_reuse",
        ])?;
        let number = |name: &str| match table.get(name)? {
            Some(node) => node.integer().map(Some),
            None => Ok(None),
        };
        let size = |name: &str| match table.get(name)? {
            Some(node) if node.is_string() => parse_size(&node.string()?)
                .map(Some)
                .map_err(|reason| node.error(reason)),
            Some(node) => node.integer().map(Some),
            None => Ok(None),
        };
        let time = |name: &str| match table.get(name)? {
            Some(node) if node.is_string() => parse_duration(&node.string()?)
                .map(Some)
                .map_err(|reason| node.error(reason)),
            Some(node) => node.integer().map(|n| Some(Duration::from_secs(n))),
            None => Ok(None),
        };
        Ok(Self {
            allow_origins: match table.get("allow_origins")? {
                Some(list) => Some(list.strings()?),
                None => None,
            },
            message_limit: size("message_limit")?,
            compression: match table.get("compression")? {
                Some(node) => Some(node.boolean()?),
                None => None,
            },
            queue_limit: size("queue_limit")?,
            presence_limit: number("presence_limit")?,
            broker: choice(table, "broker")?,
            history: choice(table, "history")?,
            history_size: number("history_size")?,
            history_age: time("history_age")?,
            body_limit: size("body_limit")?,
            handshake_timeout: time("handshake_timeout")?,
            idle_timeout: time("idle_timeout")?,
            ping_interval: time("ping_interval")?,
            request_timeout: time("request_timeout")?,
            instances: number("instances")?,
            waiting: number("waiting")?,
            instance_reuse: number("instance_reuse")?,
        })
    }
}

/// One of the values that a setting can have, by its name.
fn choice<T: ValueEnum>(table: &Node<'_>, name: &str) -> Result<Option<T>, ManifestError> {
    let Some(node) = table.get(name)? else {
        return Ok(None);
    };
    let kind = T::from_str(&node.string()?, false);
    kind.map(Some).map_err(|reason| node.error(reason))
}

/// Reads a number of bytes: `65536`, `64KiB`, `1 MiB`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("{text:?} is no size; write for example 64KiB")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is no size; write for example 64KiB"))
}

/// Reads a length of time: `10` (seconds), `10s`, `500ms`, `2m`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time; write for example 10s or 500ms");
    let (number, unit) = split_unit(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds: u64 = match unit {
        "" | "s" => 1_000,
        "ms" => 1,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        assert_eq!(parse_size("65536"), Ok(65_536));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1 MiB"), Ok(1 << 20));
        assert!(parse_size("64 KB of it").is_err());
        assert!(parse_size("99999999999GiB").is_err());
        assert!(parse_size("").is_err());
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("soon").is_err());
    }
}
