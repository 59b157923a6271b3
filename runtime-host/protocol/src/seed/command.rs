//! A client's message, parsed once into an enum.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{nesting, text::Text};

/// How deep arrays and objects in a `msg` may nest.
///
/// A message is passed on as it is, and many parsers stop at 128 levels, the envelope's included. One member must not
/// be able to stop the clients of all others.
pub const MAX_DEPTH: usize = 100;

/// The longest text of a [`Refused`] in bytes, so that bad messages are not sent back in full.
const MAX_REFUSAL: usize = 160;

/// What a client asks for. Strings are borrowed from the message unless they contain escapes.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// `{"command":"login","user":U}` or `{"command":"login","token":JWT}`. At least one of the two is there.
    Login {
        /// The bare user id, the seed's way.
        user: Option<Cow<'a, str>>,
        /// A token that names the user.
        token: Option<Cow<'a, str>>,
    },
    /// `{"command":"room","room":R,"msg":M}`: publish to a room.
    Room {
        /// The room id.
        room: Cow<'a, str>,
        /// Any JSON value, at most [`MAX_DEPTH`] deep, as the text that was sent.
        msg: &'a RawValue,
    },
    /// `{"command":"join","room":R}`: hear a room that one is no member of. Not the seed's.
    Join {
        /// The room id.
        room: Cow<'a, str>,
    },
    /// `{"command":"leave","room":R}`: hear a room no more that one joined. Not the seed's.
    Leave {
        /// The room id.
        room: Cow<'a, str>,
    },
    /// `{"command":"ping","user":U}`: is this user online?
    Ping {
        /// The user id asked about.
        user: Cow<'a, str>,
    },
}

/// The `code` of an error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The message is not JSON.
    BadJson,
    /// JSON of another shape: not an object, a field that is missing, doubled, of another type, or nested too deep.
    BadRequest,
    /// The `command` is none that exists.
    UnknownCommand,
    /// A command that needs a login, before one succeeded.
    Unauthorized,
    /// A login as a user that does not exist, or with a token that is not valid.
    UnknownUser,
    /// A room that does not exist or that the user is not a member of; the two are not told apart.
    NotAMember,
    /// A message over the size limit.
    TooLarge,
    /// A ping for a user whose presence the asking user may not see, or who does not exist.
    NotVisible,
    /// The tenant's policy refused.
    Denied,
    /// A room to leave that the session did not join itself.
    NotJoined,
    /// The session has as much of something as it may have.
    Limit,
    /// A limit on the rate of commands was reached: slow down.
    RateLimited,
    /// Nothing is known to be wrong with the command; it may be tried again.
    Temporary,
}

impl ErrorCode {
    /// The code as it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadRequest => "bad_request",
            Self::UnknownCommand => "unknown_command",
            Self::Unauthorized => "unauthorized",
            Self::UnknownUser => "unknown_user",
            Self::NotAMember => "not_a_member",
            Self::TooLarge => "too_large",
            Self::NotVisible => "not_visible",
            Self::Denied => "denied",
            Self::NotJoined => "not_joined",
            Self::Limit => "limit",
            Self::RateLimited => "rate_limited",
            Self::Temporary => "temporary",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that is no command; to be answered by [`super::error`] with the same code and text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refused {
    /// One of [`ErrorCode::BadJson`], [`ErrorCode::BadRequest`] and [`ErrorCode::UnknownCommand`].
    pub code: ErrorCode,
    /// What is wrong, for the developer of the client.
    pub text: Cow<'static, str>,
}

impl Refused {
    fn request(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: ErrorCode::BadRequest,
            text: text.into(),
        }
    }
}

/// Parses a client's message.
///
/// Fields may come in any order. Unknown fields are ignored, known ones given twice are refused, and `null` counts as
/// absent except for `msg`, where it is a value. Nothing is copied but strings with escapes, and no input can make the
/// call recurse.
///
/// # Errors
/// [`ErrorCode::BadJson`] if and only if the message is not one JSON value; otherwise the first fault found.
pub fn parse(text: &str) -> Result<Command<'_>, Refused> {
    parse_compact(text).unwrap_or_else(|| parse_any(text))
}

/// The full parser.
fn parse_any(text: &str) -> Result<Command<'_>, Refused> {
    match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => envelope.into_command(),
        Err(error) => Err(refusal(text, &error)),
    }
}

/// The one shape that carries nearly all traffic: what `JSON.stringify` makes of `{command: "room", room, msg}`.
///
/// Whatever is not obviously of that shape is left to the full parser. If what stands between `"msg":` and the last
/// brace is one JSON value, then the whole is JSON and has just these three fields, so both ways agree.
fn parse_compact(text: &str) -> Option<Result<Command<'_>, Refused>> {
    let rest = text.strip_prefix(r#"{"command":"room","room":""#)?;
    let (room, rest) = rest.split_once('"')?;
    if room.bytes().any(|byte| byte == b'\\' || byte < b' ') {
        return None;
    }
    let msg = rest.strip_prefix(r#","msg":"#)?.strip_suffix('}')?;
    let msg = serde_json::from_str(msg).ok()?;
    Some(publish(Cow::Borrowed(room), msg))
}

fn publish<'a>(room: Cow<'a, str>, msg: &'a RawValue) -> Result<Command<'a>, Refused> {
    if nesting::exceeds(msg.get(), MAX_DEPTH) {
        return Err(Refused::request("`msg` is nested too deep"));
    }
    Ok(Command::Room { room, msg })
}

fn refusal(text: &str, error: &serde_json::Error) -> Refused {
    // The parser stops at the first fault; whether the rest is JSON at all is only of interest now.
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Refused::request(excerpt(error)),
        Err(error) => Refused {
            code: ErrorCode::BadJson,
            text: excerpt(&error).into(),
        },
    }
}

