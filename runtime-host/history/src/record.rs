//! How the history's records look on the disk. Keys are big-endian, so that they sort;
//! all else is little-endian. Absent on purpose: checksums, which the engine has.

use crate::{Epoch, Publication, Speaker, Tags};
use bytes::Bytes;
use std::sync::Arc;

/// The name of the format. It changes with everything below.
pub(crate) const FORMAT: &[u8] = b"sschat history 1";

/// What is known of a channel beside its publications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Names its publications.
    pub(crate) id: u64,
    pub(crate) epoch: Epoch,
    /// The last offset on the disk.
    pub(crate) top: u64,
    /// Unclean stops of the history before this row was written.
    pub(crate) crashes: u64,
    /// Offsets up to this one were trimmed.
    pub(crate) floor: u64,
    /// When its newest publication is outside of the retention; `u64::MAX`: there is none.
    pub(crate) expires: u64,
}

impl Row {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = [
            self.id,
            self.epoch.0,
            self.top,
            self.crashes,
            self.floor,
            self.expires,
        ];
        fields
            .iter()
            .flat_map(|field| field.to_le_bytes())
            .collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let row = Self {
            id: rest.u64()?,
            epoch: Epoch(rest.u64()?),
            top: rest.u64()?,
            crashes: rest.u64()?,
            floor: rest.u64()?,
            expires: rest.u64()?,
        };
        rest.0.is_empty().then_some(row)
    }
}

/// Two numbers as a key or value: a publication's place, a tenant's id and bytes.
pub(crate) fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&second.to_be_bytes());
    key
}

/// Reads what [`pair`] wrote.
pub(crate) fn unpair(bytes: &[u8]) -> Option<(u64, u64)> {
    let (first, second) = bytes.split_at_checked(8)?;
    Some((number(first)?, number(second)?))
}

/// Reads one big-endian number.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The key of a channel's row.
pub(crate) fn room_key(tenant: u64, room: &[u8]) -> Vec<u8> {
    let mut key = tenant.to_be_bytes().to_vec();
    key.extend_from_slice(room);
    key
}

/// An idempotency key and when it was used.
pub(crate) fn encode_key(key: &str, time: u64) -> Vec<u8> {
    let mut bytes = time.to_le_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// Reads what [`encode_key`] wrote.
pub(crate) fn decode_key(bytes: &[u8]) -> Option<(Arc<str>, u64)> {
    let mut rest = Rest(bytes);
    let time = rest.u64()?;
    Some((std::str::from_utf8(rest.0).ok()?.into(), time))
}

/// What there is, in the first byte of a publication: a user, a connection, what its login says of it.
const FROM: u8 = 1;
const CLIENT: u8 = 2;
const INFO: u8 = 4;

/// A publication without its offset, which is in its key.
pub(crate) fn encode_publication(publication: &Publication) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(publication.cost() as usize);
    let by = publication.by.as_deref();
    let texts = [
        (FROM, publication.from.as_deref()),
        (CLIENT, by.map(|by| &*by.client)),
        (INFO, by.and_then(|by| by.info.as_deref())),
    ];
    let there = |(flag, text): &(u8, Option<&str>)| text.map_or(0, |_| *flag);
    bytes.push(texts.iter().map(there).sum());
    bytes.extend_from_slice(&publication.time.to_le_bytes());
    for here in texts.iter().filter_map(|(_, text)| *text) {
        text(&mut bytes, here);
    }
    let tags = publication.tags.as_deref().unwrap_or_default();
    bytes.push(tags.len() as u8);
    for (name, value) in tags {
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes.extend_from_slice(&publication.payload);
    bytes
}

/// Reads what [`encode_publication`] wrote.
pub(crate) fn decode_publication(offset: u64, bytes: &[u8]) -> Option<Publication> {
    let mut rest = Rest(bytes);
    let flags = rest.take(1)?[0];
    let time = rest.u64()?;
    if flags & !(FROM | CLIENT | INFO) != 0 {
        return None;
    }
    let mut text = |flag| match flags & flag {
        0 => Some(None),
        _ => rest.text().map(|text| Some(Arc::from(text))),
    };
    let (from, client, info) = (text(FROM)?, text(CLIENT)?, text(INFO)?);
    let tags = (0..rest.take(1)?[0])
        .map(|_| Some((rest.text()?.into(), rest.text()?.into())))
        .collect::<Option<Vec<_>>>()?;
    Some(Publication {
        offset,
        time,
        from,
        by: client.map(|client| Arc::new(Speaker { client, info })),
        tags: (!tags.is_empty()).then(|| Tags::from(tags)),
        payload: Bytes::copy_from_slice(rest.0),
    })
}

/// A text of up to [`crate::TEXT_LIMIT`] bytes.
fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        std::str::from_utf8(self.take(length.into())?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_publication_is_read_as_it_was_written(
            offset: u64,
            time: u64,
            from in proptest::option::of(".{0,40}"),
            by in proptest::option::of((".{0,40}", proptest::option::of(".{0,40}"))),
            tags in proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let tags: Vec<(Box<str>, Box<str>)> =
                tags.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
            let publication = Publication {
                offset,
                time,
                payload: payload.into(),
                from: from.map(Into::into),
                by: by.map(|(client, info)| {
                    let info = info.map(Into::into);
                    Arc::new(Speaker { client: client.into(), info })
                }),
                tags: (!tags.is_empty()).then(|| tags.into()),
            };
            let bytes = encode_publication(&publication);
            prop_assert_eq!(decode_publication(offset, &bytes), Some(publication));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = decode_publication(1, &bytes);
            let _ = decode_key(&bytes);
            let _ = Row::decode(&bytes);
            let _ = unpair(&bytes);
        }
    }
}
