//! RFC 6455 for both ends: the opening handshake, decoding and encoding of frames.
//!
//! Decoding is [`Decoder`]: it works in the caller's read buffer and keeps memory of its own only while a message is
//! partly there. Encoding appends to a `Vec<u8>` that the caller owns.
//!
//! Messages may be compressed ([`deflate`], RFC 7692) where a connection agreed on that; elsewhere a set RSV bit is
//! refused.
//!
//! Absent on purpose: other extensions, sockets, time-outs and the answers to pings and close
//! frames; the caller sends those, because it alone knows its outbox.

mod assembly;
mod decoder;
pub mod deflate;
mod frame;
pub mod handshake;
mod header;
mod mask;
mod utf8;

pub use decoder::{Decoder, Event};
pub use frame::{
    MAX_CLOSE_REASON, MAX_CONTROL_PAYLOAD, Opcode, frame_header, push_close, push_frame,
    push_masked_frame,
};

/// The peer broke the protocol: send a close frame with this code and reason, then close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (close code {code})")]
pub struct ProtocolError {
    /// One of [`crate::close::PROTOCOL_ERROR`], [`crate::close::INVALID_TEXT`] and [`crate::close::TOO_BIG`].
    pub code: u16,
    /// A constant, short enough for a close frame.
    pub reason: &'static str,
}

impl ProtocolError {
    /// A breach of framing rules, close code 1002.
    const fn framing(reason: &'static str) -> Self {
        Self {
            code: crate::close::PROTOCOL_ERROR,
            reason,
        }
    }

    /// A payload that is not what its message says, close code 1007: text that is not UTF-8, compressed data that is none.
    const fn payload(reason: &'static str) -> Self {
        Self {
            code: crate::close::INVALID_TEXT,
            reason,
        }
    }

    /// A message over the limit, close code 1009.
    const fn too_big() -> Self {
        Self {
            code: crate::close::TOO_BIG,
            reason: "message is over the limit",
        }
    }
}
