//! What a session may do when: a state machine between [`Commands`](super::Commands) and the node.
//!
//! How a shard drives it:
//!
//! 1. A connection opens: [`Session::new`].
//! 2. A frame arrives: each command goes into [`Session::command`]. A frame that is [malformed](super::Malformed) ends
//!    the session with the code that it names. What the session has to say at once, it appends to `out`.
//! 3. [`Step::Act`] is a command that is in order and for the node to carry out. The node answers every one that has an
//!    `id`, by the function that fits: [`Session::connected`], [`subscribed`](Session::subscribed),
//!    [`refreshed`](Session::refreshed), [`sub_refreshed`](Session::sub_refreshed), [`replied`](Session::replied) for
//!    the rest, and [`refused`](Session::refused) for all of them. Only an unsubscribe is answered already: the node
//!    stops the deliveries. Answers may come in any order. After a connect, though, no other command may go in before
//!    its answer has come: the shard keeps [`Commands::rest`](super::Commands::rest) until then.
//! 4. [`Step::Close`] ends the connection: a WebSocket by a close frame with code and reason, the HTTP transports by
//!    [`Push::Disconnect`]. Clients come back or not by the code.
//! 5. After each of these calls `out`, if it holds anything, is the payload of one message to the client. Publications
//!    do not pass through here: the hub encodes each once for a room ([`Push::encode`]).
//! 6. The timer is set to [`Session::next_deadline`] after each call; when it is due, [`Session::tick`] is called until
//!    it says [`Due::Nothing`].
//!
//! Time is given in milliseconds since any fixed moment; it must not go back. Nothing here allocates but for the names
//! of channels and for subscriptions under way.
//!
//! Absent on purpose: who may do what, tokens, positions of live subscriptions (the hub knows what it delivered; see
//! [`super::recovery`] for what is owed to those who come back), and how bytes reach the client.

mod answers;
mod channels;
mod clock;
mod commands;
mod limits;

use super::{Command, Disconnect, Failure, Format, MAX_SUBS, Push, Reply};
use channels::Channels;
use limits::Ids;

pub use channels::Entry;
pub use limits::{Pace, Rate};

/// Milliseconds since a moment of the caller's choice.
pub type Millis = u64;

/// Never.
const NEVER: Millis = Millis::MAX;

/// What sessions of a key are allowed, and their intervals. Defaults are those of the servers that the SDKs know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection may take to begin a session.
    pub connect_within: Millis,
    /// Seconds from one ping to the next; 0 for none. The SDKs give up when none came for ten seconds longer.
    pub ping_every: u32,
    /// How long a client may take to answer a ping; 0 if it need not.
    pub pong_within: Millis,
    /// How long after its end a session may still be refreshed.
    pub refresh_within: Millis,
    /// How long after its end a subscription may still be refreshed.
    pub sub_refresh_within: Millis,
    /// How many channels a client may subscribe to.
    pub channels: usize,
    /// How many channels the server may subscribe a client to.
    pub server_channels: usize,
    /// The longest name of a channel, in bytes.
    pub channel_length: usize,
    /// The longest payload of a publication, call or message, in bytes.
    pub payload: usize,
    /// Commands a second on average; 0 for any number.
    pub commands_per_second: u32,
    /// How many commands may come at once: more than [`Settings::channels`], for a client that comes back.
    pub burst: u32,
    /// Whether publications must be JSON even from clients that speak Protobuf, so that all members can read them.
    pub json_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_within: 15_000,
            ping_every: 25,
            pong_within: 8_000,
            refresh_within: 25_000,
            sub_refresh_within: 25_000,
            channels: 128,
            server_channels: MAX_SUBS,
            channel_length: 255,
            payload: 64 << 10,
            commands_per_second: 100,
            burst: 500,
            json_only: true,
        }
    }
}

/// What follows from a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// Nothing; what there is to say was said.
    Done,
    /// The node carries the command out and answers it.
    Act(Command<'a>),
    /// The session is over.
    Close(Disconnect),
}

/// What follows from time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing more for now.
    Nothing,
    /// A subscription ran out, and the client was told: the node stops the deliveries.
    Unsubscribe(Box<str>),
    /// The session is over.
    Close(Disconnect),
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connect yet.
    Fresh,
    /// The node decides about the connect.
    Connecting,
    /// It goes.
    Connected,
    /// The connect was refused; only the end is left.
    Refused,
}

/// A session, from the opening of its connection to its close.
#[derive(Clone, Debug)]
pub struct Session {
    format: Format,
    phase: Phase,
    /// Whether a ping was sent that no pong answered.
    pinged: bool,
    ids: Ids,
    rate: Rate,
    /// Spreads first pings.
    jitter: u32,
    /// When it is over: not begun in time, or its token ran out.
    ends: Millis,
    next_ping: Millis,
    pong_by: Millis,
    channels: Channels,
}

impl Session {
    /// A session of which nothing is known. `jitter` is any random number: first pings are spread by it.
    #[must_use]
    pub fn new(format: Format, now: Millis, settings: &Settings, jitter: u32) -> Self {
        Self {
            format,
            phase: Phase::Fresh,
            pinged: false,
            ids: Ids::default(),
            rate: Rate::default(),
            jitter,
            ends: now.saturating_add(settings.connect_within),
            next_ping: NEVER,
            pong_by: NEVER,
            channels: Channels::default(),
        }
    }

    /// The format that the client speaks.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether a connect was granted.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// The subscriptions, by the name of their channel. Those under way are not among them.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.channels.iter()
    }

    /// The subscription to a channel.
    #[must_use]
    pub fn channel(&self, channel: &str) -> Option<&Entry> {
        self.channels.get(channel)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.channels.heap_size()
    }

    fn reply(&self, id: u32, reply: &Reply<'_>, out: &mut Vec<u8>) {
        self.format.separate(out);
        reply.encode(self.format, id, out);
    }

    fn error(&self, id: u32, failure: &Failure, out: &mut Vec<u8>) {
        self.reply(id, &Reply::Error(failure), out);
    }

    fn push(&self, channel: &str, push: &Push<'_>, out: &mut Vec<u8>) {
        self.format.separate(out);
        push.encode(self.format, channel, out);
    }
}
