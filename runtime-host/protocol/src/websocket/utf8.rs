//! UTF-8 checks that fail at the first byte that no continuation can make valid.

use super::ProtocolError;

const NOT_UTF8: ProtocolError = ProtocolError::payload("text is not UTF-8");

/// Below this many bytes the standard library is as fast as vector instructions or faster; measured.
const SHORT: usize = 128;

/// A complete text.
pub(super) fn whole(bytes: &[u8]) -> Result<&str, ProtocolError> {
    if bytes.len() < SHORT {
        return str::from_utf8(bytes).map_err(|_| NOT_UTF8);
    }
    simdutf8::basic::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

/// The beginning of a text, of which more is to come: returns how many bytes of complete characters it has.
///
/// At most three bytes stay unchecked, an incomplete character; they are to be passed again together with what follows.
///
/// # Errors
/// When the bytes cannot be the beginning of any text. An incomplete character is refused as soon as it cannot be completed.
pub(super) fn prefix(bytes: &[u8]) -> Result<usize, ProtocolError> {
    match simdutf8::compat::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(NOT_UTF8),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether any text begins with these bytes, by trying all completions of up to three bytes.
    fn can_be_completed(bytes: &[u8]) -> bool {
        const ENDS: [u8; 4] = [0x80, 0x8f, 0x90, 0xbf];
        let mut candidates = vec![bytes.to_vec()];
        for _ in 0..4 {
            if candidates.iter().any(|c| str::from_utf8(c).is_ok()) {
                return true;
            }
            let longer = candidates
                .iter()
                .flat_map(|c| ENDS.map(|end| [&c[..], &[end]].concat()));
            candidates = longer.collect();
        }
        false
    }

    #[test]
    fn every_sequence_of_two_bytes_fails_exactly_when_it_is_hopeless() {
        for pair in 0..=u16::MAX {
            let bytes = pair.to_be_bytes();
            assert_eq!(
                prefix(&bytes).is_ok(),
                can_be_completed(&bytes),
                "{bytes:x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn sequences_fail_exactly_when_they_are_hopeless(
            bytes in prop::collection::vec(prop_oneof![0x7fu8..0xc3, 0xe0u8..0xf6], 0..6),
        ) {
            prop_assert_eq!(prefix(&bytes).is_ok(), can_be_completed(&bytes));
        }

        #[test]
        fn long_texts_are_judged_as_the_standard_library_does(
            text in "[a-zäß€𝄞]{0,200}",
            bytes in prop::collection::vec(any::<u8>(), 0..6),
            after in "[a-z€]{0,80}",
        ) {
            let bytes = [text.as_bytes(), &bytes, after.as_bytes()].concat();
            let expected = match str::from_utf8(&bytes) {
                Ok(text) => Some(text.len()),
                Err(error) => error.error_len().is_none().then(|| error.valid_up_to()),
            };
            prop_assert_eq!(prefix(&bytes).ok(), expected);
            prop_assert_eq!(whole(&bytes).ok(), str::from_utf8(&bytes).ok());
        }

        #[test]
        fn every_beginning_of_a_text_is_accepted(text in any::<String>()) {
            for end in 0..=text.len() {
                let checked = prefix(&text.as_bytes()[..end]).unwrap();
                prop_assert!(checked <= end && end - checked < 4);
                prop_assert!(text.is_char_boundary(checked));
            }
        }
    }
}
