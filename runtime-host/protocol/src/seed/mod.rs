//! The original protocol, spoken at `/websocket/polling`: one JSON object in each text message.
//!
//! [`parse`] turns a client's message into a [`Command`], and [`Session`] says whether it comes in its time; the functions of this module append the server's messages to
//! a buffer, as JSON text without the WebSocket frame around it, so that one encoding serves every recipient.
//!
//! Absent on purpose: who may say what where. The node decides that and answers with [`error`].

mod command;
mod encode;
mod session;

pub use command::{Command, ErrorCode, MAX_DEPTH, Refused, parse};
pub use encode::{error, login_ok, membership, message, message_text, presence};
pub use session::{Session, Step};

/// What a connection wants to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Envelopes: every kind of output is a JSON object.
    #[default]
    Json,
    /// The older output of `?format=text`: bare messages ([`message_text`]) and nothing else, no presence, no errors.
    Text,
}

impl Format {
    /// The format named by the query parameter `format`; `None` for a name that does not exist.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}
