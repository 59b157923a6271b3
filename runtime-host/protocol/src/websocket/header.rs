//! The header of a frame (RFC 6455 §5.2): parsed and judged from as few bytes as decide it.

use super::{Opcode, ProtocolError, frame::MAX_CONTROL_PAYLOAD};

/// The longest header: two bytes, eight of length, four of mask.
pub(super) const MAX_HEADER: usize = 14;

/// What a header must agree with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expect {
    /// Frames from clients are masked, frames from servers are not (RFC 6455 §5.1).
    pub(super) masked: bool,
    /// The bytes of the fragmented message that has begun, if one has.
    pub(super) assembled: Option<usize>,
    /// The longest message in bytes, all fragments together.
    pub(super) limit: usize,
}

/// A header that keeps all rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    /// Zeros if the frame is not masked.
    pub(super) mask: [u8; 4],
    /// Bytes of payload, within the limit.
    pub(super) len: usize,
}

/// Parses the header at the front of `bytes` and returns it with its size, or `None` if more bytes are needed.
///
/// # Errors
/// Whatever is wrong is found at the first byte that shows it, so a verdict never depends on how the bytes were cut.
pub(super) fn parse(
    bytes: &[u8],
    expect: &Expect,
) -> Result<Option<(Header, usize)>, ProtocolError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (fin, opcode) = first_byte(first, expect)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let short = second_byte(second, opcode, expect)?;
    let Some((len, size)) = length(short, rest)? else {
        return Ok(None);
    };
    let len = within_limit(len, opcode, expect)?;
    if !expect.masked {
        let mask = [0; 4];
        let header = Header {
            fin,
            opcode,
            mask,
            len,
        };
        return Ok(Some((header, 2 + size)));
    }
    let Some(&mask) = rest.get(size..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let header = Header {
        fin,
        opcode,
        mask,
        len,
    };
    Ok(Some((header, 2 + size + 4)))
}

fn first_byte(byte: u8, expect: &Expect) -> Result<(bool, Opcode), ProtocolError> {
    if byte & 0x70 != 0 {
        return Err(ProtocolError::framing("a reserved bit is set"));
    }
    let fin = byte & 0x80 != 0;
    let Some(opcode) = Opcode::from_u8(byte & 0x0f) else {
        return Err(ProtocolError::framing("reserved opcode"));
    };
    match opcode {
        Opcode::Continuation if expect.assembled.is_none() => {
            Err(ProtocolError::framing("continuation of no message"))
        }
        Opcode::Text | Opcode::Binary if expect.assembled.is_some() => Err(ProtocolError::framing(
            "new message inside a fragmented one",
        )),
        Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => {
            Err(ProtocolError::framing("fragmented control frame"))
        }
        _ => Ok((fin, opcode)),
    }
}

/// Checks the mask bit and returns the seven bits of length.
fn second_byte(byte: u8, opcode: Opcode, expect: &Expect) -> Result<u8, ProtocolError> {
    let masked = byte & 0x80 != 0;
    if masked != expect.masked {
        return Err(ProtocolError::framing(match masked {
            true => "masked frame from a server",
            false => "unmasked frame from a client",
        }));
    }
    let short = byte & 0x7f;
    if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
        return Err(ProtocolError::framing("control frame over 125 bytes"));
    }
    Ok(short)
}

/// The payload length and how many bytes beyond the second it took, or `None` if they are not all there.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, ProtocolError> {
    let (len, size, least) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 0),
    };
    if len < least {
        return Err(ProtocolError::framing("length is not in its shortest form"));
    }
    if len >> 63 != 0 {
        return Err(ProtocolError::framing("length has its highest bit set"));
    }
    Ok(Some((len, size)))
}

fn within_limit(len: u64, opcode: Opcode, expect: &Expect) -> Result<usize, ProtocolError> {
    let len = usize::try_from(len).map_err(|_| ProtocolError::too_big())?;
    if opcode.is_control() {
        return Ok(len);
    }
    match expect.assembled.unwrap_or(0).checked_add(len) {
        Some(total) if total <= expect.limit => Ok(len),
        _ => Err(ProtocolError::too_big()),
    }
}
