//! How publications look in Redis: records, the entries of a log and the messages to hosts.
//! Little-endian. Absent on purpose: offsets within a record, which Redis assigns.

use crate::broker::{Origin, Position, Said, Speaker, Stamp, Tags};
use redis::Value;
use sschat_history::{Epoch, Publication};
use std::sync::Arc;

/// What a record holds beside its texts, in bytes.
const FIXED: usize = 4 + 8 + 2 + 8 + 1 + 2 + 2 + 2 + 1;

/// The session that is left out is named.
const SESSION: u8 = 1;

/// The connection is named.
const CLIENT: u8 = 2;

/// What its login says of it is there.
const INFO: u8 = 4;

/// A publication as hosts tell it to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The host where it was accepted.
    pub(super) host: u64,
    pub(super) origin: Origin,
    pub(super) message: Box<str>,
    pub(super) from: Arc<str>,
    pub(super) by: Option<Arc<Speaker>>,
    pub(super) tags: Option<Tags>,
}

impl Record {
    /// What was said, as the broker takes it.
    pub(super) fn said(&self) -> Said<'_> {
        Said {
            message: &self.message,
            from: &self.from,
            by: self.by.as_ref(),
            tags: self.tags.as_ref(),
            key: None,
            passing: false,
        }
    }
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) stamp: Stamp,
    pub(super) record: Record,
}

/// A record of what is to be published here. Its length comes first.
pub(super) fn encode(host: u64, said: &Said<'_>, origin: Origin) -> Vec<u8> {
    let client = said.by.map(|by| &*by.client);
    let info = said.by.and_then(|by| by.info.as_deref());
    let tags = said.tags.map_or(&[][..], |tags| tags);
    let mut out = Vec::with_capacity(FIXED + said.from.len() + said.message.len());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&host.to_le_bytes());
    let (shard, session, flag) = match origin {
        Origin::Session { shard, session } => (shard as u16, session, SESSION),
        Origin::Outside => (0, 0, 0),
    };
    out.extend_from_slice(&shard.to_le_bytes());
    out.extend_from_slice(&session.to_le_bytes());
    let there = |flag, text: Option<&str>| text.map_or(0, |_| flag);
    out.push(flag | there(CLIENT, client) | there(INFO, info));
    out.push(tags.len() as u8);
    let texts = [&**said.from, client.unwrap_or(""), info.unwrap_or("")];
    let tags = tags.iter().flat_map(|(name, value)| [&**name, &**value]);
    for text in texts.into_iter().chain(tags) {
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(said.message.as_bytes());
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}

/// Takes one record off the front of `bytes`.
pub(super) fn decode(bytes: &mut &[u8]) -> Option<Record> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    let (host, record) = record.split_first_chunk::<8>()?;
    let (shard, record) = record.split_first_chunk::<2>()?;
    let (session, record) = record.split_first_chunk::<8>()?;
    let (flags, record) = record.split_first()?;
    let (tags, mut record) = record.split_first()?;
    let mut text = || {
        let (length, rest) = record.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        record = rest;
        std::str::from_utf8(text).ok()
    };
    let (from, client, info) = (text()?, text()?, text()?);
    let tags = (0..*tags).map(|_| Some((text()?.into(), text()?.into())));
    let tags = tags.collect::<Option<Vec<_>>>()?;
    Some(Record {
        host: u64::from_le_bytes(*host),
        origin: match flags & SESSION {
            0 => Origin::Outside,
            _ => Origin::Session {
                shard: u16::from_le_bytes(*shard).into(),
                session: u64::from_le_bytes(*session),
            },
        },
        from: from.into(),
        by: (flags & CLIENT != 0).then(|| {
            let info = (flags & INFO != 0).then(|| info.into());
            let client = client.into();
            Arc::new(Speaker { client, info })
        }),
        tags: (!tags.is_empty()).then(|| tags.into()),
        message: std::str::from_utf8(record).ok()?.into(),
    })
}

