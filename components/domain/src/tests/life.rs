//! The plain course of things, and what is refused.

use super::*;
use crate::access;
use crate::kv::Error;
use crate::membership::Missing;
use crate::memory::Counters;
use crate::record::RecordError;

#[test]
fn the_life_of_a_tenant() -> Result<(), Error> {
    for counters in [Counters::Bytes, Counters::Text] {
        let store = Memory::new(counters);
        let (app, key) = registered(&store, 1);
        let found = block_on(tenant::authenticate(&store, &key))?.unwrap();
        assert_eq!(found.id, app);
        for number in 1..=3 {
            with_room(&store, app, number);
            with_user(&store, app, number);
        }
        for (r, u) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
            add(&store, app, room(r), user(u));
        }
        assert_eq!(members(&store, app, room(1), 100), [user(1), user(2)]);
        let pair = |r, u| Pair {
            tenant: app,
            room: room(r),
            user: user(u),
        };
        block_on(membership::remove(&store, pair(1, 1)))?;
        assert_eq!(members(&store, app, room(1), 100), [user(2)]);
        add(&store, app, room(1), user(1));
        assert_eq!(members(&store, app, room(1), 1), [user(1), user(2)]);
        for (r, u, missing) in [(9, 1, Missing::Room), (1, 9, Missing::User)] {
            let refused = Ok(Outcome::Missing(missing));
            assert_eq!(block_on(membership::add(&store, pair(r, u))), refused);
            assert_eq!(block_on(membership::remove(&store, pair(r, u))), refused);
        }
        assert!(block_on(removal::remove_room(&store, app, room(1)))?);
        assert!(!block_on(removal::remove_room(&store, app, room(1)))?);
        assert_eq!(rooms(&store, app, user(1)), [room(2)]);
        assert!(block_on(removal::remove_user(&store, app, user(3)))?);
        assert_eq!(members(&store, app, room(3), 100), []);
        assert!(block_on(removal::remove_tenant(&store, &key))?);
        assert!(!block_on(removal::remove_tenant(&store, &key))?);
        assert!(block_on(tenant::authenticate(&store, &key))?.is_none());
        sweep(&store);
        // Nothing is left but the queue itself.
        let left = store.keys();
        assert_eq!(left, ["index/doomed/free/head", "index/doomed/free/tail"]);
    }
    Ok(())
}

#[test]
fn tenants_see_nothing_of_each_other() {
    let store = Memory::default();
    let (one, _) = registered(&store, 1);
    let (other, other_key) = registered(&store, 2);
    let (theirs, guest) = (with_room(&store, one, 1), with_user(&store, one, 1));
    add(&store, one, theirs, guest);
    let intruder = with_user(&store, other, 2);
    for user in [guest, intruder] {
        let pair = Pair {
            tenant: other,
            room: theirs,
            user,
        };
        let outcome = block_on(membership::add(&store, pair));
        assert_eq!(outcome, Ok(Outcome::Missing(Missing::Room)));
        assert_eq!(block_on(access::is_member(&store, pair)), Ok(false));
    }
    assert_eq!(
        block_on(removal::remove_room(&store, other, theirs)),
        Ok(false)
    );
    assert_eq!(
        block_on(removal::remove_tenant(&store, &other_key)),
        Ok(true)
    );
    sweep(&store);
    assert_eq!(members(&store, one, theirs, 10), [guest]);
    assert!(
        !store
            .keys()
            .iter()
            .any(|key| key.starts_with(&other.to_string()))
    );
}

#[test]
fn everything_of_a_tenant_lies_under_its_prefix() {
    let store = Memory::default();
    let (app, key) = registered(&store, 1);
    let (room, user) = (with_room(&store, app, 1), with_user(&store, app, 1));
    add(&store, app, room, user);
    let prefix = format!("{app}/");
    for stored in store.keys() {
        assert!(
            stored.starts_with(&prefix) || stored.starts_with("index/"),
            "{stored}"
        );
        assert!(stored.len() < 256, "{stored}");
        let value = block_on(crate::Read::get(&store, &stored))
            .unwrap()
            .unwrap();
        let secret = key.to_string();
        let holds = value
            .windows(32)
            .any(|part| part == &secret.as_bytes()[7..]);
        assert!(
            !holds && !stored.contains(&secret[7..]),
            "the key is in {stored}"
        );
    }
}

#[test]
fn a_record_of_a_newer_version_stops_and_is_not_overwritten() {
    let store = Memory::default();
    let (app, key) = registered(&store, 1);
    let (room, user) = (with_room(&store, app, 1), with_user(&store, app, 1));
    add(&store, app, room, user);
    let pair = Pair {
        tenant: app,
        room,
        user,
    };
    let newer = |key: &str| Error::Record {
        key: key.to_owned(),
        error: RecordError::Newer(2),
    };
    let value = br#"{"v":2,"roles":["member"]}"#;
    store.put(&pair.key(), value);
    let writes = store.writes();
    let refused = newer(&pair.key());
    assert_eq!(
        block_on(membership::remove(&store, pair)),
        Err(refused.clone())
    );
    assert_eq!(
        block_on(membership::add(&store, pair)),
        Err(refused.clone())
    );
    assert_eq!(block_on(access::is_member(&store, pair)), Err(refused));
    store.put(&crate::key::app(app), value);
    let refused = newer(&crate::key::app(app));
    assert_eq!(block_on(removal::remove_tenant(&store, &key)), Err(refused));
    assert_eq!(store.writes(), writes);
}

#[test]
fn pages_end_where_cursors_say() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let room = with_room(&store, app, 1);
    let users: Vec<_> = (1..=25)
        .map(|number| with_user(&store, app, number))
        .collect();
    for &user in &users {
        add(&store, app, room, user);
    }
    for limit in [1, 7, 25, 100] {
        assert_eq!(members(&store, app, room, limit), users, "limit {limit}");
    }
    for (number, user) in users.iter().enumerate() {
        if number % 3 > 0 {
            let pair = Pair {
                tenant: app,
                room,
                user: *user,
            };
            block_on(membership::remove(&store, pair)).unwrap();
        }
    }
    let left: Vec<_> = users.iter().step_by(3).copied().collect();
    assert_eq!(members(&store, app, room, 4), left);
    for cursor in [
        "",
        "s",
        "s0",
        "1",
        "s-1",
        "s+1",
        "sx",
        "s10000000000000000",
        "s8000000000000000",
    ] {
        let page = membership::members(&store, app, room, Some(cursor), 10);
        assert_eq!(block_on(page), Err(Error::Cursor), "{cursor:?}");
    }
    let beyond = membership::members(&store, app, room, Some("s7fffffffffffffff"), 10);
    assert_eq!(block_on(beyond).unwrap().ids, []);
}
