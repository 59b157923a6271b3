//! Removing and applying the mask of RFC 6455 §5.3, which is an exclusive or with a repeated key of four bytes.

/// Bytes per step of the wide loop: two vector registers of the x86-64 baseline.
const BLOCK: usize = 32;

/// Exclusive-ors `bytes` with `key`, the first byte with `key[0]`.
///
/// Masking and unmasking are the same operation. For a payload that comes in pieces use [`advance`] on the key.
pub(super) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    if key == [0; 4] {
        // What a server sends, or a client that saves both ends the work.
        return;
    }
    let word = u32::from_ne_bytes(key);
    let wide = u64::from(word) << 32 | u64::from(word);

    let mut blocks = bytes.chunks_exact_mut(BLOCK);
    for block in &mut blocks {
        // A block of constant size lets the compiler turn the inner loop into vector instructions.
        let (words, _) = block.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
        }
    }

    let (words, rest) = blocks.into_remainder().as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
    }
    // At most seven bytes are left, and they start at a multiple of four.
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The key for what follows `count` bytes that `key` was applied to.
#[must_use]
pub(super) fn advance(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(bytes: &[u8], key: [u8; 4]) -> Vec<u8> {
        let masked = bytes.iter().enumerate().map(|(i, b)| b ^ key[i % 4]);
        masked.collect()
    }

    proptest! {
        #[test]
        fn equals_the_definition_at_every_alignment(
            buffer in prop::collection::vec(any::<u8>(), 0..300),
            start in 0usize..64,
            key in prop_oneof![any::<[u8; 4]>(), Just([0; 4])],
        ) {
            let start = start.min(buffer.len());
            let expected = plain(&buffer[start..], key);
            let mut actual = buffer;
            apply(&mut actual[start..], key);
            prop_assert_eq!(&actual[start..], &expected[..]);
        }

        #[test]
        fn pieces_equal_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(0usize..70, 0..12),
            key in any::<[u8; 4]>(),
        ) {
            let expected = plain(&bytes, key);
            let mut actual = bytes;
            let mut rest = &mut actual[..];
            let mut key = key;
            for cut in cuts {
                let (piece, after) = rest.split_at_mut(cut.min(rest.len()));
                apply(piece, key);
                key = advance(key, piece.len());
                rest = after;
            }
            apply(rest, key);
            prop_assert_eq!(actual, expected);
        }
    }
}
