//! How a counter is stored as bytes.
//!
//! Spin's SQLite keeps a counter as eight little-endian bytes, Redis as decimal
//! text. Both are understood everywhere: a value that is all digits (after an
//! optional minus) is text.

use bytes::Bytes;

/// The number that a stored value stands for; `None` if it is no counter.
pub(super) fn decode(value: &[u8]) -> Option<i64> {
    if is_text(value) {
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    Some(i64::from_le_bytes(value.try_into().ok()?))
}

/// The bytes to store for `number`: little-endian, except for the few numbers whose
/// eight bytes happen to be digits and would be read back as text. Those, all above
/// 3 × 10¹⁸, become text.
pub(super) fn encode(number: i64) -> Bytes {
    let bytes = number.to_le_bytes();
    if is_text(&bytes) {
        Bytes::from(number.to_string())
    } else {
        Bytes::copy_from_slice(&bytes)
    }
}

fn is_text(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::*;

    #[test]
    fn little_endian_and_text_are_counters() {
        assert_eq!(decode(&7_i64.to_le_bytes()), Some(7));
        assert_eq!(decode(&(-7_i64).to_le_bytes()), Some(-7));
        assert_eq!(decode(b"7"), Some(7));
        assert_eq!(decode(b"-7"), Some(-7));
        assert_eq!(decode(b"12345678"), Some(12_345_678));
        assert_eq!(decode(b"9223372036854775807"), Some(i64::MAX));
    }

    #[test]
    fn other_values_are_no_counters() {
        for value in [
            &b""[..],
            b"-",
            b"seven",
            b"1.5",
            b"9223372036854775808",
            &[0; 7],
            &[0; 9],
        ] {
            assert_eq!(decode(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_number_whose_bytes_look_like_digits_keeps_its_worth() {
        for bytes in [*b"00000000", *b"99999999", *b"-1234567"] {
            let number = i64::from_le_bytes(bytes);
            assert_ne!(encode(number), bytes[..]);
            assert_eq!(decode(&encode(number)), Some(number));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(number: i64) {
            prop_assert_eq!(decode(&encode(number)), Some(number));
        }
    }
}
