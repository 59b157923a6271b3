//! Inflation of whole messages within a limit.

use flate2::{Decompress, FlushDecompress, Status};

use super::{KEPT, TAIL};
use crate::websocket::ProtocolError;

/// What follows a message: the tail that its sender took off, then a final block without content. Only data that ends
/// between two blocks is followed by the end of the stream there, so that a message cut short does not pass for whole.
const END: [u8; 6] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0x03, 0x00];

/// The first guess of a message's size, as a multiple of its size on the wire, and its least.
const GUESS: usize = 4;
const LEAST: usize = 256;

const NOT_DEFLATE: ProtocolError = ProtocolError::payload("compressed message is not DEFLATE");

/// The most bytes that compressing a message of `limit` bytes may give.
///
/// One that does not compress takes nine bits a byte where the compressor knows but fixed codes, and less where it does not.
pub(in crate::websocket) const fn wire_limit(limit: usize) -> usize {
    limit.saturating_add(limit / 8).saturating_add(64)
}

/// Inflates the messages of any number of connections, one after the other.
///
/// Empty until the first compressed message; from then on about 45 KiB, and room for the longest recent message.
#[derive(Debug, Default)]
pub struct Inflater {
    state: Option<Decompress>,
    /// The last message.
    message: Vec<u8>,
}

/// How far a piece was inflated.
enum Progress<'p> {
    /// All of it, and more is to come.
    Taken,
    /// Up to the end of a final block, with this after it.
    Ended(&'p [u8]),
}

impl Inflater {
    /// Inflates a whole message of at most `limit` bytes.
    ///
    /// # Errors
    /// [`TOO_BIG`](crate::close::TOO_BIG) as soon as more comes out, [`INVALID_TEXT`](crate::close::INVALID_TEXT) for
    /// what is not DEFLATE.
    pub(in crate::websocket) fn inflate(
        &mut self,
        payload: &[u8],
        limit: usize,
    ) -> Result<&[u8], ProtocolError> {
        self.message.clear();
        if self.message.capacity() > KEPT {
            self.message = Vec::new();
        }
        // Not even the first bits of a block, but some senders mean the empty message by it.
        if payload.is_empty() {
            return Ok(&[]);
        }
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        let message = &mut self.message;
        message.reserve_exact(payload.len().saturating_mul(GUESS).clamp(LEAST, KEPT));
        state.reset(false);
        let mut rest = payload;
        while let Progress::Ended(after) = feed(state, rest, message, limit)? {
            // A sender may flush by a final block and a zero byte (RFC 7692 §7.2.3.4); most receivers take it without.
            if after.is_empty() {
                return Ok(message);
            }
            state.reset(false);
            rest = after;
        }
        match feed(state, &END, message, limit)? {
            Progress::Ended([]) => Ok(message),
            _ => Err(NOT_DEFLATE),
        }
    }

    /// The heap memory of the message buffer, in bytes; that of the state comes on top, if there is one.
    #[cfg(test)]
    fn buffered(&self) -> usize {
        self.message.capacity()
    }
}

/// Inflates `input` to the end of `message`, which grows as needed and never much beyond `limit`.
fn feed<'p>(
    state: &mut Decompress,
    mut input: &'p [u8],
    message: &mut Vec<u8>,
    limit: usize,
) -> Result<Progress<'p>, ProtocolError> {
    loop {
        if message.len() == message.capacity() {
            message.reserve_exact(message.len().min(limit - message.len() + 1));
        }
        let (in_before, out_before) = (state.total_in(), message.len());
        let status = state
            .decompress_vec(input, message, FlushDecompress::None)
            .map_err(|_| NOT_DEFLATE)?;
        let taken = (state.total_in() - in_before) as usize;
        input = &input[taken..];
        if message.len() > limit {
            return Err(ProtocolError::too_big());
        }
        if status == Status::StreamEnd {
            return Ok(Progress::Ended(input));
        }
        // With room left nothing is held back.
        if message.len() < message.capacity() {
            if input.is_empty() {
                return Ok(Progress::Taken);
            }
            if taken == 0 && message.len() == out_before {
                return Err(NOT_DEFLATE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;
    use crate::close;

    fn zeros(len: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(len / 500 + 100);
        Compress::new(Compression::best(), false)
            .compress_vec(&vec![0; len], &mut payload, FlushCompress::Sync)
            .unwrap();
        payload.strip_suffix(&TAIL).unwrap().to_vec()
    }

    #[test]
    fn a_bomb_is_dropped_at_the_limit() {
        let bomb = zeros(64 << 20);
        assert!(bomb.len() < 70_000, "{}", bomb.len());
        let mut inflater = Inflater::default();
        for limit in [0, 1, 1000, 65_536, 1 << 20] {
            let refused = inflater.inflate(&bomb, limit).map(<[u8]>::len);
            assert_eq!(refused.map_err(|error| error.code), Err(close::TOO_BIG));
            let most = (limit + 1).max(KEPT);
            assert!(inflater.buffered() <= most, "{}", inflater.buffered());
        }
    }

    #[test]
    fn the_limit_is_the_inflated_size_to_the_byte() {
        let mut inflater = Inflater::default();
        for len in [1, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 20] {
            let payload = zeros(len);
            assert_eq!(inflater.inflate(&payload, len), Ok(&vec![0; len][..]));
            let refused = inflater.inflate(&payload, len - 1).map(<[u8]>::len);
            assert_eq!(refused.map_err(|error| error.code), Err(close::TOO_BIG));
        }
    }

    #[test]
    fn a_long_message_is_not_kept() {
        let mut inflater = Inflater::default();
        inflater.inflate(&zeros(1 << 20), 1 << 20).unwrap();
        inflater.inflate(&zeros(10), 1 << 20).unwrap();
        assert!(inflater.buffered() <= KEPT);
    }

    #[test]
    fn a_message_leaves_nothing_for_the_next() {
        let mut inflater = Inflater::default();
        // RFC 7692 §7.2.3.2: the second message is a reference into the first.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflater.inflate(&hello, 100), Ok(&b"Hello"[..]));
        let reference = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflater.inflate(&reference, 100), Err(NOT_DEFLATE));
        assert_eq!(inflater.inflate(&hello, 100), Ok(&b"Hello"[..]));
    }

    #[test]
    fn a_message_cut_short_is_refused() {
        let text: Vec<u8> = (0..2000u32).flat_map(u32::to_be_bytes).collect();
        let mut payload = Vec::with_capacity(10_000);
        Compress::new(Compression::default(), false)
            .compress_vec(&text, &mut payload, FlushCompress::Sync)
            .unwrap();
        let whole = payload.strip_suffix(&TAIL).unwrap();
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(whole, 10_000), Ok(&text[..]));
        for len in 1..whole.len() {
            let cut = inflater.inflate(&whole[..len], 10_000);
            assert!(cut.is_err(), "{len} of {}", whole.len());
        }
    }
}
