//! The server's side of the opening handshake (RFC 6455 §4.2).
//!
//! Header values come through a closure, so that this crate needs no HTTP library. The Origin policy is the listener's;
//! `Sec-WebSocket-Extensions` is answered by [`super::deflate::negotiate`].

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, PAD, STANDARD},
};
use sha1::{Digest as _, Sha1};

/// The constant that RFC 6455 §1.3 appends to every key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Reads keys. The last character of 24 has four bits that belong to no byte; clients that fill them at random exist.
const KEY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// A handshake that may be answered with 101 Switching Protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`.
    pub key: String,
}

/// Why a request is not a WebSocket handshake. [`HandshakeError::status`] and [`HandshakeError::headers`] make the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The method is not GET.
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// The request is not HTTP/1.1.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    HttpVersion,
    /// `Upgrade` does not name websocket: an ordinary request to an endpoint that only speaks WebSocket.
    #[error("this is a WebSocket endpoint")]
    NoUpgrade,
    /// `Connection` lacks the token upgrade, as happens behind a proxy that was not told to pass WebSockets.
    #[error("the Connection header lacks the token upgrade")]
    Connection,
    /// `Sec-WebSocket-Version` is absent or given twice.
    #[error("Sec-WebSocket-Version must be given once")]
    VersionMissing,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("only version 13 of the WebSocket protocol is spoken")]
    Version,
    /// `Sec-WebSocket-Key` is absent, given twice, or not the base64 of 16 bytes.
    #[error("Sec-WebSocket-Key must be the base64 of 16 bytes")]
    Key,
    /// `Sec-WebSocket-Extensions` breaks its grammar (RFC 6455 §9.1). Extensions that are merely unknown are ignored.
    #[error("Sec-WebSocket-Extensions is malformed")]
    Extensions,
}

impl HandshakeError {
    /// The HTTP status of the refusal.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::NoUpgrade | Self::Version => 426,
            Self::HttpVersion
            | Self::Connection
            | Self::VersionMissing
            | Self::Key
            | Self::Extensions => 400,
        }
    }

    /// The header fields that the refusal must carry (RFC 6455 §4.4, RFC 9110 §15.5.6 and §15.5.22).
    #[must_use]
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            Self::NoUpgrade | Self::Version => &[
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("sec-websocket-version", "13"),
            ],
            Self::HttpVersion
            | Self::Connection
            | Self::VersionMissing
            | Self::Key
            | Self::Extensions => &[],
        }
    }
}

/// The answer to a client's `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(client_key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(client_key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// Judges a request. `version` is HTTP's, major and minor.
///
/// `headers` returns the values of a field by its lower-case name: either the single value, as an `Option`, or all of
/// them, as an iterator. With the latter, lists that are spread over several fields are understood and doubled fields found.
///
/// # Errors
/// The first rule of RFC 6455 §4.2.1 that is broken.
pub fn check<'h, V>(
    headers: impl Fn(&str) -> V,
    method: &str,
    version: (u8, u8),
) -> Result<Accept, HandshakeError>
where
    V: IntoIterator<Item = &'h str>,
{
    if method != "GET" {
        return Err(HandshakeError::Method);
    }
    // HTTP/2 and later have no Upgrade; their way (RFC 8441) is not offered.
    if version.0 != 1 || version.1 < 1 {
        return Err(HandshakeError::HttpVersion);
    }
    if !has_token(headers("upgrade"), "websocket") {
        return Err(HandshakeError::NoUpgrade);
    }
    if !has_token(headers("connection"), "upgrade") {
        return Err(HandshakeError::Connection);
    }
    match single(headers("sec-websocket-version")) {
        Some("13") => {}
        Some(_) => return Err(HandshakeError::Version),
        None => return Err(HandshakeError::VersionMissing),
    }
    match single(headers("sec-websocket-key")) {
        Some(key) if is_key(key) => Ok(Accept {
            key: accept_key(key),
        }),
        _ => Err(HandshakeError::Key),
    }
}

/// The first of the client's subprotocols that the server knows, to be answered in `Sec-WebSocket-Protocol`.
///
/// `offers` are the values of the request's `Sec-WebSocket-Protocol` fields, in the client's order of preference.
pub fn select_protocol<'h, 's>(
    offers: impl IntoIterator<Item = &'h str>,
    supported: &[&'s str],
) -> Option<&'s str> {
    let offers = offers.into_iter().flat_map(|list| list.split(','));
    offers
        .map(str::trim)
        .find_map(|offer| supported.iter().copied().find(|known| *known == offer))
}

/// Whether a comma-separated list has a token, whose case does not matter.
fn has_token<'h>(lists: impl IntoIterator<Item = &'h str>, token: &str) -> bool {
    let tokens = lists.into_iter().flat_map(|list| list.split(','));
    tokens
        .map(str::trim)
        .any(|found| found.eq_ignore_ascii_case(token))
}

