//! The protocols that the clients of a scenario speak.

use super::fanout::{STAMP, command, stamp};
use clap::ValueEnum;
use serde_json::Value;
use sschat_protocol::websocket::Opcode;
use std::borrow::Cow;

/// What stands before the payload's stamp in messages of the Centrifuge protocol.
const MARK: &[u8] = b"bench:";

/// A protocol and its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Dialect {
    /// The seed's JSON, `/websocket/polling`.
    #[default]
    Seed,
    /// The Centrifuge protocol in JSON.
    Json,
    /// The Centrifuge protocol in Protobuf.
    Protobuf,
}

/// What a message that a client received is to a scenario.
pub(super) enum Said<'a> {
    /// Its session has begun; the answer, where it is JSON.
    Begun(&'a [u8]),
    /// A publication: its publisher, and when it was sent.
    Publication(usize, u64),
    /// The publication of the client itself was accepted: the command's number.
    Accepted(u32),
    /// The host asks whether the client is there; this is the answer.
    Ping(&'static [u8]),
    Refused(Cow<'a, str>),
    Other,
}

impl Dialect {
    /// Where its connections are opened.
    pub(super) fn path(self, app: &str) -> Cow<'static, str> {
        match self {
            Self::Seed => "/websocket/polling".into(),
            Self::Json => format!("/connection/websocket?app={app}").into(),
            Self::Protobuf => format!("/connection/websocket?app={app}&format=protobuf").into(),
        }
    }

    pub(super) fn opcode(self) -> Opcode {
        match self {
            Self::Seed | Self::Json => Opcode::Text,
            Self::Protobuf => Opcode::Binary,
        }
    }

    /// The members of a room of so many who hear what one of them says.
    pub(super) fn hearers(self, members: usize) -> usize {
        match self {
            Self::Seed => members - 1,
            // Here the publisher hears itself.
            Self::Json | Self::Protobuf => members,
        }
    }

    /// A login. `was_at`: the room, epoch and offset from which it recovers; in JSON only.
    pub(super) fn login(self, user: &str, was_at: Option<(&str, &str, u64)>) -> Vec<u8> {
        match self {
            Self::Seed => format!(r#"{{"command":"login","user":"{user}"}}"#).into_bytes(),
            Self::Json => {
                let subs = was_at.map_or(String::new(), |(room, epoch, offset)| {
                    format!(
                        r#","subs":{{"{room}":{{"recover":true,"epoch":"{epoch}","offset":{offset}}}}}"#
                    )
                });
                format!(r#"{{"id":1,"connect":{{"data":{{"user":"{user}"}}{subs}}}}}"#).into_bytes()
            }
            Self::Protobuf => {
                let mut connect = Vec::new();
                field(
                    &mut connect,
                    2,
                    format!(r#"{{"user":"{user}"}}"#).as_bytes(),
                );
                framed(1, 4, &connect)
            }
        }
    }

    /// A publication of `size` bytes, stamped; `number` is its command's.
    pub(super) fn publish(
        self,
        (room, number): (&str, u32),
        publisher: usize,
        nanoseconds: u64,
        size: usize,
    ) -> Vec<u8> {
        if self == Self::Seed {
            return command(room, publisher, nanoseconds, size).into_bytes();
        }
        let fill = size.saturating_sub(STAMP + MARK.len());
        let payload = format!(r#""bench:{publisher:08x}{nanoseconds:016x}{:x<fill$}""#, "");
        if self == Self::Json {
            return format!(
                r#"{{"id":{number},"publish":{{"channel":"{room}","data":{payload}}}}}"#
            )
            .into_bytes();
        }
        let mut publish = Vec::with_capacity(payload.len() + room.len() + 8);
        field(&mut publish, 1, room.as_bytes());
        field(&mut publish, 2, payload.as_bytes());
        framed(number, 7, &publish)
    }

    /// Tells each thing that a message says to `take`.
    pub(super) fn read<'a>(self, message: &'a [u8], mut take: impl FnMut(Said<'a>)) {
        match self {
            Self::Seed => take(seed(message)),
            Self::Json => message
                .split(|byte| *byte == b'\n')
                .for_each(|line| take(json(line))),
            Self::Protobuf => {
                let mut rest = message;
                while let Some(reply) = length(&mut rest).and_then(|long| rest.split_off(..long)) {
                    take(protobuf(reply));
                }
            }
        }
    }
}

fn seed(message: &[u8]) -> Said<'_> {
    if message.starts_with(br#"{"type":"login""#) {
        return Said::Begun(message);
    }
    if message.starts_with(br#"{"type":"error""#) {
        return Said::Refused(String::from_utf8_lossy(message));
    }
    match std::str::from_utf8(message).ok().and_then(stamp) {
        Some((publisher, sent)) => Said::Publication(publisher, sent),
        None => Said::Other,
    }
}

fn json(line: &[u8]) -> Said<'_> {
    if line == b"{}" {
        return Said::Ping(b"{}");
    }
    if line.starts_with(br#"{"push""#) {
        return marked(line);
    }
    let Some(rest) = line.strip_prefix(br#"{"id":"#) else {
        return Said::Other;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok();
    match (&rest[digits..], number.and_then(|it| it.parse().ok())) {
        (said, Some(_)) if said.starts_with(br#","connect""#) => Said::Begun(line),
        (said, Some(number)) if said.starts_with(br#","publish""#) => Said::Accepted(number),
        (said, _) if said.starts_with(br#","error""#) => {
            Said::Refused(String::from_utf8_lossy(line))
        }
        _ => Said::Other,
    }
}

/// A reply: `id` 1, `error` 2, `push` 4, `connect` 5, `publish` 8.
fn protobuf(reply: &[u8]) -> Said<'_> {
    if reply.is_empty() {
        return Said::Ping(&[0]);
    }
    let mut rest = reply;
    let mut number = 0;
    while let Some(tag) = length(&mut rest) {
        match tag {
            8 => number = length(&mut rest).unwrap_or(0) as u32,
            0x12 => return Said::Refused(String::from_utf8_lossy(reply)),
            0x22 => return marked(reply),
            0x2a => return Said::Begun(&[]),
            0x42 => return Said::Accepted(number),
            _ => return Said::Other,
        }
    }
    Said::Other
}

fn marked(message: &[u8]) -> Said<'_> {
    let at = message.windows(MARK.len()).position(|it| it == MARK);
    let stamp = at.and_then(|at| message.get(at + MARK.len()..at + MARK.len() + STAMP));
    let stamp = stamp.and_then(|stamp| std::str::from_utf8(stamp).ok());
    let part = |range| stamp.and_then(|stamp| u64::from_str_radix(stamp.get(range)?, 16).ok());
    match (part(0..8), part(8..STAMP)) {
        (Some(publisher), Some(sent)) => Said::Publication(publisher as usize, sent),
        _ => Said::Other,
    }
}

/// A command of this number that is `body` as its field `kind`, with its length before it.
fn framed(number: u32, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut command = Vec::with_capacity(body.len() + 12);
    command.push(8);
    varint(&mut command, u64::from(number));
    field(&mut command, kind, body);
    let mut out = Vec::with_capacity(command.len() + 3);
    varint(&mut out, command.len() as u64);
    out.extend(command);
    out
}

fn field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint(out, u64::from(number << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a varint off the front.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The epoch and offset of a room in the answer to a login; whether it recovered, and the stamps of what it was given.
pub(super) fn subscription(answer: &[u8], room: &str) -> Option<(String, u64, bool, usize)> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let sub = &answer["connect"]["subs"][room];
    Some((
        sub["epoch"].as_str()?.to_owned(),
        sub["offset"].as_u64().unwrap_or(0),
        sub["recovered"] == true,
        sub["publications"].as_array().map_or(0, Vec::len),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sschat_protocol::centrifuge::{Commands, Format, Request};

    #[test]
    fn the_host_reads_what_clients_say() {
        for (dialect, format) in [
            (Dialect::Json, Format::Json),
            (Dialect::Protobuf, Format::Protobuf),
        ] {
            let login = dialect.login("u", None);
            let command = Commands::new(format, &login).next().unwrap().unwrap();
            let Request::Connect(connect) = &command.request else {
                panic!("{command:?}")
            };
            assert_eq!((command.id, connect.data), (1, &br#"{"user":"u"}"#[..]));
            let said = dialect.publish(("r", 300), 7, 9, 40);
            let command = Commands::new(format, &said).next().unwrap().unwrap();
            let Request::Publish(publish) = &command.request else {
                panic!("{command:?}")
            };
            assert_eq!((command.id, &*publish.channel), (300, "r"));
            let Said::Publication(7, 9) = marked(publish.data) else {
                panic!("no stamp")
            };
            assert_eq!(publish.data.len(), 42);
        }
    }
}
