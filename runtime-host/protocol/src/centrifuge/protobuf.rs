//! Protobuf (proto3) as far as the protocol needs it: varints, strings, bytes, messages, maps; no packed fields, no groups.
//!
//! Absent on purpose: a schema compiler and its trees. Values are borrowed from the frame, and what is malformed is
//! refused where it is met.

use std::borrow::Cow;

use super::{
    malformed::Malformed,
    wire::{Entry, Field, MAX_MESSAGES_DEEP, Message, Sink, Value},
};

/// The most bytes that a varint has.
const VARINT: usize = 10;

/// Takes a varint off the front.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(VARINT) {
        // The tenth byte holds the last bit.
        if at == VARINT - 1 && *byte > 1 {
            return Err(Malformed::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Ok(value);
        }
    }
    Err(Malformed::Varint)
}

/// Takes as many bytes off the front as the varint before them says.
pub(super) fn delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let size = usize::try_from(varint(bytes)?).map_err(|_| Malformed::Length)?;
    let (taken, rest) = bytes.split_at_checked(size).ok_or(Malformed::Length)?;
    *bytes = rest;
    Ok(taken)
}

/// The length of the delimited message at the start of `bytes`, its own length included; `None` where that is cut.
pub(crate) fn delimited_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let size = usize::try_from(varint(&mut rest).ok()?).ok()?;
    (bytes.len() - rest.len()).checked_add(size)
}

/// Reads a message, the command of a frame.
pub(super) fn read<'a, M: Message<'a>>(bytes: &'a [u8], into: &mut M) -> Result<(), Malformed> {
    merge(bytes, into, MAX_MESSAGES_DEEP)
}

fn merge<'a, M: Message<'a>>(
    mut bytes: &'a [u8],
    into: &mut M,
    deeper: u8,
) -> Result<(), Malformed> {
    let deeper = deeper.checked_sub(1).ok_or(Malformed::Nesting)?;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if !(1..1 << 29).contains(&number) {
            return Err(Malformed::Tag);
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(varint(&mut bytes)?),
            1 => fixed(&mut bytes, 8)?,
            2 => Wire::Bytes(delimited(&mut bytes)?),
            5 => fixed(&mut bytes, 4)?,
            _ => return Err(Malformed::Tag),
        };
        into.set(number, ProtobufValue { wire, deeper })?;
    }
    Ok(())
}

fn fixed<'a>(bytes: &mut &'a [u8], size: usize) -> Result<Wire<'a>, Malformed> {
    *bytes = bytes.get(size..).ok_or(Malformed::Length)?;
    Ok(Wire::Fixed)
}

/// A value as it is on the wire.
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a type that no field has; only to be skipped.
    Fixed,
}

struct ProtobufValue<'a> {
    wire: Wire<'a>,
    /// How many more levels of messages there may be.
    deeper: u8,
}

impl<'a> ProtobufValue<'a> {
    fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self.wire {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Tag),
        }
    }
}

// Integers that are too long for their type are cut, as the format's specification wants it.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
impl<'a> Value<'a> for ProtobufValue<'a> {
    type Error = Malformed;

    fn fault(text: &'static str) -> Malformed {
        Malformed::Command(Cow::Borrowed(text))
    }

    fn uint64(self) -> Result<u64, Malformed> {
        match self.wire {
            Wire::Varint(value) => Ok(value),
            _ => Err(Malformed::Tag),
        }
    }

    fn uint32(self) -> Result<u32, Malformed> {
        self.uint64().map(|value| value as u32)
    }

    fn int32(self) -> Result<i32, Malformed> {
        self.uint64().map(|value| value as i32)
    }

    fn int64(self) -> Result<i64, Malformed> {
        self.uint64().map(|value| value as i64)
    }

    fn flag(self) -> Result<bool, Malformed> {
        self.uint64().map(|value| value != 0)
    }

    fn text(self) -> Result<Cow<'a, str>, Malformed> {
        let text = simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| Malformed::Utf8)?;
        Ok(Cow::Borrowed(text))
    }

    fn raw(self) -> Result<&'a [u8], Malformed> {
        self.bytes()
    }

    fn message<M: Message<'a>>(self, into: &mut M) -> Result<bool, Malformed> {
        let deeper = self.deeper;
        merge(self.bytes()?, into, deeper)?;
        Ok(true)
    }

    fn texts(self, into: &mut Vec<Cow<'a, str>>, limit: usize) -> Result<(), Malformed> {
        room(into, limit)?;
        into.push(self.text()?);
        Ok(())
    }

    fn messages<M: Message<'a> + Default>(
        self,
        into: &mut Vec<M>,
        limit: usize,
    ) -> Result<(), Malformed> {
        room(into, limit)?;
        let mut message = M::default();
        self.message(&mut message)?;
        into.push(message);
        Ok(())
    }

    fn entries<M: Entry<'a>>(self, into: &mut Vec<M>, limit: usize) -> Result<(), Malformed> {
        self.messages(into, limit)
    }

    fn skip(self) -> Result<(), Malformed> {
        Ok(())
    }
}

