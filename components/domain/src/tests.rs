//! Tests of the whole model.

use crate::id::{ApiKey, AppId, RoomId, UserId};
use crate::kv::Error;
use crate::membership::{self, Missing, Outcome, Pair};
use crate::memory::{Counters, Memory, block_on};
use crate::record::{App, Secret};
use crate::{removal, tenant};

pub(crate) fn bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[0..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes
}

pub(crate) fn room(number: u64) -> RoomId {
    RoomId::from_random(bytes(number))
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::from_random(bytes(number))
}

pub(crate) fn registered(store: &Memory, number: u64) -> (AppId, ApiKey) {
    let id = AppId::from_random(bytes(number));
    let key = ApiKey::from_random(bytes(number));
    let app = App {
        key: key.digest(),
        label: None,
        require_token: false,
        secrets: vec![Secret::from_random([1; 32])],
    };
    block_on(tenant::register(store, id, &app)).unwrap();
    (id, key)
}

#[test]
fn the_life_of_a_tenant() -> Result<(), Error> {
    for counters in [Counters::Bytes, Counters::Text] {
        let store = Memory::new(counters);
        let (app, key) = registered(&store, 1);
        let found = block_on(tenant::authenticate(&store, &key))?.unwrap();
        assert_eq!(found.id, app);
        for n in 1..=3 {
            assert!(block_on(tenant::create_room(&store, app, room(n)))?);
            assert!(block_on(tenant::create_user(&store, app, user(n)))?);
        }
        let pair = |r, u| Pair {
            tenant: app,
            room: room(r),
            user: user(u),
        };
        for (r, u) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
            assert_eq!(
                block_on(membership::add(&store, pair(r, u)))?,
                Outcome::Done
            );
        }
        let members = |r| block_on(membership::members(&store, app, room(r), None, 100));
        assert_eq!(members(1)?.ids, [user(1), user(2)]);
        block_on(membership::remove(&store, pair(1, 1)))?;
        assert_eq!(members(1)?.ids, [user(2)]);
        block_on(membership::add(&store, pair(1, 1)))?;
        assert_eq!(members(1)?.ids, [user(1), user(2)]);
        assert_eq!(
            block_on(membership::add(&store, pair(9, 1)))?,
            Outcome::Missing(Missing::Room)
        );
        assert!(block_on(removal::remove_room(&store, app, room(1)))?);
        assert!(!block_on(removal::remove_room(&store, app, room(1)))?);
        let rooms = block_on(membership::rooms(&store, app, user(1), None, 100))?;
        assert_eq!(rooms.ids, [room(2)]);
        assert!(block_on(removal::remove_user(&store, app, user(3)))?);
        assert!(block_on(removal::remove_tenant(&store, &key))?);
        assert!(!block_on(removal::remove_tenant(&store, &key))?);
        assert!(block_on(tenant::authenticate(&store, &key))?.is_none());
        while block_on(removal::sweep(&store))? {}
        let left = store.keys();
        assert_eq!(left, ["index/doomed/free/head", "index/doomed/free/tail"]);
    }
    Ok(())
}
