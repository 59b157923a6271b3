//! The handshake's side: `Sec-WebSocket-Extensions` (RFC 6455 §9.1, RFC 7692 §7.1).

use std::{borrow::Cow, fmt};

use crate::websocket::handshake::HandshakeError;

const NAME: &str = "permessage-deflate";

/// A connection's agreement on permessage-deflate. Displayed as the value of the response's `Sec-WebSocket-Extensions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Between 8 and 15, if the client asked for it: the binary logarithm of the window that it keeps.
    server_max_window_bits: Option<u8>,
}

impl Agreement {
    /// Whether a compressed frame may be sent whose message had `len` bytes before compression.
    ///
    /// [`deflate_message`](super::deflate_message) uses DEFLATE's whole window of 32 KiB. A client that asked for a smaller
    /// one understands all messages that are no longer than its own, since no reference reaches back beyond a message's
    /// beginning. Longer ones go to it uncompressed, which is always allowed; so no message is ever compressed twice.
    #[must_use]
    pub const fn allows(self, len: usize) -> bool {
        match self.server_max_window_bits {
            None | Some(15..) => true,
            Some(bits) => len <= 1 << bits,
        }
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A server may ask for both whether they were offered or not (RFC 7692 §7.1.1).
        write!(
            f,
            "{NAME}; server_no_context_takeover; client_no_context_takeover"
        )?;
        match self.server_max_window_bits {
            Some(bits) => write!(f, "; server_max_window_bits={bits}"),
            None => Ok(()),
        }
    }
}

/// Accepts the first offer of permessage-deflate that is valid; `None` if there is none.
///
/// `offers` are the values of the request's `Sec-WebSocket-Extensions` fields, in the client's order of preference. Other
/// extensions are passed over. So are offers with an unknown, a doubled or an ill-valued parameter, as RFC 7692 §7 wants
/// them declined; a client adds a plainer offer for servers that decline its first.
///
/// # Errors
/// [`HandshakeError::Extensions`] for a field that breaks the grammar, after which the handshake must fail.
pub fn negotiate<'h>(
    offers: impl IntoIterator<Item = &'h str>,
) -> Result<Option<Agreement>, HandshakeError> {
    let mut accepted = None;
    for field in offers {
        let mut field = Field(field);
        while field.has_more() {
            let agreement = field.offer()?;
            accepted = accepted.or(agreement);
        }
    }
    Ok(accepted)
}

/// The parameters of one offer of permessage-deflate.
#[derive(Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Offer {
    /// Takes note of a parameter; `None` if it must not be there.
    fn take(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        let doubled = match (name, value) {
            ("server_no_context_takeover", None) => {
                std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            ("client_no_context_takeover", None) => {
                std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            ("server_max_window_bits", Some(value)) => {
                let bits = window_bits(value)?;
                self.server_max_window_bits.replace(bits).is_some()
            }
            // The window of the client's messages is as large as it likes: the inflater has room for any.
            ("client_max_window_bits", value) => {
                value.map_or(Some(0), window_bits)?;
                std::mem::replace(&mut self.client_max_window_bits, true)
            }
            _ => return None,
        };
        (!doubled).then_some(())
    }
}

/// A number from 8 to 15 without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// What is still to be read of a header field.
struct Field<'h>(&'h str);

impl<'h> Field<'h> {
    /// Whether another extension follows. Lists may have empty elements (RFC 9110 §5.6.1.2).
    fn has_more(&mut self) -> bool {
        while self.eat(',') {}
        !self.0.is_empty()
    }

    /// Reads an extension, and what is agreed if it can be accepted.
    fn offer(&mut self) -> Result<Option<Agreement>, HandshakeError> {
        let ours = self.token()? == NAME;
        let mut offer = Some(Offer::default());
        while self.eat(';') {
            let name = self.token()?;
            let value = match self.eat('=') {
                true => Some(self.value()?),
                false => None,
            };
            offer = offer.and_then(|mut offer| offer.take(name, value.as_deref()).map(|()| offer));
        }
        if !self.0.is_empty() && !self.eat(',') {
            return Err(HandshakeError::Extensions);
        }
        Ok(offer.filter(|_| ours).map(|offer| Agreement {
            server_max_window_bits: offer.server_max_window_bits,
        }))
    }

    /// Takes a separator and the white space around it, if it is there.
    fn eat(&mut self, separator: char) -> bool {
        let rest = trim(self.0);
        let found = rest.strip_prefix(separator);
        self.0 = found.map_or(rest, trim);
        found.is_some()
    }

