//! JSON, written field by field. Zero values are left out, as the SDKs expect.

use std::io::Write as _;

use super::wire::{Field, Sink};
use crate::text::push_string;

/// Appends an object to a buffer.
pub(super) struct JsonSink<'o> {
    out: &'o mut Vec<u8>,
    /// Whether the object has no field yet.
    first: bool,
}

impl<'o> JsonSink<'o> {
    /// Appends an object with the fields that `write` writes.
    pub(super) fn object(out: &'o mut Vec<u8>, write: impl FnOnce(&mut Self)) {
        let mut sink = Self { out, first: true };
        sink.braces(write);
    }

    fn braces(&mut self, write: impl FnOnce(&mut Self)) {
        self.out.push(b'{');
        self.first = true;
        write(self);
        self.out.push(b'}');
        self.first = false;
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }

    fn name(&mut self, (_, name): Field) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn number(&mut self, value: impl std::fmt::Display) {
        // Writing to a buffer does not fail.
        let _ = write!(self.out, "{value}");
    }
}

impl Sink for JsonSink<'_> {
    fn uint(&mut self, field: Field, value: u64) {
        if value != 0 {
            self.name(field);
            self.number(value);
        }
    }

    fn int(&mut self, field: Field, value: i64) {
        if value != 0 {
            self.name(field);
            self.number(value);
        }
    }

    fn flag(&mut self, field: Field, value: bool) {
        if value {
            self.name(field);
            self.out.extend_from_slice(b"true");
        }
    }

    fn text(&mut self, field: Field, value: &str) {
        if !value.is_empty() {
            self.name(field);
            push_string(self.out, value);
        }
    }

    fn raw(&mut self, field: Field, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.name(field);
        // A newline ends a reply, and in an event stream a carriage return does too. JSON has them only where white
        // space may be, so that nothing is lost.
        for part in value.split(|byte| matches!(byte, b'\n' | b'\r')) {
            self.out.extend_from_slice(part);
        }
    }

    fn quoted(&mut self, field: Field, value: &[u8]) {
        self.name(field);
        push_string(self.out, &String::from_utf8_lossy(value));
    }

    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self)) {
        self.name(field);
        self.braces(write);
    }

    fn messages<T>(&mut self, field: Field, items: &[T], write: impl Fn(&mut Self, &T)) {
        if items.is_empty() {
            return;
        }
        self.name(field);
        self.out.push(b'[');
        self.first = true;
        for item in items {
            self.comma();
            self.braces(|sink| write(sink, item));
        }
        self.out.push(b']');
        self.first = false;
    }

    fn texts<T: AsRef<str>>(&mut self, field: Field, items: &[T]) {
        if items.is_empty() {
            return;
        }
        self.name(field);
        self.out.push(b'[');
        self.first = true;
        for item in items {
            self.comma();
            push_string(self.out, item.as_ref());
        }
        self.out.push(b']');
        self.first = false;
    }

    fn entries<T>(
        &mut self,
        field: Field,
        items: &[T],
        key: impl Fn(&T) -> &str,
        write: impl Fn(&mut Self, &T),
    ) {
        if items.is_empty() {
            return;
        }
        self.message(field, |sink| {
            for item in items {
                sink.comma();
                push_string(sink.out, key(item));
                sink.out.push(b':');
                sink.braces(|sink| write(sink, item));
            }
        });
    }

    fn pairs<T>(&mut self, field: Field, items: &[T], pair: impl Fn(&T) -> (&str, &str)) {
        if items.is_empty() {
            return;
        }
        self.message(field, |sink| {
            for item in items {
                let (key, value) = pair(item);
                sink.comma();
                push_string(sink.out, key);
                sink.out.push(b':');
                push_string(sink.out, value);
            }
        });
    }

    fn shown(&mut self, field: Field, zero: &str, is_zero: bool) {
        if is_zero {
            self.name(field);
            self.out.extend_from_slice(zero.as_bytes());
        }
    }
}
