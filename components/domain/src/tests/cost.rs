//! What operations cost, in operations of the store.

use super::schedule::{Step, Task, interleave};
use super::*;
use crate::memory::Counters;
use crate::roster::Roster;

fn cost<T>(store: &Memory, of: impl FnOnce() -> T) -> (u64, T) {
    let before = store.operations();
    let result = of();
    (store.operations() - before, result)
}

#[test]
fn the_10_000th_add_costs_what_the_10th_did() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let room = with_room(&store, app, 1);
    let mut costs = Vec::new();
    for number in 1..=10_000 {
        let user = with_user(&store, app, number);
        costs.push(cost(&store, || add(&store, app, room, user)).0);
    }
    assert!(
        costs[9_999] <= 2 * costs[9],
        "{} {}",
        costs[9],
        costs[9_999]
    );
    assert_eq!(costs.iter().max(), costs.iter().min());
    let (listing, page) = cost(&store, || {
        block_on(membership::members(&store, app, room, None, 1_000)).unwrap()
    });
    assert_eq!(page.ids.len(), 1_000);
    assert_eq!(listing, 1 + 3 * 1_000);
}

#[test]
fn churn_of_members_leaves_listing_as_cheap_as_in_a_fresh_room() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let (room, fresh) = (with_room(&store, app, 1), with_room(&store, app, 2));
    let stays = with_user(&store, app, 0);
    add(&store, app, room, stays);
    add(&store, app, fresh, stays);
    for number in 1..=100_000 {
        let user = with_user(&store, app, number);
        add(&store, app, room, user);
        assert_eq!(block_on(removal::remove_user(&store, app, user)), Ok(true));
    }
    let list = |room| cost(&store, || members(&store, app, room, 1_000));
    let ((churned, listed), (cheap, _)) = (list(room), list(fresh));
    assert_eq!(listed, [stays]);
    assert!(churned <= 2 * cheap, "{churned} {cheap}");
    let (listing, page) = cost(&store, || {
        block_on(tenant::users(&store, app, None, 1_000)).unwrap()
    });
    assert_eq!(page.ids, [stays]);
    assert!(listing <= 2 * 3, "{listing}");
    // Nor does anything else pile up.
    sweep(&store);
    assert!(store.keys().len() < 40, "{:#?}", store.keys());
}

#[test]
fn churn_of_rooms_leaves_listing_as_cheap_as_for_a_fresh_user() {
    let store = Memory::new(Counters::Text);
    let (app, _) = registered(&store, 1);
    let user = with_user(&store, app, 1);
    // Three rooms live at any time.
    for number in 1..=100_000 {
        let room = with_room(&store, app, number);
        add(&store, app, room, user);
        if number > 3 {
            let old = super::room(number - 3);
            assert_eq!(block_on(removal::remove_room(&store, app, old)), Ok(true));
        }
    }
    let (churned, listed) = cost(&store, || rooms(&store, app, user));
    assert_eq!(listed.len(), 3);
    let other = with_user(&store, app, 2);
    for &room in &listed {
        add(&store, app, room, other);
    }
    let (cheap, _) = cost(&store, || rooms(&store, app, other));
    assert!(churned <= 2 * cheap, "{churned} {cheap}");
    let (listing, page) = cost(&store, || {
        block_on(tenant::rooms(&store, app, None, 1_000)).unwrap()
    });
    assert_eq!(page.ids.len(), 3);
    assert!(listing <= 2 * 7, "{listing}");
}

#[test]
fn adding_and_removing_again_and_again_takes_one_slot() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let (room, user) = (with_room(&store, app, 1), with_user(&store, app, 1));
    let pair = Pair {
        tenant: app,
        room,
        user,
    };
    for _ in 0..1_000 {
        add(&store, app, room, user);
        assert_eq!(
            block_on(membership::remove(&store, pair)),
            Ok(Outcome::Done)
        );
    }
    let roster = Roster::members_of_room(app, room);
    assert_eq!(block_on(roster.count(&store)), Ok(1));
}

#[test]
fn churn_by_many_at_once_takes_about_as_many_slots_as_they_are() {
    const WRITERS: u64 = 8;
    let store = Memory::yielding(Counters::Bytes);
    let (app, _) = registered(&store, 1);
    let room = with_room(&store, app, 1);
    let mut choices = Choices(7);
    for round in 0..2_000 {
        let tasks = (0..WRITERS).map(|writer| {
            let user = user(round * WRITERS + writer);
            let store = &store;
            let task: Task<'_, ()> = Box::pin(async move {
                let pair = Pair {
                    tenant: app,
                    room,
                    user,
                };
                assert_eq!(tenant::create_user(store, app, user).await, Ok(true));
                assert_eq!(membership::add(store, pair).await, Ok(Outcome::Done));
                assert_eq!(removal::remove_user(store, app, user).await, Ok(true));
            });
            task
        });
        let mut stretch = (0, 0);
        interleave(tasks.collect(), |running| {
            Step::Run(choices.task(&mut stretch, running))
        });
    }
    let count = block_on(Roster::members_of_room(app, room).count(&store)).unwrap();
    assert!(count <= 2 * WRITERS, "{count} slots in the room");
    let count = block_on(Roster::users_of_tenant(app).count(&store)).unwrap();
    assert!(count <= 2 * WRITERS, "{count} slots in the tenant");
    assert_eq!(members(&store, app, room, 1_000), []);
}

