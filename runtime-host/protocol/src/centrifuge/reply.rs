//! What the server says: replies to commands, and pushes.
//!
//! Everything is appended to a buffer straight from borrowed parts. In JSON every `data` and `info` must be one JSON
//! value (see [`super::is_json`]), for it is passed on as it is, without its line breaks.

use super::{
    Format,
    codes::{Disconnect, Failure, Unsubscribed},
    json_sink::JsonSink,
    protobuf::ProtobufSink,
    results,
};

/// A publication.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Publication<'a> {
    /// What was said.
    pub data: Payload<'a>,
    /// Who said it, if a client did.
    pub info: Option<ClientInfo<'a>>,
    /// Its place in the channel's history; 0 where none is kept.
    pub offset: u64,
    /// Its tags.
    pub tags: &'a [(Box<str>, Box<str>)],
    /// When it was said, in milliseconds of Unix time, or 0.
    pub time: i64,
    /// Its channel, where that is not the subscription's; else empty.
    pub channel: &'a str,
}

/// What was said, as a subscriber is to have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Payload<'a> {
    /// As it is.
    Whole(&'a [u8]),
    /// Whole, for a subscription that negotiated deltas: in JSON, a string that holds the JSON text.
    Base(&'a [u8]),
    /// The difference to the publication before ([`super::delta`]), for a subscription that negotiated deltas.
    Delta(&'a [u8]),
}

impl Default for Payload<'_> {
    fn default() -> Self {
        Self::Whole(&[])
    }
}

/// Who is in a channel, comes, goes or says something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientInfo<'a> {
    /// The user.
    pub user: &'a str,
    /// The connection.
    pub client: &'a str,
    /// What the connection's token says.
    pub conn_info: &'a [u8],
    /// What the subscription's token says.
    pub chan_info: &'a [u8],
}

/// A session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connected<'a> {
    /// The id of this connection.
    pub client: &'a str,
    /// The server's version.
    pub version: &'a str,
    /// Whether the client must refresh its token within `ttl`.
    pub expires: bool,
    /// Seconds.
    pub ttl: u32,
    /// From the backend.
    pub data: &'a [u8],
    /// What the server subscribed the client to, by channel.
    pub subs: &'a [(&'a str, Subscription<'a>)],
    /// Seconds from one ping of the server to the next; 0 for none.
    pub ping: u32,
    /// Whether pings must be answered.
    pub pong: bool,
    /// Names the session in `/emulation`, on the HTTP transports.
    pub session: &'a str,
    /// Names the host in `/emulation`, on the HTTP transports.
    pub node: &'a str,
    /// The server's time in milliseconds of Unix time, or 0.
    pub time: i64,
}

/// A subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Subscription<'a> {
    /// Whether the client must refresh its subscription token within `ttl`.
    pub expires: bool,
    /// Seconds.
    pub ttl: u32,
    /// Whether the client may recover later from the position that it holds.
    pub recoverable: bool,
    /// The channel's epoch.
    pub epoch: &'a str,
    /// What was missed, oldest first; only where `recovered`.
    pub publications: &'a [Publication<'a>],
    /// Whether nothing is missing between the client's position and the next push.
    pub recovered: bool,
    /// The position before the first of `publications`; without any, the channel's.
    pub offset: u64,
    /// Whether the server watches the client's position.
    pub positioned: bool,
    /// From the backend.
    pub data: &'a [u8],
    /// Whether the client wanted to recover.
    pub was_recovering: bool,
    /// Whether publications come as [`Payload::Base`] and [`Payload::Delta`].
    pub delta: bool,
}

/// A reply to a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply<'a> {
    /// It was refused.
    Error(&'a Failure),
    /// To a connect.
    Connect(&'a Connected<'a>),
    /// To a subscribe.
    Subscribe(&'a Subscription<'a>),
    /// To an unsubscribe.
    Unsubscribe,
    /// To a publish, with the publication's position where history is kept: what says that it is.
    ///
    /// The position is an extension (fields 1001 `offset` and 1002 `epoch`), which the SDKs skip.
    Publish(Option<(u64, &'a str)>),
    /// To a presence: everybody, by connection.
    Presence(&'a [ClientInfo<'a>]),
    /// To a presence_stats.
    PresenceStats {
        /// Connections.
        clients: u32,
        /// Users.
        users: u32,
    },
    /// To a history.
    History {
        /// In the order that was asked for.
        publications: &'a [Publication<'a>],
        /// The channel's epoch.
        epoch: &'a str,
        /// The offset of the channel's newest publication.
        offset: u64,
    },
    /// To a ping of the client.
    Ping,
    /// To an rpc.
    Rpc(&'a [u8]),
    /// To a refresh: how many seconds the new token lasts, if it ends.
    Refresh(Option<u32>),
    /// To a sub_refresh: how many seconds the new token lasts, if it ends.
    SubRefresh(Option<u32>),
}

impl Reply<'_> {
    /// Appends the reply to the command `id`.
    pub fn encode(&self, format: Format, id: u32, out: &mut Vec<u8>) {
        match format {
            Format::Json => JsonSink::object(out, |sink| results::reply(id, self, sink)),
            Format::Protobuf => {
                ProtobufSink::new(out).delimited(|sink| results::reply(id, self, sink));
            }
        }
    }
}

/// What the server says unasked.
///
/// The frame of a push is the same for every client of its format, so that it can be encoded once for a whole room.
/// (With deltas negotiated there is one more form of a publication in each format, for all that have the one before.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Push<'a> {
    /// Something was said in a channel.
    Publication(&'a Publication<'a>),
    /// Somebody came into a channel.
    Join(&'a ClientInfo<'a>),
    /// Somebody left a channel.
    Leave(&'a ClientInfo<'a>),
    /// The server ended a subscription.
    Unsubscribe(&'a Unsubscribed),
    /// The server subscribed the client to a channel. Of the result, whether and where it can recover and the data count.
    Subscribe(&'a Subscription<'a>),
    /// From the backend, to this session alone.
    Message(&'a [u8]),
    /// The session ends. On a WebSocket the close frame says that instead.
    Disconnect(&'a Disconnect),
    /// The server extended the session: how many seconds it lasts, if it ends.
    Refresh(Option<u32>),
}

impl Push<'_> {
    /// Appends the push. Only the first five have a channel; for the others it is empty.
    pub fn encode(&self, format: Format, channel: &str, out: &mut Vec<u8>) {
        match format {
            Format::Json => JsonSink::object(out, |sink| results::push(channel, self, sink)),
            Format::Protobuf => {
                ProtobufSink::new(out).delimited(|sink| results::push(channel, self, sink));
            }
        }
    }
}

/// Appends a ping of the server: a reply with nothing in it, the same for everybody.
pub fn push_ping(format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Json => JsonSink::object(out, |_| {}),
        Format::Protobuf => ProtobufSink::new(out).delimited(|_| {}),
    }
}

impl Format {
    /// Appends what stands between two replies of one frame, if `out` holds one already.
    ///
    /// Replies in JSON are joined by a newline, those in Protobuf say how long they are.
    pub fn separate(self, out: &mut Vec<u8>) {
        if self == Self::Json && !out.is_empty() {
            out.push(b'\n');
        }
    }
}
