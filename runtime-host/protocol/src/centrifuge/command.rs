//! What a client asks for, parsed once.
//!
//! Strings and payloads are borrowed from the frame; in JSON, only strings with escapes are copied.

use std::borrow::Cow;

use super::{
    Format,
    filter::Filter,
    json_sink::JsonSink,
    protobuf::ProtobufSink,
    requests,
    wire::{Field, Message, Sink, Value},
};

/// A command: what is asked for, and the number under which the client expects the reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command<'a> {
    /// Not zero where a reply is expected; the session sees to that.
    pub id: u32,
    /// What is asked for.
    pub request: Request<'a>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Request<'a> {
    /// The answer to a ping of the server: a command with nothing in it.
    #[default]
    Pong,
    /// Begin the session.
    Connect(Box<Connect<'a>>),
    /// Hear a channel.
    Subscribe(Box<Subscribe<'a>>),
    /// Hear a channel no more.
    Unsubscribe(Channel<'a>),
    /// Say something in a channel.
    Publish(Publish<'a>),
    /// Who is in a channel?
    Presence(Channel<'a>),
    /// How many are in a channel?
    PresenceStats(Channel<'a>),
    /// What was said in a channel?
    History(History<'a>),
    /// A ping of the client, which is answered. (Those of the server are answered by [`Request::Pong`].)
    Ping,
    /// Something for the backend, which does not answer; the only request without a command id.
    Send(Send<'a>),
    /// Something that the backend answers.
    Rpc(Rpc<'a>),
    /// A new token for the connection.
    Refresh(Refresh<'a>),
    /// A new token for a subscription.
    SubRefresh(SubRefresh<'a>),
}

/// The first command of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect<'a> {
    /// A JWT, or empty.
    pub token: Cow<'a, str>,
    /// For the backend: JSON in the JSON format, else any bytes; may be empty.
    pub data: &'a [u8],
    /// Where the client was in the channels that the server subscribed it to, at most [`super::MAX_SUBS`].
    pub subs: Vec<Resume<'a>>,
    /// The client's name, such as `js`.
    pub name: Cow<'a, str>,
    /// The client application's version.
    pub version: Cow<'a, str>,
    /// Headers that a browser can't send otherwise, at most [`super::MAX_HEADERS`].
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Features that the client offers, as bits. None is used here, so that none needs to be understood.
    pub flag: i64,
}

/// A position in a channel that the server subscribes the client to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resume<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// Whether what was missed is wanted.
    pub recover: bool,
    /// The channel's epoch when the client was last there.
    pub epoch: Cow<'a, str>,
    /// The offset of the last publication that the client has.
    pub offset: u64,
    /// The compression that the client offers.
    pub delta: Delta,
}

/// Hear a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// A subscription token, or empty.
    pub token: Cow<'a, str>,
    /// Whether what was missed since the position is wanted.
    pub recover: bool,
    /// The channel's epoch when the client was last there. Empty: whichever it is.
    pub epoch: Cow<'a, str>,
    /// The offset of the last publication that the client has.
    pub offset: u64,
    /// For the backend.
    pub data: &'a [u8],
    /// Whether the client wants its position watched.
    pub positioned: bool,
    /// Whether the client wants to be able to recover later.
    pub recoverable: bool,
    /// Whether the client wants to hear who comes and goes.
    pub join_leave: bool,
    /// The compression that the client offers.
    pub delta: Delta,
    /// Which publications the client wants, by their tags.
    pub filter: Option<Filter<'a>>,
    /// Features as bits: [`Subscribe::REJECT_UNRECOVERED`].
    pub flag: i64,
    /// Zero for a stream; other kinds of subscriptions (maps, polls) are not offered.
    pub kind: i32,
}

impl Subscribe<'_> {
    /// The bit of [`Subscribe::flag`] that asks for error 112 instead of `recovered: false`.
    pub const REJECT_UNRECOVERED: i64 = 2;
}

/// A compression of publications by their difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delta {
    /// None.
    #[default]
    None,
    /// [`crate::centrifuge::delta`].
    Fossil,
    /// One that does not exist here; refused with [`super::Disconnect::BAD_REQUEST`].
    Unknown,
}

impl Delta {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "" => Self::None,
            "fossil" => Self::Fossil,
            _ => Self::Unknown,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Fossil => "fossil",
            Self::Unknown => "unknown",
        }
    }
}

/// A request about a channel that says nothing more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
}

/// Say something in a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publish<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// What is said: JSON in the JSON format, else any bytes.
    pub data: &'a [u8],
    /// Zero for a stream; other kinds are not offered.
    pub kind: i32,
}

/// What was said in a channel?
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// How many publications: zero for none but the position, negative for all that may be had.
    pub limit: i32,
    /// After (or, reversed, before) which position.
    pub since: Option<Since<'a>>,
    /// Whether the newest come first.
    pub reverse: bool,
}

/// A position in a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Since<'a> {
    /// The offset of a publication; any number that a client likes.
    pub offset: u64,
    /// The epoch; empty: whichever it is.
    pub epoch: Cow<'a, str>,
}

/// Something for the backend, which does not answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Send<'a> {
    /// The message.
    pub data: &'a [u8],
}

/// Something that the backend answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rpc<'a> {
    /// The argument.
    pub data: &'a [u8],
    /// The method's name.
    pub method: Cow<'a, str>,
}

/// A new token for the connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refresh<'a> {
    /// A JWT.
    pub token: Cow<'a, str>,
}

/// A new token for a subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubRefresh<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// A JWT.
    pub token: Cow<'a, str>,
}

impl Command<'_> {
    /// Appends the command as a client would send it, with what a frame needs around it.
    ///
    /// For programs that speak the client's part: tests, measurements.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Json => {
                if !out.is_empty() {
                    out.push(b'\n');
                }
                JsonSink::object(out, |sink| self.write(sink));
            }
            Format::Protobuf => ProtobufSink::new(out).delimited(|sink| self.write(sink)),
        }
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.uint((1, "id"), self.id.into());
        requests::write(&self.request, sink);
    }
}

/// A command while it is read.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    id: u32,
    request: Option<Request<'a>>,
}

impl<'a> Envelope<'a> {
    /// The command. Without any request it is a pong, whatever its id; the session looks at that.
    pub(super) fn into_command(self) -> Command<'a> {
        Command {
            id: self.id,
            request: self.request.unwrap_or_default(),
        }
    }
}

impl<'a> Message<'a> for Envelope<'a> {
    const FIELDS: &'static [Field] = requests::COMMAND;

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        if number == 1 {
            self.id = value.uint32()?;
            return Ok(());
        }
        let Some(request) = requests::read(number, value)? else {
            return Ok(());
        };
        match self.request.replace(request) {
            None => Ok(()),
            Some(_) => Err(V::fault("more than one request in a command")),
        }
    }
}
