//! JSON, read by `serde_json` without a tree and written without one.

use std::{borrow::Cow, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{
    malformed::Malformed,
    wire::{Entry, MAX_MESSAGES_DEEP, Message, Value},
};
use crate::text::Text;

/// Reads a message, the command of a line.
pub(super) fn read<'a, M: Message<'a>>(text: &'a str, into: &mut M) -> Result<(), Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Object {
        into,
        deeper: MAX_MESSAGES_DEEP,
    };
    let there = seed
        .deserialize(&mut deserializer)
        .and_then(|there| deserializer.end().map(|()| there))
        .map_err(|error| Malformed::json(&error))?;
    if there {
        Ok(())
    } else {
        Err(Malformed::Command("a command is an object".into()))
    }
}

/// Reads an object into a message; `false` for `null`.
struct Object<'m, M> {
    into: &'m mut M,
    /// How many more levels of messages there may be.
    deeper: u8,
}

impl<'de, M: Message<'de>> DeserializeSeed<'de> for Object<'_, M> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, M: Message<'de>> Visitor<'de> for Object<'_, M> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let deeper = self.deeper.checked_sub(1);
        let deeper = deeper.ok_or_else(|| A::Error::custom("nested too deep"))?;
        while let Some(Text(name)) = map.next_key()? {
            match M::FIELDS.iter().find(|(_, known)| *known == name) {
                Some((number, _)) => {
                    let map = &mut map;
                    self.into.set(*number, JsonValue { map, deeper })?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(true)
    }
}

/// The value that follows in an object.
struct JsonValue<'m, A> {
    map: &'m mut A,
    deeper: u8,
}

impl<'a, A: MapAccess<'a>> JsonValue<'_, A> {
    fn list(self, push: impl Push<'a>) -> Result<(), A::Error> {
        self.map.next_value_seed(Many(push))
    }
}

impl<'a, A: MapAccess<'a>> Value<'a> for JsonValue<'_, A> {
    type Error = A::Error;

    fn fault(text: &'static str) -> A::Error {
        A::Error::custom(text)
    }

    fn uint64(self) -> Result<u64, A::Error> {
        Ok(self.map.next_value::<Option<_>>()?.unwrap_or_default())
    }

    fn uint32(self) -> Result<u32, A::Error> {
        Ok(self.map.next_value::<Option<_>>()?.unwrap_or_default())
    }

    fn int32(self) -> Result<i32, A::Error> {
        Ok(self.map.next_value::<Option<_>>()?.unwrap_or_default())
    }

    fn int64(self) -> Result<i64, A::Error> {
        Ok(self.map.next_value::<Option<_>>()?.unwrap_or_default())
    }

    fn flag(self) -> Result<bool, A::Error> {
        Ok(self.map.next_value::<Option<_>>()?.unwrap_or_default())
    }

    fn text(self) -> Result<Cow<'a, str>, A::Error> {
        let text = self.map.next_value::<Option<Text<'a>>>()?;
        Ok(text.map(|text| text.0).unwrap_or_default())
    }

    fn raw(self) -> Result<&'a [u8], A::Error> {
        Ok(self.map.next_value::<&'a RawValue>()?.get().as_bytes())
    }

    fn message<M: Message<'a>>(self, into: &mut M) -> Result<bool, A::Error> {
        let deeper = self.deeper;
        self.map.next_value_seed(Object { into, deeper })
    }

    fn texts(self, into: &mut Vec<Cow<'a, str>>, limit: usize) -> Result<(), A::Error> {
        self.list(Texts { into, limit })
    }

    fn messages<M: Message<'a> + Default>(
        self,
        into: &mut Vec<M>,
        limit: usize,
    ) -> Result<(), A::Error> {
        let deeper = self.deeper;
        self.list(Messages {
            into,
            limit,
            deeper,
        })
    }

    fn entries<M: Entry<'a>>(self, into: &mut Vec<M>, limit: usize) -> Result<(), A::Error> {
        // An entry of a map is a message of its own in Protobuf: one level.
        let deeper = self.deeper.saturating_sub(1);
        self.list(Entries {
            into,
            limit,
            deeper,
        })
    }

    fn skip(self) -> Result<(), A::Error> {
        self.map.next_value::<IgnoredAny>().map(drop)
    }
}

/// What takes the elements of an array, or the entries of an object.
trait Push<'de>: Sized {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
    fn entry<A: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut A)
    -> Result<(), A::Error>;
}

/// An array or an object, `null` for an empty one.
struct Many<P>(P);

impl<'de, P: Push<'de>> DeserializeSeed<'de> for Many<P> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, P: Push<'de>> Visitor<'de> for Many<P> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while self.0.element(&mut seq)? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            self.0.entry(key, &mut map)?;
        }
        Ok(())
    }
}

struct Texts<'v, 'de> {
    into: &'v mut Vec<Cow<'de, str>>,
    limit: usize,
}

impl<'de> Push<'de> for Texts<'_, 'de> {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(Text(text)) = seq.next_element()? else {
            return Ok(false);
        };
        room(self.into, self.limit).map_err(A::Error::custom)?;
        self.into.push(text);
        Ok(true)
    }

    fn entry<A: MapAccess<'de>>(&mut self, _: Cow<'de, str>, _: &mut A) -> Result<(), A::Error> {
        Err(A::Error::custom("not a list"))
    }
}

struct Messages<'v, M> {
    into: &'v mut Vec<M>,
    limit: usize,
    deeper: u8,
}

impl<'de, M: Message<'de> + Default> Push<'de> for Messages<'_, M> {
    fn element<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let mut message = M::default();
        let seed = Object {
            into: &mut message,
            deeper: self.deeper,
        };
        let Some(_) = seq.next_element_seed(seed)? else {
            return Ok(false);
        };
        room(self.into, self.limit).map_err(A::Error::custom)?;
        self.into.push(message);
        Ok(true)
    }

    fn entry<A: MapAccess<'de>>(&mut self, _: Cow<'de, str>, _: &mut A) -> Result<(), A::Error> {
        Err(A::Error::custom("not a list"))
    }
}

struct Entries<'v, M> {
    into: &'v mut Vec<M>,
    limit: usize,
    deeper: u8,
}

impl<'de, M: Entry<'de>> Push<'de> for Entries<'_, M> {
    fn element<A: SeqAccess<'de>>(&mut self, _: &mut A) -> Result<bool, A::Error> {
        Err(A::Error::custom("not an object"))
    }

    fn entry<A: MapAccess<'de>>(
        &mut self,
        key: Cow<'de, str>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        room(self.into, self.limit).map_err(A::Error::custom)?;
        let mut entry = M::keyed(key);
        let deeper = self.deeper;
        entry.set(2, JsonValue { map, deeper })?;
        self.into.push(entry);
        Ok(())
    }
}

fn room<T>(into: &[T], limit: usize) -> Result<(), &'static str> {
    if into.len() < limit {
        Ok(())
    } else {
        Err("too many entries")
    }
}
