//! Encoding of frames. Every frame that SSChat sends is final: it never fragments a message.

use super::mask;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest reason of a close frame, in bytes: a control payload less the code.
pub const MAX_CLOSE_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// The bit of the first byte that says that a message ends here.
pub(super) const FIN: u8 = 0x80;

/// The bit of the first byte that says that the message which begins here is compressed (RFC 7692 §6).
pub(super) const RSV1: u8 = 0x40;

/// What a frame is (RFC 6455 §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The end of the connection, with an optional code and reason.
    Close = 0x8,
    /// To be answered by a pong with the same payload.
    Ping = 0x9,
    /// The answer to a ping, or unasked.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode of these four bits; `None` if it is reserved.
    #[must_use]
    pub const fn from_u8(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether this is a control frame: it may come between fragments and is at most 125 bytes long.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// Appends the header of a final, unmasked frame whose payload of `len` bytes the caller appends next.
pub fn frame_header(buf: &mut Vec<u8>, opcode: Opcode, len: usize) {
    header(buf, FIN | opcode as u8, len, 0);
}

/// Appends a final, unmasked frame whose payload is a whole message that was compressed.
pub(super) fn push_compressed_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    header(out, FIN | RSV1 | opcode as u8, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a final, unmasked frame, as a server sends it.
///
/// The payload of a control frame must not be over [`MAX_CONTROL_PAYLOAD`].
pub fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    frame_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a close frame, as a server sends it.
///
/// A reason over [`MAX_CLOSE_REASON`] is cut at a character boundary.
pub fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(MAX_CLOSE_REASON)];
    frame_header(out, Opcode::Close, 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a final, masked frame, as a client sends it.
///
/// RFC 6455 §5.3 wants the mask of a browser to be unpredictable; a load generator may use any.
pub fn push_masked_frame(out: &mut Vec<u8>, opcode: Opcode, mask: [u8; 4], payload: &[u8]) {
    header(out, FIN | opcode as u8, payload.len(), 0x80);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], mask);
}

fn header(out: &mut Vec<u8>, first: u8, len: usize, mask_bit: u8) {
    debug_assert!(first & 0x8 == 0 || len <= MAX_CONTROL_PAYLOAD);
    match len {
        0..=125 => out.extend_from_slice(&[first, mask_bit | len as u8]),
        126..=0xffff => {
            let [high, low] = (len as u16).to_be_bytes();
            out.extend_from_slice(&[first, mask_bit | 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, mask_bit | 127]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        let header = |len| {
            let mut out = Vec::new();
            frame_header(&mut out, Opcode::Binary, len);
            out
        };
        assert_eq!(header(0), [0x82, 0]);
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(65535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header(65536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let mut out = Vec::new();
        push_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);

        out.clear();
        push_masked_frame(&mut out, Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], b"Hello");
        let expected = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn a_long_close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        push_close(&mut out, 1001, &"ä".repeat(80));
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xe9]);
        assert_eq!(str::from_utf8(&out[4..]), Ok("ä".repeat(61).as_str()));
    }
}
