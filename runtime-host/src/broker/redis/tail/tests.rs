//! The tail against every way in which messages are lost, doubled and late.

use super::*;
use crate::broker::redis::record::Record;
use crate::broker::{Origin, Stamp};
use proptest::prelude::*;

fn placed(epoch: u64, offset: u64) -> Placed {
    Placed {
        stamp: Stamp {
            position: Position {
                epoch: Epoch(epoch),
                offset,
            },
            time: 0,
        },
        record: Record {
            host: 0,
            origin: Origin::Outside,
            message: offset.to_string().into(),
            from: "u".into(),
            by: None,
            tags: None,
        },
    }
}

/// The log at a time when `top` was the newest, read after `at`, `limit` entries at most.
fn look(at: Option<Position>, epoch: u64, gone: u64, top: u64, limit: u64) -> Found {
    let since = at.filter(|at| at.epoch == Epoch(epoch));
    let first = since.map_or(0, |at| at.offset).max(gone) + 1;
    let last = top.min(first + limit - 1);
    Found {
        top: Position {
            epoch: Epoch(epoch),
            offset: top,
        },
        gone,
        placed: (first..=last).map(|it| placed(epoch, it)).collect(),
    }
}

fn offsets(next: &Next) -> Vec<u64> {
    let offsets = next.deliver.iter().map(|it| it.stamp.position.offset);
    offsets.collect()
}

fn begun(top: u64) -> Tail {
    let mut tail = Tail::default();
    tail.found(look(None, 1, 0, top, 9));
    tail
}

#[test]
fn what_comes_while_the_log_is_read_waits() {
    let mut tail = Tail::default();
    assert_eq!(
        tail.heard(vec![placed(1, 6), placed(1, 7)]),
        Next::default()
    );
    let next = tail.found(look(None, 1, 0, 6, 9));
    assert_eq!(
        (offsets(&next), next.look, next.lost),
        (vec![7], false, false)
    );
}

#[test]
fn what_no_log_keeps_comes_where_it_is_heard() {
    let mut tail = begun(3);
    let next = tail.heard(vec![placed(1, 0)]);
    assert_eq!((offsets(&next), next.look), (vec![0], false));
    let next = tail.heard(vec![placed(1, 4), placed(1, 0), placed(1, 5)]);
    assert_eq!(offsets(&next), [4, 0, 5]);
    // Behind a gap it waits with the others, also where the room's log began anew.
    assert!(tail.heard(vec![placed(1, 7)]).look);
    assert_eq!(tail.heard(vec![placed(2, 0)]), Next::default());
    let next = tail.found(look(tail.at(), 1, 0, 7, 9));
    assert_eq!(offsets(&next), [6, 7, 0]);
}

#[test]
fn a_gap_is_filled_before_what_follows() {
    let mut tail = begun(3);
    assert_eq!(offsets(&tail.heard(vec![placed(1, 4)])), [4]);
    let next = tail.heard(vec![placed(1, 7)]);
    assert!(next.look && next.deliver.is_empty());
    assert_eq!(tail.heard(vec![placed(1, 8)]), Next::default());
    let next = tail.found(look(tail.at(), 1, 0, 7, 9));
    assert_eq!((offsets(&next), next.lost), (vec![5, 6, 7, 8], false));
}

#[test]
fn what_is_gone_is_told() {
    let mut tail = begun(3);
    tail.doubt();
    let next = tail.found(look(tail.at(), 1, 5, 7, 9));
    assert_eq!((offsets(&next), next.lost), (vec![6, 7], true));
}

#[test]
fn another_epoch_begins_with_its_first() {
    let mut tail = begun(3);
    let next = tail.heard(vec![placed(2, 1), placed(2, 2)]);
    assert_eq!((offsets(&next), next.lost), (vec![1, 2], false));
    let next = tail.heard(vec![placed(3, 2)]);
    assert!(next.look && next.deliver.is_empty());
    let next = tail.found(look(tail.at(), 3, 0, 2, 9));
    assert_eq!((offsets(&next), next.lost), (vec![1, 2], true));
}

proptest! {
    /// Publications reach the host by messages of which some are lost, with looks at the log
    /// in between, which may be short: each is delivered once and in order.
    #[test]
    fn all_are_delivered_once_and_in_order(
        start in 0_u64..5,
        events in proptest::collection::vec((0_u8..4, 1_u64..4), 1..60),
    ) {
        let mut tail = begun(start);
        let (mut top, mut delivered, mut looks) = (start, Vec::new(), false);
        let mut note = |next: Next, looks: &mut bool| {
            *looks |= next.look;
            assert!(!next.lost);
            delivered.extend(offsets(&next));
        };
        for (what, count) in events {
            match what {
                // A message arrives, or is lost.
                0 | 1 => {
                    let message = (top + 1..=top + count).map(|it| placed(1, it)).collect();
                    top += count;
                    if what == 0 {
                        note(tail.heard(message), &mut looks);
                    }
                }
                2 => {
                    tail.doubt();
                    looks = true;
                }
                _ if looks => {
                    looks = false;
                    note(tail.found(look(tail.at(), 1, 0, top, count)), &mut looks);
                }
                _ => {}
            }
        }
        tail.doubt();
        looks = true;
        while std::mem::take(&mut looks) {
            note(tail.found(look(tail.at(), 1, 0, top, 3)), &mut looks);
        }
        prop_assert_eq!(delivered, (start + 1..=top).collect::<Vec<_>>());
    }
}
