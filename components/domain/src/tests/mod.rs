//! Tests of the whole model, over the store in memory.

mod calls;
mod cost;
mod crash;
mod life;
mod model;
mod policy;
mod revocation;
mod schedule;

use crate::id::{ApiKey, AppId, RoomId, UserId};
use crate::membership::{self, Outcome, Pair};
use crate::memory::{Memory, block_on};
use crate::record::{App, Secret};
use crate::{removal, tenant};

/// Random-looking bytes that differ for every number.
fn bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes[0..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes
}

fn room(number: u64) -> RoomId {
    RoomId::from_random(bytes(number))
}

fn user(number: u64) -> UserId {
    UserId::from_random(bytes(number))
}

fn registered(store: &Memory, number: u64) -> (AppId, ApiKey) {
    let id = AppId::from_random(bytes(number));
    let key = ApiKey::from_random(bytes(number + 1_000_000));
    let app = App {
        key: key.digest(),
        label: None,
        require_token: false,
        secrets: vec![Secret::from_random([1; 32])],
    };
    block_on(tenant::register(store, id, &app)).unwrap();
    (id, key)
}

fn with_room(store: &Memory, tenant: AppId, number: u64) -> RoomId {
    let made = block_on(tenant::create_room(store, tenant, room(number)));
    assert_eq!(made, Ok(true));
    room(number)
}

fn with_user(store: &Memory, tenant: AppId, number: u64) -> UserId {
    let made = block_on(tenant::create_user(store, tenant, user(number)));
    assert_eq!(made, Ok(true));
    user(number)
}

fn add(store: &Memory, tenant: AppId, room: RoomId, user: UserId) {
    let added = block_on(membership::add(store, Pair { tenant, room, user }));
    assert_eq!(added, Ok(Outcome::Done));
}

/// All members of a room, page by page, in the order of the listing.
fn members(store: &Memory, tenant: AppId, room: RoomId, limit: usize) -> Vec<UserId> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = membership::members(store, tenant, room, cursor.as_deref(), limit);
        let page = block_on(page).unwrap();
        assert!(page.ids.len() <= limit);
        all.extend(page.ids);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

/// All rooms of a user, in the order of the listing.
fn rooms(store: &Memory, tenant: AppId, user: UserId) -> Vec<RoomId> {
    let page = block_on(membership::rooms(store, tenant, user, None, 1_000)).unwrap();
    assert_eq!(page.next, None);
    page.ids
}

/// Sweeps until nothing is left to do. Returns how many steps it took.
fn sweep(store: &Memory) -> usize {
    let mut steps = 0;
    while block_on(removal::sweep(store)).unwrap() {
        steps += 1;
        assert!(steps < 100_000, "a sweep without end");
    }
    steps
}

/// A small generator of choices (an LCG), so that a schedule can be repeated.
struct Choices(u64);

impl Choices {
    fn next(&mut self, below: usize) -> usize {
        let factor = 6_364_136_223_846_793_005;
        self.0 = self
            .0
            .wrapping_mul(factor)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    /// Which of the running tasks goes on. Some go on for long at a stretch, for a
    /// race may need one to do much while another does nothing.
    fn task(&mut self, stretch: &mut (usize, usize), running: usize) -> usize {
        let (task, left) = *stretch;
        if left > 0 && task < running {
            *stretch = (task, left - 1);
            return task;
        }
        let task = self.next(running);
        *stretch = (task, [0, 0, 1, 4, 16, 64][self.next(6)]);
        task
    }
}
