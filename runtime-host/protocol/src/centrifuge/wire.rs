//! What JSON and Protobuf have in common: messages made of numbered and named fields.
//!
//! Every message of the protocol is described once, by [`Message`] where it is read and by a function over a [`Sink`]
//! where it is written. That the two formats mean the same is then a property of this module's implementations, not of
//! each message. Numbers and names are those of `client.proto` of centrifugal/protocol.

use std::borrow::Cow;

/// A field's number in Protobuf and its name in JSON.
pub(super) type Field = (u32, &'static str);

/// How deep the messages of a command nest at most, the command itself included.
///
/// Only filters nest at will. The bound keeps recursion off the stack's end; filters of people are three deep.
pub(super) const MAX_MESSAGES_DEEP: u8 = 16;

/// A message that can be read, field by field, in either format.
pub(super) trait Message<'a> {
    /// The fields that [`Message::set`] knows; all others are ignored.
    const FIELDS: &'static [Field];

    /// Takes the value of the field with this number; a later one replaces what an earlier one set.
    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error>;
}

/// The value of one field, to be read as what the field should be. Zero values stand for absent ones.
pub(super) trait Value<'a>: Sized {
    /// Why it can't be read.
    type Error;

    /// An error of the caller.
    fn fault(text: &'static str) -> Self::Error;
    /// `uint64`.
    fn uint64(self) -> Result<u64, Self::Error>;
    /// `uint32`.
    fn uint32(self) -> Result<u32, Self::Error>;
    /// `int32`.
    fn int32(self) -> Result<i32, Self::Error>;
    /// `int64`.
    fn int64(self) -> Result<i64, Self::Error>;
    /// `bool`.
    fn flag(self) -> Result<bool, Self::Error>;
    /// `string`.
    fn text(self) -> Result<Cow<'a, str>, Self::Error>;
    /// `bytes`, which in JSON are any JSON value as it is; empty only if absent.
    fn raw(self) -> Result<&'a [u8], Self::Error>;
    /// A message, added to `into`. Whether it was there: JSON has `null`.
    fn message<M: Message<'a>>(self, into: &mut M) -> Result<bool, Self::Error>;
    /// `repeated string`, added to `into`, which may not grow beyond `limit`.
    fn texts(self, into: &mut Vec<Cow<'a, str>>, limit: usize) -> Result<(), Self::Error>;
    /// A repeated message, added to `into`, which may not grow beyond `limit`.
    fn messages<M: Message<'a> + Default>(
        self,
        into: &mut Vec<M>,
        limit: usize,
    ) -> Result<(), Self::Error>;
    /// A map, added to `into`, which may not grow beyond `limit`.
    fn entries<M: Entry<'a>>(self, into: &mut Vec<M>, limit: usize) -> Result<(), Self::Error>;
    /// Nothing.
    fn skip(self) -> Result<(), Self::Error>;
}

/// An entry of a map: field 1 is its key, field 2 its value.
pub(super) trait Entry<'a>: Message<'a> + Default {
    /// An entry without a value.
    fn keyed(key: Cow<'a, str>) -> Self;
}

/// An entry of a map of strings.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> Message<'a> for Pair<'a> {
    const FIELDS: &'static [Field] = &[];

    fn set<V: Value<'a>>(&mut self, number: u32, value: V) -> Result<(), V::Error> {
        match number {
            1 => self.0 = value.text()?,
            2 => self.1 = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl<'a> Entry<'a> for Pair<'a> {
    fn keyed(key: Cow<'a, str>) -> Self {
        (key, Cow::Borrowed(""))
    }
}

/// Where a message is written, field by field. Zero values are left out unless a function says otherwise.
pub(super) trait Sink: Sized {
    /// Any unsigned integer.
    fn uint(&mut self, field: Field, value: u64);
    /// Any signed integer that is no `sint`.
    fn int(&mut self, field: Field, value: i64);
    /// `bool`.
    fn flag(&mut self, field: Field, value: bool);
    /// `string`.
    fn text(&mut self, field: Field, value: &str);
    /// `bytes`; in JSON, the JSON value that they are.
    fn raw(&mut self, field: Field, value: &[u8]);
    /// `bytes`; in JSON, a string. Always written, even if empty.
    fn quoted(&mut self, field: Field, value: &[u8]);
    /// A message, always written.
    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self));
    /// A repeated message.
    fn messages<T>(&mut self, field: Field, items: &[T], write: impl Fn(&mut Self, &T));
    /// `repeated string`.
    fn texts<T: AsRef<str>>(&mut self, field: Field, items: &[T]);
    /// `map<string, message>`.
    fn entries<T>(
        &mut self,
        field: Field,
        items: &[T],
        key: impl Fn(&T) -> &str,
        write: impl Fn(&mut Self, &T),
    );
    /// `map<string, string>`.
    fn pairs<T>(&mut self, field: Field, items: &[T], pair: impl Fn(&T) -> (&str, &str));
    /// Makes JSON show a field even where Protobuf leaves out its zero.
    fn shown(&mut self, field: Field, zero: &str, is_zero: bool);
}
