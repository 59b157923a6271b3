//! Frames whose payload is compressed.

use flate2::{Compress, Compression, FlushCompress};

use super::{KEPT, TAIL, wire_limit};
use crate::websocket::{
    Opcode,
    frame::{push_compressed_frame, push_frame},
};

/// The lowest level that builds codes for the message at hand; `examples/deflate_cost` shows that the one below makes
/// chat messages no shorter, and that higher ones make them slower and hardly shorter.
const LEVEL: u32 = 2;

/// Compresses messages for any number of connections, one after the other.
///
/// Empty until the first message; from then on about 400 KiB, most of them a hash table.
#[derive(Debug, Default)]
pub struct Deflater {
    state: Option<Compress>,
    /// The last payload.
    payload: Vec<u8>,
}

impl Deflater {
    /// The message compressed by itself, as the payload of a frame. `None` if that would not be shorter.
    fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        let payload = &mut self.payload;
        payload.clear();
        if payload.capacity() > KEPT {
            *payload = Vec::new();
        }
        let state = self
            .state
            .get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        state.reset();
        payload.reserve_exact(wire_limit(message.len()));
        let status = state.compress_vec(message, payload, FlushCompress::Sync);
        if status.is_err() || payload.len() == payload.capacity() {
            // Output is left inside, and a reset does not clear that away.
            self.state = None;
            return None;
        }
        let payload = payload.strip_suffix(&TAIL)?;
        (payload.len() < message.len()).then_some(payload)
    }
}

/// Appends a final, unmasked frame with this message, compressed if that makes it shorter; says whether it is.
///
/// A frame that is not compressed suits every connection. One that is suits those which agreed on permessage-deflate
/// and [allow](super::Agreement::allows) messages of this length. The frame is the same for all of them.
pub fn deflate_message(
    deflater: &mut Deflater,
    opcode: Opcode,
    message: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    debug_assert!(matches!(opcode, Opcode::Text | Opcode::Binary));
    match deflater.deflate(message) {
        Some(payload) => {
            push_compressed_frame(out, opcode, payload);
            true
        }
        None => {
            push_frame(out, opcode, message);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    use super::*;
    use crate::websocket::deflate::negotiate;

    /// Inflates as a client with a window of this size does.
    fn inflate(payload: &[u8], bits: u8, len: usize) -> Vec<u8> {
        let mut message = Vec::with_capacity(len + 1);
        let input = [payload, &TAIL].concat();
        Decompress::new_with_window_bits(false, bits)
            .decompress_vec(&input, &mut message, FlushDecompress::Sync)
            .unwrap();
        message
    }

    #[test]
    fn what_would_not_be_shorter_is_sent_as_it_is() {
        let mut deflater = Deflater::default();
        for message in [&b""[..], b"a", b"{}", b"Hello", &[0xff, 0x00, 0x17]] {
            let (mut out, mut plain) = (Vec::new(), Vec::new());
            assert!(!deflate_message(
                &mut deflater,
                Opcode::Binary,
                message,
                &mut out
            ));
            push_frame(&mut plain, Opcode::Binary, message);
            assert_eq!(out, plain);
        }
    }

    #[test]
    fn the_first_bit_after_fin_tells_of_compression() {
        let mut out = vec![1, 2, 3];
        let mut deflater = Deflater::default();
        let message = "a".repeat(1000);
        assert!(deflate_message(
            &mut deflater,
            Opcode::Text,
            message.as_bytes(),
            &mut out
        ));
        assert_eq!(out[..4], [1, 2, 3, 0xc1]);
        assert_eq!(usize::from(out[4]), out.len() - 5);
        assert_eq!(inflate(&out[5..], 15, 1000), message.as_bytes());
    }

    /// Bytes without pattern.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let bytes = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        bytes.take(len).collect()
    }

    #[test]
    fn a_long_message_is_not_kept() {
        let mut deflater = Deflater::default();
        assert_eq!(deflater.deflate(&noise(1 << 20)), None);
        deflater.deflate(b"short");
        assert!(deflater.payload.capacity() <= KEPT);
    }

    #[test]
    fn messages_that_grow_do_not_wear_the_state_out() {
        let mut deflater = Deflater::default();
        let text = b"to everybody, to everybody, to everybody".repeat(10);
        let expected = deflater.deflate(&text).map(<[u8]>::to_vec);
        assert!(expected.is_some());
        for round in 0..300 {
            assert_eq!(deflater.deflate(&noise(1000 + round)), None);
            assert!(deflater.state.is_some(), "there was not room for all");
            assert_eq!(deflater.deflate(&text), expected.as_deref());
        }
    }

    proptest! {
        #[test]
        fn every_message_comes_out_as_it_went_in_and_alike_for_all(
            messages in prop::collection::vec(
                prop_oneof![
                    "[a-c]{0,400}".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 0..4000),
                    ("[a-f]{1,300}", 1usize..300).prop_map(|(s, n)| s.repeat(n).into_bytes()),
                ],
                1..6,
            ),
            bits in 9u8..=15,
        ) {
            let mut shared = Deflater::default();
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let agreed = negotiate([&offer[..]]).unwrap().unwrap();
            for message in messages {
                let payload = shared.deflate(&message).map(<[u8]>::to_vec);
                let alone = Deflater::default().deflate(&message).map(<[u8]>::to_vec);
                prop_assert_eq!(&payload, &alone);
                let Some(payload) = payload else { continue };
                prop_assert!(payload.len() < message.len());
                prop_assert_eq!(&inflate(&payload, 15, message.len()), &message);
                if agreed.allows(message.len()) {
                    prop_assert_eq!(&inflate(&payload, bits, message.len()), &message);
                }
            }
        }
    }
}