fn room<T>(into: &[T], limit: usize) -> Result<(), Malformed> {
    if into.len() < limit {
        Ok(())
    } else {
        Err(Malformed::Limit)
    }
}

/// Appends a message to a buffer.
pub(super) struct ProtobufSink<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> ProtobufSink<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends a message after its length.
    pub(super) fn delimited(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.out.len() + 1;
        self.out.push(0);
        write(self);
        let size = self.out.len() - start;
        if let Ok(size @ 0..0x80) = u8::try_from(size) {
            self.out[start - 1] = size;
            return;
        }
        // Most messages are short. A long one is moved for the longer length.
        let mut length = [0; VARINT];
        let length = encode(&mut length, size as u64);
        self.out.resize(self.out.len() + length.len() - 1, 0);
        self.out
            .copy_within(start..start + size, start + length.len() - 1);
        self.out[start - 1..start - 1 + length.len()].copy_from_slice(length);
    }

    fn varint(&mut self, value: u64) {
        let mut buffer = [0; VARINT];
        self.out.extend_from_slice(encode(&mut buffer, value));
    }

    fn tag(&mut self, (number, _): Field, wire: u64) {
        self.varint(u64::from(number) << 3 | wire);
    }

    fn bytes(&mut self, field: Field, value: &[u8]) {
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }
}

fn encode(buffer: &mut [u8; VARINT], mut value: u64) -> &[u8] {
    let mut size = 0;
    while value >= 0x80 {
        buffer[size] = value as u8 | 0x80;
        value >>= 7;
        size += 1;
    }
    buffer[size] = value as u8;
    &buffer[..=size]
}

impl Sink for ProtobufSink<'_> {
    fn uint(&mut self, field: Field, value: u64) {
        if value != 0 {
            self.tag(field, 0);
            self.varint(value);
        }
    }

    fn int(&mut self, field: Field, value: i64) {
        self.uint(field, value.cast_unsigned());
    }

    fn flag(&mut self, field: Field, value: bool) {
        self.uint(field, u64::from(value));
    }

    fn text(&mut self, field: Field, value: &str) {
        self.raw(field, value.as_bytes());
    }

    fn raw(&mut self, field: Field, value: &[u8]) {
        if !value.is_empty() {
            self.bytes(field, value);
        }
    }

    fn quoted(&mut self, field: Field, value: &[u8]) {
        self.bytes(field, value);
    }

    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self)) {
        self.tag(field, 2);
        self.delimited(write);
    }

    fn messages<T>(&mut self, field: Field, items: &[T], write: impl Fn(&mut Self, &T)) {
        for item in items {
            self.message(field, |sink| write(sink, item));
        }
    }

    fn texts<T: AsRef<str>>(&mut self, field: Field, items: &[T]) {
        for item in items {
            self.bytes(field, item.as_ref().as_bytes());
        }
    }

    fn entries<T>(
        &mut self,
        field: Field,
        items: &[T],
        key: impl Fn(&T) -> &str,
        write: impl Fn(&mut Self, &T),
    ) {
        self.messages(field, items, |sink, item| {
            sink.text((1, "key"), key(item));
            sink.message((2, "value"), |sink| write(sink, item));
        });
    }

    fn pairs<T>(&mut self, field: Field, items: &[T], pair: impl Fn(&T) -> (&str, &str)) {
        self.messages(field, items, |sink, item| {
            let (key, value) = pair(item);
            sink.text((1, "key"), key);
            sink.text((2, "value"), value);
        });
    }

    fn shown(&mut self, _: Field, _: &str, _: bool) {}
}
