//! Public names: tenants (`app_…`), rooms (`room_…`), users (`user_…`) and API keys.
//!
//! An id is a prefix and 32 lower-case hex digits, nothing else. Ids are kept as
//! bytes, so no id can carry a `/` or any other byte into a key. Randomness is
//! the caller's: [`AppId::from_random`] and its like take 16 random bytes.

use crate::key::Part;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed id")]
pub struct ParseIdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id (a UUID of version 4, RFC 9562) of 16 random bytes.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid_v4(bytes))
            }
        }

        impl Part for $name {
            fn write(&self, key: &mut Vec<u8>) {
                let mut text = [0; $prefix.len() + 32];
                text[..$prefix.len()].copy_from_slice($prefix.as_bytes());
                write_hex(&self.0, &mut text[$prefix.len()..]);
                key.extend_from_slice(&text);
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse($prefix, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $prefix.len() + 32];
                text[..$prefix.len()].copy_from_slice($prefix.as_bytes());
                write_hex(&self.0, &mut text[$prefix.len()..]);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(std::marker::PhantomData))
            }
        }
    };
}

/// Reads anything that is parsed from text, without a copy of the text.
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = ParseIdError>> serde::de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

id! {
    /// The public name of a tenant.
    AppId, "app_"
}
id! {
    /// The name of a room.
    RoomId, "room_"
}
id! {
    /// The name of a user.
    UserId, "user_"
}
id! {
    /// A management key. It is a secret: never stored, never logged, and its
    /// `Debug` form hides it.
    ApiKey, "apikey_"
}

macro_rules! visible {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
visible!(AppId RoomId UserId);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

impl ApiKey {
    /// What is stored instead of the key: the SHA-256 digest of its text, in hex.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(self.to_string()).into())
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name([u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 64];
                write_hex(&self.0, &mut text);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                read_hex(text.as_bytes()).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(std::marker::PhantomData))
            }
        }
    };
}

digest! {
    /// The SHA-256 digest of an API key.
    KeyDigest
}
digest! {
    /// The SHA-256 digest of an uploaded component.
    ComponentDigest
}

digest! {
    /// The SHA-256 digest of a token's `jti`.
    TokenDigest
}

macro_rules! digest_in_key {
    ($($name:ident)*) => {$(
        impl Part for $name {
            fn write(&self, key: &mut Vec<u8>) {
                let mut text = [0; 64];
                write_hex(&self.0, &mut text);
                key.extend_from_slice(&text);
            }
        }
    )*};
}
digest_in_key!(KeyDigest TokenDigest);

impl TokenDigest {
    /// The digest of this `jti`, which may be any text.
    #[must_use]
    pub fn of(jti: &str) -> Self {
        Self(Sha256::digest(jti.as_bytes()).into())
    }
}

impl ComponentDigest {
    /// The digest of the bytes that this hasher was fed.
    pub(crate) fn of(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

fn parse(prefix: &str, text: &str) -> Result<[u8; 16], ParseIdError> {
    let digits = text.strip_prefix(prefix).ok_or(ParseIdError)?;
    read_hex(digits.as_bytes())
}

// By hand: ids are most of what a request formats and parses, and the standard way
// of 128-bit numbers is slow in wasm, which has no such arithmetic.
fn read_hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], ParseIdError> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return Err(ParseIdError);
    };
    if pairs.len() != N {
        return Err(ParseIdError);
    }
    let mut bytes = [0; N];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Ok(bytes)
}

/// The value of a lower-case hex digit.
fn digit(text: u8) -> Result<u8, ParseIdError> {
    match text {
        b'0'..=b'9' => Ok(text - b'0'),
        b'a'..=b'f' => Ok(text - b'a' + 10),
        _ => Err(ParseIdError),
    }
}

/// Writes two digits for each byte; `text` is twice as long.
fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.as_chunks_mut::<2>().0) {
        *pair = [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ];
    }
}

/// Sets the version and variant bits of RFC 9562, section 5.4.
fn uuid_v4(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_strictly() {
        let text = "room_00112233445566778899aabbccddeeff";
        let room: RoomId = text.parse().unwrap();
        assert_eq!(room.to_string(), text);
        for wrong in [
            "",
            "room_",
            "room_00112233445566778899aabbccddeef",
            "room_00112233445566778899aabbccddeefff",
            "room_00112233445566778899AABBCCDDEEFF",
            "room_+0112233445566778899aabbccddeeff",
            "room_0011223344556677/899aabbccddeeff",
            "room_../../33445566778899aabbccddeeff",
            "user_00112233445566778899aabbccddeeff",
            " room_00112233445566778899aabbccddeeff",
            "room_00112233445566778899aabbccddeeff\n",
            "room_٠٠112233445566778899aabbccddee",
        ] {
            assert_eq!(wrong.parse::<RoomId>(), Err(ParseIdError), "{wrong:?}");
        }
    }

    #[test]
    fn random_ids_are_uuids_of_version_4() {
        let text = UserId::from_random([0xff; 16]).to_string();
        assert_eq!(text, "user_ffffffffffff4fffbfffffffffffffff");
        assert_eq!(text.parse(), Ok(UserId::from_random([0xff; 16])));
    }

    #[test]
    fn an_api_key_does_not_show_itself() {
        let key = ApiKey::from_random([7; 16]);
        assert!(!format!("{key:?}").contains("0707"));
        let digest = key.digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(!digest.to_string().contains(&key.to_string()[7..]));
    }
}
