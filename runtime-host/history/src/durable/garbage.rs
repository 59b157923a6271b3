//! What was removed and still lies on the disk: given back in small steps, each with a
//! commit group, so that nobody waits for the removal of something large.

use crate::engine::{Engine, Item, Space, describe};
use crate::record::{Row, number};
use std::collections::VecDeque;
use std::ops::Bound;

/// Records removed with one group.
const STEP: usize = 1_024;

/// Something that was removed, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Garbage {
    Channel(u64),
    Tenant(u64),
}

impl Garbage {
    pub(super) fn key(self) -> Vec<u8> {
        let (kind, id) = match self {
            Self::Channel(id) => (b'c', id),
            Self::Tenant(id) => (b't', id),
        };
        let mut key = vec![kind];
        key.extend(id.to_be_bytes());
        key
    }

    fn parse(key: &[u8]) -> Option<Self> {
        let (kind, id) = key.split_first()?;
        match kind {
            b'c' => Some(Self::Channel(number(id)?)),
            b't' => Some(Self::Tenant(number(id)?)),
            _ => None,
        }
    }
}

/// All garbage, the oldest first.
#[derive(Default)]
pub(super) struct Heap {
    waiting: VecDeque<Garbage>,
    /// Where the last step over the first of it ended.
    cursor: Option<(Space, Vec<u8>)>,
}

impl Heap {
    /// What the disk knows of.
    pub(super) fn read(engine: &Engine) -> fjall::Result<Self> {
        let mut heap = Self::default();
        for record in engine.scan(Space::Garbage, &[], Bound::Unbounded) {
            heap.waiting.extend(Garbage::parse(&record?.0));
        }
        Ok(heap)
    }

    pub(super) fn add(&mut self, garbage: impl IntoIterator<Item = Garbage>) {
        self.waiting.extend(garbage);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next step's writes, and the garbage that they make of others' rows.
    pub(super) fn step(&mut self, engine: &Engine) -> (Vec<Item>, Vec<Garbage>) {
        let Some(first) = self.waiting.front().copied() else {
            return (Vec::new(), Vec::new());
        };
        let (mut items, mut more) = (Vec::new(), Vec::new());
        let (spaces, id): (&[Space], u64) = match first {
            Garbage::Channel(id) => (&[Space::Publications, Space::Keys], id),
            Garbage::Tenant(id) => (&[Space::Rooms], id),
        };
        let prefix = id.to_be_bytes();
        let begun = self.cursor.take();
        let skip = begun.as_ref().map(|(space, _)| *space);
        let left = spaces
            .iter()
            .skip_while(|it| skip.is_some_and(|skip| **it != skip));
        for space in left {
            let from = match &begun {
                Some((begun, key)) if begun == space => Bound::Excluded(&key[..]),
                _ => Bound::Included(&prefix[..]),
            };
            for record in engine.scan(*space, &prefix, from) {
                let (key, value) = match record {
                    Ok(record) => record,
                    Err(error) => {
                        tracing::error!("removed history stays: {}", describe(&error));
                        self.waiting.pop_front();
                        return (items, more);
                    }
                };
                if let (Garbage::Tenant(_), Some(row)) = (first, Row::decode(&value)) {
                    let channel = Garbage::Channel(row.id);
                    items.push(Item::set(Space::Garbage, channel.key(), [0]));
                    more.push(channel);
                }
                items.push(Item::remove(*space, key.clone()));
                if items.len() >= STEP {
                    self.cursor = Some((*space, key.to_vec()));
                    return (items, more);
                }
            }
        }
        items.push(Item::remove(Space::Garbage, first.key()));
        self.waiting.pop_front();
        (items, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;
    use crate::record::{pair, room_key};

    /// Everything that lies in a space.
    fn lies(engine: &Engine, space: Space) -> usize {
        engine.scan(space, &[], Bound::Unbounded).count()
    }

    #[test]
    fn a_removed_tenant_is_swept_up_in_bounded_steps_even_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(folder.path()).unwrap();
        let mut items = vec![Item::set(Space::Garbage, Garbage::Tenant(7).key(), [0])];
        for id in 100..103 {
            let row = Row {
                id,
                epoch: Epoch(1),
                top: 1_500,
                crashes: 0,
                floor: 0,
                expires: 0,
            };
            let key = room_key(if id == 102 { 8 } else { 7 }, &id.to_be_bytes());
            items.push(Item::set(Space::Rooms, key, row.encode()));
            items.push(Item::set(Space::Keys, pair(id, 1), [0]));
            let place = |offset| Item::set(Space::Publications, pair(id, offset), [0]);
            items.extend((1..=1_500).map(place));
        }
        engine.commit(&items).unwrap();
        let mut heap = Heap::read(&engine).unwrap();
        let mut steps = 0;
        while !heap.is_empty() {
            let (items, more) = heap.step(&engine);
            assert!(items.len() <= 2 * STEP);
            engine.commit(&items).unwrap();
            heap.add(more);
            steps += 1;
            if steps == 2 {
                drop(engine);
                engine = Engine::open(folder.path()).unwrap();
                heap = Heap::read(&engine).unwrap();
            }
        }
        assert!(steps >= 5, "{steps}");
        assert_eq!(lies(&engine, Space::Garbage), 0);
        assert_eq!(lies(&engine, Space::Rooms), 1, "another tenant's");
        assert_eq!(lies(&engine, Space::Publications), 1_500);
        assert_eq!(lies(&engine, Space::Keys), 1);
    }
}
