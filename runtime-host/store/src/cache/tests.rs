//! What the cache forgets, and when.

use super::Lookup::{Known, Unknown};
use super::{CACHE_BYTES, CACHED_VALUE_LIMIT, ReadCache, Written};
use bytes::Bytes;

fn cache() -> ReadCache {
    ReadCache::new().unwrap()
}

fn written(key: &str, value: Option<&'static [u8]>) -> Written {
    Written {
        space: 1,
        key: key.to_owned(),
        value: value.map(Bytes::from_static),
    }
}

#[test]
fn absence_is_cached_per_space() {
    let cache = cache();
    let fill = cache.prepare(1, "a");
    cache.fill(&fill, 1, "a", None);
    assert_eq!(cache.get(1, "a"), Known(None));
    assert_eq!(cache.get(2, "a"), Unknown);
}

#[test]
fn a_fill_that_races_a_write_loses() {
    let cache = cache();
    let old = Bytes::from_static(b"old");
    let write = [written("a", Some(b"new"))];

    let before = cache.prepare(1, "a");
    cache.begin(write.iter());
    let during = cache.prepare(1, "a");
    cache.fill(&before, 1, "a", Some(&old));
    cache.fill(&during, 1, "a", Some(&old));
    assert_eq!(
        cache.get(1, "a"),
        Unknown,
        "a key being written is not filled in"
    );

    cache.end(write.iter(), true);
    cache.fill(&before, 1, "a", Some(&old));
    cache.fill(&during, 1, "a", Some(&old));
    assert_eq!(cache.get(1, "a"), Known(Some(Bytes::from_static(b"new"))));
}

#[test]
fn a_write_that_failed_leaves_nothing() {
    let cache = cache();
    let fill = cache.prepare(1, "a");
    cache.fill(&fill, 1, "a", None);
    let write = [written("a", Some(b"new"))];
    cache.begin(write.iter());
    cache.end(write.iter(), false);
    assert_eq!(cache.get(1, "a"), Unknown);
    let fill = cache.prepare(1, "a");
    cache.fill(&fill, 1, "a", None);
    assert_eq!(cache.get(1, "a"), Known(None), "filling is allowed again");
}

#[test]
fn the_sequence_moves_between_removal_and_commit() {
    let cache = cache();
    let before = cache.sequence();
    cache.begin([written("a", None)].iter());
    assert_ne!(cache.sequence(), before);
}

#[test]
fn a_key_written_twice_in_a_group_has_the_last_value() {
    let cache = cache();
    let large = Written {
        value: Some(vec![0; CACHED_VALUE_LIMIT + 1].into()),
        ..written("a", None)
    };
    let group = [written("a", Some(b"first")), large];
    cache.begin(group.iter());
    cache.end(group.iter(), true);
    assert_eq!(cache.get(1, "a"), Unknown);
}

#[test]
fn an_invalidation_ends_what_is_known_and_what_is_being_read() {
    let cache = cache();
    let old = Bytes::from_static(b"old");
    let (first, before) = (cache.prepare(1, "a"), cache.sequence());
    cache.fill(&first, 1, "a", Some(&old));
    let second = cache.prepare(1, "a");
    cache.invalidate(1, ["a"].into_iter());
    assert_eq!(cache.get(1, "a"), Unknown);
    assert_ne!(cache.sequence(), before);
    cache.fill(&second, 1, "a", Some(&old));
    assert_eq!(cache.get(1, "a"), Unknown, "it was read before the change");
}

#[test]
fn an_entry_is_known_to_those_who_came_after_its_stamp() {
    let cache = cache();
    let fill = cache.prepare(1, "a");
    cache.fill_at(7, &fill, 1, "a", None);
    assert_eq!(cache.get_before(7, 1, "a"), Unknown);
    assert_eq!(cache.get_before(8, 1, "a"), Known(None));
    assert_eq!(cache.get(1, "a"), Known(None));
}

#[test]
fn clearing_stops_fills_under_way() {
    let cache = cache();
    let fill = cache.prepare(1, "a");
    cache.clear();
    cache.fill(&fill, 1, "a", None);
    assert_eq!(cache.get(1, "a"), Unknown);
}

#[test]
fn memory_is_bounded_by_bytes() {
    let cache = cache();
    let value = Bytes::from(vec![7; 64 << 10]);
    for number in 0..4_096 {
        let key = number.to_string();
        let fill = cache.prepare(1, &key);
        cache.fill(&fill, 1, &key, Some(&value));
    }
    assert!(cache.entries.weight() <= CACHE_BYTES);
    assert!(cache.entries.len() > 500, "most of the room is used");
}