/// The value of a field that must be given exactly once.
fn single<'h>(values: impl IntoIterator<Item = &'h str>) -> Option<&'h str> {
    let mut values = values.into_iter();
    let value = values.next()?;
    match values.next() {
        None => Some(value.trim()),
        Some(_) => None,
    }
}

fn is_key(key: &str) -> bool {
    // 16 bytes are 24 characters of base64; a longer text is not worth decoding.
    let mut bytes = [0; 18];
    key.len() == 24 && KEY.decode_slice(key, &mut bytes) == Ok(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn check_fields(fields: &[(&str, &str)]) -> Result<Accept, HandshakeError> {
        let all = |name: &str| {
            let named = fields.iter().filter(|(n, _)| *n == name);
            named.map(|(_, value)| *value).collect::<Vec<_>>()
        };
        check(all, "GET", (1, 1))
    }

    fn with(name: &'static str, value: &'static str) -> Result<Accept, HandshakeError> {
        let changed = GOOD.map(|field| {
            if field.0 == name {
                (name, value)
            } else {
                field
            }
        });
        check_fields(&changed)
    }

    fn without(name: &str) -> Result<Accept, HandshakeError> {
        let fields: Vec<_> = GOOD.into_iter().filter(|(n, _)| *n != name).collect();
        check_fields(&fields)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let accept = check_fields(&GOOD).unwrap();
        assert_eq!(accept.key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn single_values_will_do_as_headers() {
        let one = |name: &str| GOOD.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        assert!(check(one, "GET", (1, 1)).is_ok());
    }

    #[test]
    fn tokens_are_found_in_lists_whatever_their_case() {
        assert!(with("connection", "keep-alive, UPGRADE").is_ok());
        assert!(with("upgrade", "h2c , WebSocket").is_ok());
        let split = [&GOOD[..], &[("connection", "keep-alive")]].concat();
        assert!(check_fields(&split).is_ok());
        assert_eq!(
            with("connection", "upgraded"),
            Err(HandshakeError::Connection)
        );
    }

    #[test]
    fn each_broken_rule_has_its_answer() {
        assert_eq!(without("upgrade"), Err(HandshakeError::NoUpgrade));
        assert_eq!(with("upgrade", "h2c"), Err(HandshakeError::NoUpgrade));
        assert_eq!(without("connection"), Err(HandshakeError::Connection));
        assert_eq!(
            without("sec-websocket-version"),
            Err(HandshakeError::VersionMissing)
        );
        assert_eq!(
            with("sec-websocket-version", "8"),
            Err(HandshakeError::Version)
        );
        assert_eq!(without("sec-websocket-key"), Err(HandshakeError::Key));

        let doubled = [&GOOD[..], &GOOD[3..]].concat();
        assert_eq!(check_fields(&doubled), Err(HandshakeError::Key));

        let none = |_: &str| None;
        assert_eq!(check(none, "POST", (1, 1)), Err(HandshakeError::Method));
        assert_eq!(check(none, "GET", (1, 0)), Err(HandshakeError::HttpVersion));
        assert_eq!(check(none, "GET", (2, 0)), Err(HandshakeError::HttpVersion));
    }

    #[test]
    fn a_key_is_16_bytes() {
        for key in [
            "",
            "AAAA",
            "dGhlIHNhbXBsZSBub25jZTEyMw==",
            "dGhlIHNhbXBsZSBub25j!Q==",
        ] {
            assert_eq!(
                with("sec-websocket-key", key),
                Err(HandshakeError::Key),
                "{key}"
            );
        }
        let seventeen = STANDARD.encode([7; 17]);
        assert!(!is_key(&seventeen));
        assert!(is_key(&STANDARD.encode([7; 16])));
        assert!(is_key("dGhlIHNhbXBsZSBub25jZf=="));
    }

    #[test]
    fn a_refused_version_names_the_one_spoken() {
        let error = HandshakeError::Version;
        assert_eq!(error.status(), 426);
        assert!(error.headers().contains(&("sec-websocket-version", "13")));
        assert_eq!(HandshakeError::Method.status(), 405);
        assert_eq!(HandshakeError::Key.status(), 400);
    }

    #[test]
    fn the_clients_preference_decides_the_subprotocol() {
        let known = ["json", "centrifuge-protobuf"];
        assert_eq!(
            select_protocol(["x, centrifuge-protobuf, json"], &known),
            Some(known[1])
        );
        assert_eq!(select_protocol(["x", "json"], &known), Some("json"));
        assert_eq!(select_protocol(["JSON"], &known), None);
        assert_eq!(select_protocol(None, &known), None);
    }
}