    fn token(&mut self) -> Result<&'h str, HandshakeError> {
        let rest = trim(self.0);
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (token, rest) = rest.split_at(end);
        self.0 = rest;
        match token {
            "" => Err(HandshakeError::Extensions),
            _ => Ok(token),
        }
    }

    /// A token, or one in quotation marks.
    fn value(&mut self) -> Result<Cow<'h, str>, HandshakeError> {
        let Some(quoted) = trim(self.0).strip_prefix('"') else {
            return self.token().map(Cow::Borrowed);
        };
        let mut value = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next() {
                Some('"') if !value.is_empty() => break,
                Some('\\') => match chars.next() {
                    Some(c) if is_token(c) => value.push(c),
                    _ => return Err(HandshakeError::Extensions),
                },
                Some(c) if is_token(c) => value.push(c),
                _ => return Err(HandshakeError::Extensions),
            }
        }
        self.0 = chars.as_str();
        Ok(Cow::Owned(value))
    }
}

/// Without white space at the front.
fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Whether a token may have this character (RFC 9110 §5.6.2).
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offers: &str) -> Option<String> {
        negotiate([offers])
            .unwrap()
            .map(|agreed| agreed.to_string())
    }

    #[test]
    fn valid_offers_are_accepted_without_context_takeover() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=\"15\"",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            " permessage-deflate\t;client_no_context_takeover ",
            ", permessage-deflate ,,",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(PLAIN), "{offer}");
        }
    }

    #[test]
    fn an_asked_window_is_answered_with_the_same() {
        for bits in 8..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let expected = format!("{PLAIN}; server_max_window_bits={bits}");
            assert_eq!(answer(&offer), Some(expected));
        }
        let quoted =
            "permessage-deflate; client_max_window_bits; server_max_window_bits = \"1\\0\"";
        let expected = format!("{PLAIN}; server_max_window_bits=10");
        assert_eq!(answer(quoted), Some(expected));
    }

    #[test]
    fn offers_with_invalid_parameters_are_declined() {
        for parameter in [
            "unknown",
            "unknown=1",
            "Server_No_Context_Takeover",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "server_max_window_bits=100",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=015",
            "client_max_window_bits=\"0x9\"",
            "client_max_window_bits; client_max_window_bits=9",
        ] {
            let offer = format!("permessage-deflate; {parameter}");
            assert_eq!(answer(&offer), None, "{offer}");
            // The client's plainer offer is taken then.
            let both = format!("{offer}, permessage-deflate");
            assert_eq!(answer(&both).as_deref(), Some(PLAIN), "{both}");
        }
    }

    #[test]
    fn other_extensions_are_passed_over() {
        assert_eq!(answer(""), None);
        assert_eq!(answer("x-webkit-deflate-frame"), None);
        assert_eq!(answer("permessage-deflate2, PerMessage-Deflate"), None);
        assert_eq!(negotiate([]), Ok(None));
        let fields = [
            "permessage-bzip2; x=\"y\", bbf-usp-protocol",
            "permessage-deflate; server_max_window_bits=12, permessage-deflate",
        ];
        let agreed = negotiate(fields).unwrap().unwrap();
        assert_eq!(agreed.server_max_window_bits, Some(12));
    }

    #[test]
    fn fields_that_break_the_grammar_fail_the_handshake() {
        for field in [
            ";",
            "=",
            "permessage-deflate;",
            "permessage-deflate; ;",
            "permessage-deflate; =",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate; client_max_window_bits=\"1 0\"",
            "permessage-deflate; client_max_window_bits=\"10\\",
            "permessage-deflate client_max_window_bits",
            "permessage-deflate, a b",
            "permessage\u{2d}deflate\u{e4}",
            "permessage-deflate; x=1=2",
        ] {
            assert_eq!(
                negotiate([field]),
                Err(HandshakeError::Extensions),
                "{field}"
            );
        }
        assert_eq!(HandshakeError::Extensions.status(), 400);
    }

    #[test]
    fn a_small_window_is_spared_what_it_cannot_hold() {
        let agreed = |offer| negotiate([offer]).unwrap().unwrap();
        assert!(agreed("permessage-deflate").allows(usize::MAX));
        assert!(agreed("permessage-deflate; server_max_window_bits=15").allows(usize::MAX));
        let small = agreed("permessage-deflate; server_max_window_bits=8");
        assert!(small.allows(256));
        assert!(!small.allows(257));
    }
}
