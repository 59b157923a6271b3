//! What a client says over the HTTP transports: a frame of commands, and whose they are.
//!
//! `EmulationRequest` of `client.proto`. In JSON its `data` is a string that holds the lines of the frame.

use std::borrow::Cow;

use super::{
    Format, json,
    malformed::Malformed,
    protobuf,
    wire::{Field, Message, Value},
};
use crate::text::Text;

/// A frame of commands that comes apart from the connection that its replies go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emulation<'a> {
    /// The host that the session is on, as its connect reply named it.
    pub node: Cow<'a, str>,
    /// The session, as its connect reply named it: nobody else knows this.
    pub session: Cow<'a, str>,
    /// The frame.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Emulation<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// Where it is no such request, or says nothing.
    pub fn read(format: Format, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::default();
        let data = match format {
            Format::Protobuf => {
                protobuf::read(body, &mut fields)?;
                Cow::Borrowed(fields.data)
            }
            Format::Json => {
                let text = simdutf8::basic::from_utf8(body).map_err(|_| Malformed::Utf8)?;
                json::read(text, &mut fields)?;
                string(fields.data)?
            }
        };
        if data.is_empty() {
            return Err(Malformed::Empty);
        }
        Ok(Self {
            node: fields.node,
            session: fields.session,
            data,
        })
    }
}

#[derive(Default)]
struct Fields<'a> {
    node: Cow<'a, str>,
    session: Cow<'a, str>,
    data: &'a [u8],
}

impl<'a> Message<'a> for Fields<'a> {
    const FIELDS: &'static [Field] = &[(1, "node"), (2, "session"), (3, "data")];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.node = value.text()?,
            2 => self.session = value.text()?,
            3 => self.data = value.raw()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// What a string in JSON says.
fn string(json: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if json.is_empty() {
        return Ok(Cow::Borrowed(&[]));
    }
    let Text(text) = serde_json::from_slice(json).map_err(|error| Malformed::json(&error))?;
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let json = br#"{"session":"s","node":"n","data":"{\"id\":1}\n{}","more":[1]}"#;
        let protobuf = b"\x0a\x01n\x12\x01s\x1a\x0b{\"id\":1}\n{}\x22\x01x";
        let read = Emulation::read(Format::Json, json).unwrap();
        assert_eq!(read, Emulation::read(Format::Protobuf, protobuf).unwrap());
        assert_eq!((&*read.session, &*read.node), ("s", "n"));
        assert_eq!(&*read.data, b"{\"id\":1}\n{}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let json: [&[u8]; 8] = [
            b"",
            b"null",
            b"[]",
            b"{}",
            br#"{"session":"s","data":""}"#,
            br#"{"session":"s","data":{"id":1}}"#,
            br#"{"session":7,"data":"x"}"#,
            b"{\"data\":\"\xFF\"}",
        ];
        for body in json {
            assert!(Emulation::read(Format::Json, body).is_err(), "{body:?}");
        }
        for body in [&b"\x1a\x05x"[..], b"\x80", b"\x12\x01s", b"\x1a"] {
            assert!(Emulation::read(Format::Protobuf, body).is_err(), "{body:?}");
        }
    }
}
