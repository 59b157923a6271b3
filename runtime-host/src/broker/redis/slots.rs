//! Which Redis of a cluster keeps what: the hash slots of keys and of sharded channels, and the primaries that serve
//! them ([cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)).

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

/// How many slots every cluster has.
const SLOTS: usize = 16_384;

const CHECKSUM: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The primaries of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Where each is. There is at least one.
    pub(super) primaries: Vec<(String, u16)>,
    /// The primary of each slot, an index.
    owners: Vec<u16>,
}

impl Map {
    /// Reads what the Redis at the host `asked` answers to `CLUSTER SLOTS`.
    ///
    /// # Errors
    /// Where a slot is served by nobody, or the answer makes no sense.
    pub(super) fn read(answer: &Value, asked: &str) -> Result<Self, String> {
        let mut primaries: Vec<(String, u16)> = Vec::new();
        let mut owners = vec![u16::MAX; SLOTS];
        let Value::Array(ranges) = answer else {
            return Err(STRANGE.to_owned());
        };
        for range in ranges {
            let (slots, place) = range_of(range, asked).ok_or(STRANGE)?;
            let known = primaries.iter().position(|it| *it == place);
            let index = known.unwrap_or_else(|| {
                primaries.push(place);
                primaries.len() - 1
            });
            let index = u16::try_from(index).map_err(|_| STRANGE)?;
            owners.get_mut(slots).ok_or(STRANGE)?.fill(index);
        }
        match owners.contains(&u16::MAX) {
            true => Err("the cluster does not serve all slots".to_owned()),
            false => Ok(Self { primaries, owners }),
        }
    }

    /// The primary that keeps a key, or by which a sharded channel is heard; without one, that by which hosts meet.
    pub(super) fn owner(&self, key: Option<&[u8]>) -> usize {
        let owner = self.owners.get(key.map_or(0, slot));
        owner.map_or(0, |owner| usize::from(*owner))
    }
}

const STRANGE: &str = "its answer about the cluster makes no sense";

type Range = (std::ops::RangeInclusive<usize>, (String, u16));

/// The slots of a range and where their primary is.
fn range_of(range: &Value, asked: &str) -> Option<Range> {
    let Value::Array(range) = range else {
        return None;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(primary),
        ..,
    ] = &range[..]
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = &primary[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        // It does not know its own address: that by which it was asked serves.
        _ => asked,
    };
    let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
    Some((first..=last, (host.to_owned(), u16::try_from(*port).ok()?)))
}

/// The slot of a key: that of what stands in its first pair of braces, if anything does.
fn slot(key: &[u8]) -> usize {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then_some(&rest[..close])
    });
    usize::from(CHECKSUM.checksum(tag.unwrap_or(key))) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // `CLUSTER KEYSLOT` of a Redis 7.
        for (key, wanted) in [
            ("", 0),
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{foo}.bar", 12_182),
            ("x{foo}{bar}", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
        ] {
            assert_eq!(slot(key.as_bytes()), wanted, "{key}");
        }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let primary = Value::Array(vec![host, Value::Int(port), text("id")]);
        let replica = Value::Array(vec![text("10.0.0.9"), Value::Int(1), text("other")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
    }

    #[test]
    fn every_slot_has_its_primary() {
        let answer = Value::Array(vec![
            range(0, 5_000, text("10.0.0.1"), 7_000),
            range(5_001, 12_181, Value::Nil, 7_001),
            range(12_182, 12_182, text("10.0.0.1"), 7_000),
            range(12_183, 16_383, text(""), 7_001),
        ]);
        let map = Map::read(&answer, "seed").unwrap();
        let places = [("10.0.0.1".to_owned(), 7_000), ("seed".to_owned(), 7_001)];
        assert_eq!(map.primaries, places);
        assert_eq!(map.owner(None), 0);
        assert_eq!(map.owner(Some(b"foo")), 0);
        assert_eq!(map.owner(Some(b"123456789")), 1);
    }

    #[test]
    fn what_is_no_whole_cluster_is_refused() {
        for wrong in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![range(0, 16_382, text("a"), 1)]),
            Value::Array(vec![range(0, 16_384, text("a"), 1)]),
            Value::Array(vec![range(-1, 16_383, text("a"), 1)]),
            Value::Array(vec![range(9, 3, text("a"), 1)]),
            Value::Array(vec![range(0, 16_383, text("a"), 70_000)]),
            Value::Array(vec![Value::Int(1)]),
        ] {
            assert!(Map::read(&wrong, "seed").is_err(), "{wrong:?}");
        }
    }
}
