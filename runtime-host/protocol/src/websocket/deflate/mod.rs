//! permessage-deflate (RFC 7692): compressed messages, agreed upon in the handshake.
//!
//! [`negotiate`] answers a client's offers, [`Inflater`] serves [`Decoder::decode_with`](super::Decoder::decode_with)
//! and [`deflate_message`] makes frames.
//!
//! Neither direction keeps a window from message to message. That costs some compression; in return a compressed frame
//! is the same for all members of a room and is made once, an idle connection owns no compressor, no inflater and no
//! window, and one [`Inflater`] and one [`Deflater`] serve all connections of a thread.
//!
//! Absent on purpose: context takeover, windows smaller than DEFLATE's own (see [`Agreement::allows`]), and the choice
//! which messages are worth compressing.

mod deflater;
mod inflater;
mod negotiation;

pub use deflater::{Deflater, deflate_message};
pub use inflater::Inflater;
pub(super) use inflater::wire_limit;
pub use negotiation::{Agreement, negotiate};

/// What the sender of a message takes off its end and its receiver puts there again (RFC 7692 §7.2.1): the length of an
/// empty stored block, whose first three bits stay in the last byte of the message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Buffers for a message that grew beyond this are not kept for the next.
const KEPT: usize = 64 << 10;
