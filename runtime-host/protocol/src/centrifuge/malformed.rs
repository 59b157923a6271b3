//! What makes a frame no frame of commands.

use std::borrow::Cow;

use super::codes::Disconnect;

/// The longest text of [`Malformed::Command`] in bytes, so that bad frames are not logged in full.
const MAX_TEXT: usize = 160;

/// A frame that breaks the protocol: the session ends with [`Malformed::disconnect`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A frame, or a line of one, without anything in it.
    #[error("empty")]
    Empty,
    /// More commands in one frame than [`super::MAX_COMMANDS`].
    #[error("too many commands in a frame")]
    TooMany,
    /// Text that is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// A varint that does not end, or is longer than 64 bits.
    #[error("bad varint")]
    Varint,
    /// A length that reaches beyond the frame, or beyond the message around it.
    #[error("a length reaches beyond its message")]
    Length,
    /// A field number that can't be, or a wire type that is not the field's.
    #[error("bad field")]
    Tag,
    /// Messages nested deeper than any command needs.
    #[error("nested too deep")]
    Nesting,
    /// More entries in a list or map than a command needs.
    #[error("too many entries")]
    Limit,
    /// A command of another shape than the protocol's, or not JSON.
    #[error("{0}")]
    Command(Cow<'static, str>),
}

impl Malformed {
    /// The code that the session is closed with: always [`Disconnect::BAD_REQUEST`], after which no client comes back
    /// by itself.
    #[must_use]
    pub const fn disconnect(&self) -> Disconnect {
        Disconnect::BAD_REQUEST
    }

    /// The JSON parser's words, which may quote the frame, without more of it than a developer needs.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let mut text = error.to_string();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Self::Command(text.into())
    }
}
