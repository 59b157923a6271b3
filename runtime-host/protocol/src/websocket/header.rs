//! The header of a frame (RFC 6455 §5.2): parsed and judged from as few bytes as decide it.

use super::{
    Opcode, ProtocolError, deflate,
    frame::{FIN, MAX_CONTROL_PAYLOAD, RSV1},
};

/// Bits of the first byte that no extension of ours uses.
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

/// The longest header: two bytes, eight of length, four of mask.
pub(super) const MAX_HEADER: usize = 14;

/// What a header must agree with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expect {
    /// Frames from clients are masked, frames from servers are not (RFC 6455 §5.1).
    pub(super) masked: bool,
    /// The bytes of the fragmented message that has begun, if one has.
    pub(super) assembled: Option<usize>,
    /// Whether messages may be compressed (RFC 7692 §6).
    pub(super) deflate: bool,
    /// The longest message in bytes, all fragments together; the bytes on the wire, if the message that has begun is
    /// compressed.
    pub(super) limit: usize,
}

/// A header that keeps all rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    /// The first frame of a compressed message.
    pub(super) compressed: bool,
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
    let opcode = first_byte(first, expect)?;
    let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let short = second_byte(second, opcode, expect)?;
    let Some((len, size)) = length(short, rest)? else {
        return Ok(None);
    };
    let limit = match compressed {
        true => deflate::wire_limit(expect.limit),
        false => expect.limit,
    };
    let len = within_limit(len, opcode, expect.assembled, limit)?;
    if !expect.masked {
        let mask = [0; 4];
        let header = Header {
            fin,
            compressed,
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
        compressed,
        opcode,
        mask,
        len,
    };
    Ok(Some((header, 2 + size + 4)))
}

fn first_byte(byte: u8, expect: &Expect) -> Result<Opcode, ProtocolError> {
    let reserved = byte & (RSV1 | RSV2 | RSV3);
    if reserved != 0 && !(reserved == RSV1 && expect.deflate) {
        return Err(ProtocolError::framing("a reserved bit is set"));
    }
    let fin = byte & FIN != 0;
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
        Opcode::Text | Opcode::Binary => Ok(opcode),
        _ if reserved != 0 => Err(ProtocolError::framing(
            "only the first frame of a message says that it is compressed",
        )),
        _ => Ok(opcode),
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

fn within_limit(
    len: u64,
    opcode: Opcode,
    assembled: Option<usize>,
    limit: usize,
) -> Result<usize, ProtocolError> {
    let len = usize::try_from(len).map_err(|_| ProtocolError::too_big())?;
    if opcode.is_control() {
        return Ok(len);
    }
    match assembled.unwrap_or(0).checked_add(len) {
        Some(total) if total <= limit => Ok(len),
        _ => Err(ProtocolError::too_big()),
    }
}