#[test]
fn sixty_four_writers_on_one_room_lose_nothing() {
    for seed in 0..32 {
        let counters = [Counters::Bytes, Counters::Text][seed % 2];
        let store = Memory::yielding(counters);
        let (app, _) = registered(&store, 1);
        let room = with_room(&store, app, 1);
        let mut choices = Choices(seed as u64);
        // Some slots are free to be used again, so that all wells are drawn from.
        for number in 1_000..1_020 {
            let user = with_user(&store, app, number);
            add(&store, app, room, user);
            assert_eq!(block_on(removal::remove_user(&store, app, user)), Ok(true));
        }
        let users: Vec<_> = (0..64)
            .map(|number| with_user(&store, app, number))
            .collect();
        let tasks = users.iter().enumerate().map(|(number, &user)| {
            let pair = Pair {
                tenant: app,
                room,
                user,
            };
            let store = &store;
            let task: Task<'_, ()> = Box::pin(async move {
                assert_eq!(membership::add(store, pair).await, Ok(Outcome::Done));
                if number % 2 == 0 {
                    assert_eq!(membership::remove(store, pair).await, Ok(Outcome::Done));
                }
            });
            task
        });
        let mut stretch = (0, 0);
        interleave(tasks.collect(), |running| {
            Step::Run(choices.task(&mut stretch, running))
        });
        let mut stay: Vec<_> = users.iter().skip(1).step_by(2).copied().collect();
        let mut found = members(&store, app, room, 10);
        stay.sort();
        found.sort();
        assert_eq!(found, stay, "seed {seed}");
        for user in stay {
            assert_eq!(rooms(&store, app, user), [room]);
        }
    }
}

#[test]
fn a_big_tenant_goes_in_bounded_steps() {
    let store = Memory::default();
    let (app, key) = registered(&store, 1);
    let room = with_room(&store, app, 1);
    for number in 1..=2_000 {
        let user = with_user(&store, app, number);
        add(&store, app, room, user);
    }
    let (first, removed) = cost(&store, || block_on(removal::remove_tenant(&store, &key)));
    assert_eq!(removed, Ok(true));
    assert_eq!(
        block_on(tenant::authenticate(&store, &key)).map(|it| it.is_none()),
        Ok(true)
    );
    assert!(first < 2_000, "{first} operations in one request");
    let (again, removed) = cost(&store, || block_on(removal::remove_tenant(&store, &key)));
    assert_eq!(removed, Ok(true), "a repeated deletion goes on");
    assert!(again < 2_000, "{again} operations in one request");
    let mut steps = 0;
    loop {
        let (step, more) = cost(&store, || block_on(removal::sweep(&store)));
        assert!(step < 2_000, "{step} operations in one step");
        steps += 1;
        if !more.unwrap() {
            break;
        }
    }
    assert!(steps > 3, "{steps} steps");
    assert_eq!(block_on(removal::remove_tenant(&store, &key)), Ok(false));
    let left = store.keys();
    assert_eq!(left, ["index/doomed/free/head", "index/doomed/free/tail"]);
}

#[test]
fn a_big_room_goes_in_bounded_steps_and_grants_nothing_from_the_first_on() {
    let store = Memory::default();
    let (app, _) = registered(&store, 1);
    let (big, small) = (with_room(&store, app, 1), with_room(&store, app, 2));
    let users: Vec<_> = (1..=1_000)
        .map(|number| with_user(&store, app, number))
        .collect();
    for &user in &users {
        add(&store, app, big, user);
        add(&store, app, small, user);
    }
    let (first, removed) = cost(&store, || block_on(removal::remove_room(&store, app, big)));
    assert_eq!(removed, Ok(true));
    assert!(first < 2_000, "{first} operations in one request");
    for &user in &users {
        assert_eq!(rooms(&store, app, user), [small]);
    }
    assert!(sweep(&store) >= 2);
    let keys = store.keys();
    let of_big: Vec<_> = keys
        .iter()
        .filter(|key| key.contains(&big.to_string()))
        .collect();
    assert_eq!(of_big, Vec::<&String>::new());
}