/// The parser's words, which may quote the message, without more of it than a developer needs.
fn excerpt(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(MAX_REFUSAL));
    text
}

/// All fields that any command has.
#[derive(Default)]
struct Envelope<'a> {
    command: Option<Text<'a>>,
    user: Option<Text<'a>>,
    token: Option<Text<'a>>,
    room: Option<Text<'a>>,
    msg: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn into_command(self) -> Result<Command<'a>, Refused> {
        let Some(Text(command)) = self.command else {
            return Err(Refused::request("missing field `command`"));
        };
        match command.as_ref() {
            "room" => match (self.room, self.msg) {
                (Some(Text(room)), Some(msg)) => publish(room, msg),
                (None, _) => Err(Refused::request("missing field `room`")),
                (_, None) => Err(Refused::request("missing field `msg`")),
            },
            "join" | "leave" => match self.room {
                Some(Text(room)) if command == "join" => Ok(Command::Join { room }),
                Some(Text(room)) => Ok(Command::Leave { room }),
                None => Err(Refused::request("missing field `room`")),
            },
            "ping" => match self.user {
                Some(Text(user)) => Ok(Command::Ping { user }),
                None => Err(Refused::request("missing field `user`")),
            },
            "login" => match (self.user, self.token) {
                (None, None) => Err(Refused::request("missing field `user` or `token`")),
                (user, token) => Ok(Command::Login {
                    user: user.map(|text| text.0),
                    token: token.map(|text| text.0),
                }),
            },
            _ => Err(Refused {
                code: ErrorCode::UnknownCommand,
                text: Cow::Borrowed("unknown command: login, room, join, leave and ping are known"),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut envelope = Envelope::default();
        let mut seen = [false; FIELDS.len()];
        while let Some(Text(name)) = map.next_key()? {
            let Some(index) = FIELDS.iter().position(|field| *field == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut seen[index], true) {
                return Err(de::Error::duplicate_field(FIELDS[index]));
            }
            match index {
                0 => envelope.command = map.next_value()?,
                1 => envelope.user = map.next_value()?,
                2 => envelope.token = map.next_value()?,
                3 => envelope.room = map.next_value()?,
                _ => envelope.msg = Some(map.next_value()?),
            }
        }
        Ok(envelope)
    }
}

/// The fields of [`Envelope`], in its order.
const FIELDS: [&str; 5] = ["command", "user", "token", "room", "msg"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that are nearly what the shortcut takes, JSON or not.
    fn nearly_compact() -> impl Strategy<Value = String> {
        let room = prop_oneof![
            4 => "room_[0-9a-f]{0,8}",
            2 => r#"[a€"\\n\x00-\x1f\x7f]{0,6}"#,
        ];
        let msg = prop_oneof![
            4 => prop::sample::select(vec![
                "1", "\"hi\"", "null", " {\"a\":[1,2]} ", "[]", "\"\\\"}\"", "-0.5e7", "true", "\n\"x\"\t",
            ]).prop_map(str::to_owned),
            1 => prop::sample::select(vec![
                "", " ", "01", "tru", "1,\"x\":2", "1,\"room\":\"r\"", "1}", "{", "}", "\"", "1 2", "\"\\u12\"", "[1,]",
            ]).prop_map(str::to_owned),
            1 => r#"[\[\]{}",:\\ 0-9a]{0,12}"#,
            1 => (99usize..104).prop_map(|depth| ["[".repeat(depth), "]".repeat(depth)].concat()),
        ];
        let end = prop::sample::select(vec!["}", "} ", "", "}}", "\n}"]);
        let start = prop::sample::select(vec!["{", "{", "{", "{ ", " {", "[", "{{"]);
        (start, room, msg, end).prop_map(|(start, room, msg, end)| {
            format!(r#"{start}"command":"room","room":"{room}","msg":{msg}{end}"#)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn the_shortcut_changes_nothing(text in nearly_compact()) {
            let [short, full] = [parse(&text), parse_any(&text)];
            prop_assert_eq!(format!("{:?}", short), format!("{:?}", full));
        }
    }

    #[test]
    fn the_shortcut_is_taken_where_it_matters() {
        let taken = |text| parse_compact(text).is_some();
        assert!(taken(r#"{"command":"room","room":"r","msg":"Hello"}"#));
        assert!(taken(
            r#"{"command":"room","room":"r","msg":{"a":[1,"}"]}}"#
        ));
        assert!(!taken(r#"{"command":"room","room":"r\\","msg":1}"#));
        assert!(!taken(r#"{"command":"room","room":"r","msg":1,"msg":2}"#));
        assert!(!taken(r#"{"command":"ping","user":"u"}"#));
    }
}
