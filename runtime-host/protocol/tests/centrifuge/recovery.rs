//! Recovered is true to the facts.

use proptest::prelude::*;
use sschat_protocol::centrifuge::{
    Publication, Subscription,
    recovery::{Position, is_complete},
};

fn publications(offsets: impl IntoIterator<Item = u64>) -> Vec<Publication<'static>> {
    let publication = |offset| Publication {
        offset,
        ..Publication::default()
    };
    offsets.into_iter().map(publication).collect()
}

#[test]
fn only_everything_is_complete() {
    assert!(is_complete(3, &publications([4, 5, 6]), 6));
    assert!(is_complete(6, &[], 6));
    assert!(is_complete(0, &[], 0));
    for (offset, offsets, newest) in [
        (3, vec![5, 6], 6),
        (3, vec![4, 6], 6),
        (3, vec![4, 5], 6),
        (3, vec![4, 4, 5, 6], 6),
        (3, vec![], 6),
        (9, vec![], 6),
        (u64::MAX, vec![], 6),
        (u64::MAX, vec![0], 0),
    ] {
        let publications = publications(offsets.clone());
        assert!(
            !is_complete(offset, &publications, newest),
            "{offset} {offsets:?}"
        );
    }
}

#[test]
fn another_epoch_is_no_recovery() {
    let missed = publications([4, 5]);
    let from = |epoch| Subscription::recovering(Position { epoch, offset: 3 }, "e1", 5, &missed);
    for epoch in ["e1", ""] {
        let result = from(epoch);
        assert!(result.recovered && result.was_recovering);
        assert_eq!((result.offset, result.publications.len()), (3, 2));
    }
    for epoch in ["e2", "_"] {
        let result = from(epoch);
        assert!(!result.recovered && result.was_recovering);
        assert_eq!((result.offset, result.publications.len()), (5, 0));
    }
}

proptest! {
    #[test]
    fn whoever_recovered_has_it_all(
        offset in 0_u64..12,
        kept in prop::collection::btree_set(1_u64..12, 0..12),
        newest in 0_u64..12,
    ) {
        let missed = publications(kept.iter().copied());
        let claimed = Position { epoch: "e", offset };
        let result = Subscription::recovering(claimed, "e", newest, &missed);
        let held: Vec<u64> = kept.into_iter().collect();
        let owed: Vec<u64> = (offset + 1..=newest).collect();
        prop_assert_eq!(result.recovered, offset <= newest && held == owed);
    }
}
