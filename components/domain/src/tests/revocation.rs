//! Revocations: their places are bounded, and go with what they are about.

use super::*;
use crate::id::TokenDigest;
use crate::revocation::{Outcome, PLACES, Revoked, Subject, restore, revoke, revoked};

const NOW: u64 = 1_800_000_000;

fn token(number: u64) -> Subject<'static> {
    Subject::Token(TokenDigest::of(&number.to_string()))
}

fn until(until: u64) -> Revoked {
    Revoked {
        until: Some(until),
        ..Revoked::default()
    }
}

#[test]
fn places_are_taken_in_turn_and_given_on_once_they_are_over() {
    let store = Memory::default();
    let (app, key) = registered(&store, 1);
    let take = |number, wanted, now| block_on(revoke(&store, app, token(number), wanted, now));
    for number in 0..PLACES {
        assert_eq!(take(number, until(NOW + 10), NOW), Ok(Outcome::Done));
    }
    let keys = store.keys().len();
    assert_eq!(take(PLACES, until(NOW + 20), NOW), Ok(Outcome::TooMany));
    // The same one again needs no other place.
    assert_eq!(take(7, until(NOW + 30), NOW), Ok(Outcome::Done));
    // One that was taken back leaves its place to whoever comes by it.
    for number in 0..PLACES {
        block_on(restore(&store, app, token(number))).unwrap();
        if number == 100 {
            break;
        }
    }
    assert_eq!(take(PLACES + 1, until(NOW + 20), NOW), Ok(Outcome::Done));
    // All that are over make room, and their records go; the one just made is not over.
    for number in 0..PLACES - 1 {
        assert_eq!(
            take(2 * PLACES + number, until(NOW + 90), NOW + 11),
            Ok(Outcome::Done)
        );
    }
    assert!(store.keys().len() <= keys + 2, "{}", store.keys().len());
    let old = block_on(revoked(&store, app, token(200))).unwrap();
    assert_eq!(old, None);
    assert_eq!(block_on(removal::remove_tenant(&store, &key)), Ok(true));
    assert!(sweep(&store) > 10, "in steps");
    assert_eq!(store.keys().len(), 2, "{:?}", store.keys());
    let late = block_on(revoke(&store, app, token(1), until(NOW), NOW));
    assert_eq!(late, Ok(Outcome::Gone));
    assert_eq!(store.keys().len(), 2, "{:?}", store.keys());
}

#[test]
fn a_users_goes_with_the_user() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let user = with_user(&store, app, 1);
    let before = store.keys();
    let wanted = Revoked {
        issued_before: Some(NOW),
        ..Revoked::default()
    };
    let subject = Subject::User(user);
    assert_eq!(
        block_on(revoke(&store, app, subject, wanted, NOW)),
        Ok(Outcome::Done)
    );
    assert_eq!(store.keys().len(), before.len() + 1, "no place is taken");
    assert_eq!(block_on(revoked(&store, app, subject)), Ok(Some(wanted)));
    assert_eq!(block_on(removal::remove_user(&store, app, user)), Ok(true));
    sweep(&store);
    assert_eq!(block_on(revoked(&store, app, subject)), Ok(None));
    assert_eq!(
        block_on(revoke(&store, app, subject, wanted, NOW)),
        Ok(Outcome::Gone)
    );
    assert_eq!(block_on(revoked(&store, app, subject)), Ok(None));
}
