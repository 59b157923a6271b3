//! Which publications clients want that said so, by tags.
//!
//! Who filters sits in a lane of its room with all who filter alike, so a publication is held against each filter once
//! for each wire format, however many want the same. A room that nobody filters knows nothing of it.
//!
//! Absent on purpose: what filters mean ([`Filter`]).

use crate::broker::Tags;
use crate::hub::RoomKey;
use crate::node::wire;
use crate::socket::Turn;
use slab::Slab;
use sschat_protocol::centrifuge::Filter;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The most filters in a room on a shard: each publication there is held against all of them.
const IN_A_ROOM: usize = 64;

/// The most filters on a shard; their numbers have 24 bits.
const ALTOGETHER: usize = 1 << 20;

/// A filter as it is kept.
pub(super) type Kept = Arc<Filter<'static>>;

/// The filters of a shard's clients. The numbers begin at 1.
#[derive(Default)]
pub(in crate::node) struct Filters {
    /// Each with the seats that have it.
    numbered: Slab<(Kept, u32)>,
    numbers: HashMap<Kept, u32>,
}

impl Filters {
    /// Whether this one may be put into a room.
    pub(super) fn takes(&self, filter: &Kept, room: Option<RoomKey>, turn: &Turn<'_>) -> bool {
        if self.numbered.len() >= ALTOGETHER {
            return false;
        }
        let formats = room.into_iter().flat_map(|room| turn.hub.formats(room));
        let there: HashSet<_> = formats.map(wire::filter).filter(|it| *it > 0).collect();
        let known = self.numbers.get(filter);
        there.len() < IN_A_ROOM || known.is_some_and(|number| there.contains(number))
    }

    /// The number of a filter, for one more seat.
    pub(super) fn number(&mut self, filter: &Kept) -> u32 {
        let numbered = &mut self.numbered;
        let fresh = || numbered.insert((Arc::clone(filter), 0)) as u32 + 1;
        let number = *self.numbers.entry(Arc::clone(filter)).or_insert_with(fresh);
        if let Some((_, seats)) = self.numbered.get_mut(number as usize - 1) {
            *seats += 1;
        }
        number
    }

    /// A seat that had a filter is left.
    pub(in crate::node) fn left(&mut self, number: u32) {
        let Some(index) = number.checked_sub(1).map(|index| index as usize) else {
            return;
        };
        let Some((_, seats)) = self.numbered.get_mut(index) else {
            return;
        };
        *seats -= 1;
        if *seats == 0 {
            let (filter, _) = self.numbered.remove(index);
            self.numbers.remove(&filter);
        }
    }

    /// Whether those with the filter of this number want a publication.
    pub(in crate::node) fn want(&self, number: u32, tags: &[(&str, &str)]) -> bool {
        let filter = number
            .checked_sub(1)
            .and_then(|index| self.numbered.get(index as usize));
        filter.is_none_or(|(filter, _)| filter.matches(tags))
    }
}

/// Tags as filters look at them.
pub(in crate::node) fn looked_at(tags: Option<&Tags>) -> Vec<(&str, &str)> {
    let tags = tags.map_or(&[][..], |tags| tags);
    tags.iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(value: &'static str) -> Kept {
        Arc::new(Filter {
            key: "k".into(),
            cmp: "eq".into(),
            val: value.into(),
            ..Filter::default()
        })
    }

    #[test]
    fn those_who_filter_alike_share_a_number_as_long_as_one_is_there() {
        let mut filters = Filters::default();
        let one = filters.number(&filter("1"));
        let two = filters.number(&filter("2"));
        assert_eq!(filters.number(&filter("1")), one);
        assert_ne!(one, two);
        assert!(filters.want(one, &[("k", "1")]) && !filters.want(two, &[("k", "1")]));
        assert!(filters.want(0, &[]), "who does not filter wants all");
        filters.left(one);
        assert!(!filters.want(one, &[]), "another has it");
        filters.left(one);
        filters.left(two);
        filters.left(0);
        assert!(filters.numbers.is_empty() && filters.numbered.is_empty());
    }
}