/// Reads a message of a room's channel: publications that follow each other.
pub(super) fn decode_message(message: &[u8]) -> Option<Vec<Placed>> {
    let end = message.iter().position(|byte| *byte == b'\n')?;
    let mut head = std::str::from_utf8(&message[..end]).ok()?.split(' ');
    let epoch: Epoch = head.next()?.parse().ok()?;
    let first: u64 = head.next()?.parse().ok()?;
    let count: u64 = head.next()?.parse().ok()?;
    let time: u64 = head.next()?.parse().ok()?;
    let mut rest = &message[end + 1..];
    let placed = (first..first.checked_add(count)?).map(|offset| {
        let record = decode(&mut rest)?;
        let position = Position { epoch, offset };
        let stamp = Stamp { position, time };
        Some(Placed { stamp, record })
    });
    let placed: Option<Vec<Placed>> = placed.collect();
    placed.filter(|_| rest.is_empty())
}

/// Reads one entry of a room's log.
pub(super) fn decode_entry(epoch: Epoch, entry: &Value) -> Option<Placed> {
    let Value::Array(entry) = entry else {
        return None;
    };
    let [id, Value::Array(fields)] = &entry[..] else {
        return None;
    };
    let [_, time, _, _, _, Value::BulkString(record)] = &fields[..] else {
        return None;
    };
    let offset = text(id)?.split('-').next()?.parse().ok()?;
    let mut record = &record[..];
    Some(Placed {
        stamp: Stamp {
            position: Position { epoch, offset },
            time: text(time)?.parse().ok()?,
        },
        record: decode(&mut record)?,
    })
}

/// The text of a reply.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// What the history shows of it.
pub(super) fn shown(placed: Placed) -> Arc<Publication> {
    let record = placed.record;
    Arc::new(Publication {
        offset: placed.stamp.position.offset,
        time: placed.stamp.time,
        payload: bytes::Bytes::from(record.message.into_string()),
        from: (!record.from.is_empty()).then_some(record.from),
        by: record.by,
        tags: record.tags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(
            host: u64,
            session in proptest::option::of((0_usize..65_536, any::<u64>())),
            by in proptest::option::of((".{0,40}", proptest::option::of(".{0,40}"))),
            tags in proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4),
            texts in proptest::collection::vec((".{0,9}", ".{0,99}"), 0..5),
        ) {
            let origin = session.map_or(Origin::Outside, |(shard, session)| Origin::Session { shard, session });
            let by = by.map(|(client, info)| {
                let info = info.map(Into::into);
                Arc::new(Speaker { client: client.into(), info })
            });
            let tags: Vec<(Box<str>, Box<str>)> =
                tags.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let tags: Option<Tags> = (!tags.is_empty()).then(|| tags.into());
            let mut message = format!("{} 7 {} 99\n", Epoch(5), texts.len()).into_bytes();
            for (from, text) in &texts {
                let from = from.as_str().into();
                let said = Said {
                    message: text,
                    from: &from,
                    by: by.as_ref(),
                    tags: tags.as_ref(),
                    key: None,
                    passing: false,
                };
                message.extend(encode(host, &said, origin));
            }
            let placed = decode_message(&message).unwrap();
            prop_assert_eq!(placed.len(), texts.len());
            for (index, (placed, (from, text))) in placed.iter().zip(&texts).enumerate() {
                let position = Position { epoch: Epoch(5), offset: 7 + index as u64 };
                prop_assert_eq!(placed.stamp, Stamp { position, time: 99 });
                let record = Record {
                    host,
                    origin,
                    message: text.as_str().into(),
                    from: from.as_str().into(),
                    by: by.clone(),
                    tags: tags.clone(),
                };
                prop_assert_eq!(&placed.record, &record);
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = decode(&mut &bytes[..]);
            let _ = decode_message(&bytes);
        }
    }
}
