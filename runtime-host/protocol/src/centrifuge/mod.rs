//! The Centrifuge client protocol, as the official SDKs speak it.
//!
//! [`Commands`] reads a frame's commands, [`Reply`] and [`Push`] append what the server says, in both formats;
//! [`codes`] are what the SDKs act upon; [`session::Session`] is what a session may do when.
//!
//! Written from the facts of `client.proto` (centrifugal/protocol) and of the server that it was made for
//! (centrifugal/centrifuge). Not offered, and refused as "not available": subscriptions to maps and polls, numbers
//! instead of channel names, shared dictionaries.
//!
//! Absent on purpose: sockets, the hub, who may do what, and what a token says.

pub mod codes;
mod command;
pub mod delta;
mod emulation;
mod filter;
mod frame;
mod json;
mod json_sink;
mod malformed;
mod protobuf;
pub mod recovery;
mod reply;
mod requests;
mod results;
pub mod session;
mod wire;

pub use codes::{Disconnect, Failure, Unsubscribed};
pub use command::{
    Channel, Command, Connect, Delta, History, Publish, Refresh, Request, Resume, Rpc, Send, Since,
    SubRefresh, Subscribe,
};
pub use emulation::Emulation;
pub use filter::Filter;
pub use frame::{Commands, MAX_COMMANDS};
pub use malformed::Malformed;
pub(crate) use protobuf::delimited_length;
pub use reply::{
    ClientInfo, Connected, Payload, Publication, Push, Reply, Subscription, push_ping,
};

/// The most channels that a connect may name with positions: more than a session may have.
pub const MAX_SUBS: usize = 10_000;

/// The most headers that a connect may name; no browser needs more.
pub const MAX_HEADERS: usize = 64;

/// How deep arrays and objects in a payload may nest.
///
/// It is passed on as it is, and many parsers stop at 128 levels, the envelope's included. One member must not be able
/// to stop the clients of all others.
pub const MAX_DEPTH: usize = 100;

/// How commands and replies are put into bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON object a line, in text messages.
    #[default]
    Json,
    /// Protobuf messages, each after its length, in binary messages.
    Protobuf,
}

impl Format {
    /// The WebSocket subprotocol that asks for Protobuf.
    pub const PROTOBUF_SUBPROTOCOL: &'static str = "centrifuge-protobuf";

    /// The WebSocket subprotocol that asks for JSON, which is also what no subprotocol means.
    pub const JSON_SUBPROTOCOL: &'static str = "centrifuge-json";

    /// The format named by the query parameter `format` or `cf_protocol`; `None` for a name that does not exist.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// Whether these bytes may be passed on as a payload in JSON: one value, in UTF-8, nested at most [`MAX_DEPTH`] deep.
#[must_use]
pub fn is_json(payload: &[u8]) -> bool {
    simdutf8::basic::from_utf8(payload).is_ok_and(|text| {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
            && !crate::nesting::exceeds(text, MAX_DEPTH)
    })
}
