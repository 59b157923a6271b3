//! Public names: tenants (`app_…`), rooms (`room_…`), users (`user_…`) and API keys.
//!
//! An id is a prefix and 32 lower-case hex digits, nothing else. Ids are kept as
//! numbers, so no id can carry a `/` or any other byte into a key. Randomness is
//! the caller's: [`AppId::from_random`] and its like take 16 random bytes.

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
        pub struct $name(u128);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id (a UUID of version 4, RFC 9562) of 16 random bytes.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid_v4(bytes))
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
                write!(f, concat!($prefix, "{:032x}"), self.0)
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

/// The SHA-256 digest of an API key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest([u8; 32]);

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyDigest {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (high, low) = text.split_at_checked(32).ok_or(ParseIdError)?;
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&hex(high)?.to_be_bytes());
        bytes[16..].copy_from_slice(&hex(low)?.to_be_bytes());
        Ok(Self(bytes))
    }
}

impl serde::Serialize for KeyDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for KeyDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(std::marker::PhantomData))
    }
}

fn parse(prefix: &str, text: &str) -> Result<u128, ParseIdError> {
    hex(text.strip_prefix(prefix).ok_or(ParseIdError)?)
}

/// Exactly 32 lower-case hex digits; `from_str_radix` alone would take more.
fn hex(digits: &str) -> Result<u128, ParseIdError> {
    let strict = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 32 || !digits.bytes().all(strict) {
        return Err(ParseIdError);
    }
    u128::from_str_radix(digits, 16).map_err(|_| ParseIdError)
}

/// Sets the version and variant bits of RFC 9562, section 5.4.
fn uuid_v4(mut bytes: [u8; 16]) -> u128 {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    u128::from_be_bytes(bytes)
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
