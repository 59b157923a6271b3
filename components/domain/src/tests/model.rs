//! The model against plain sets: a few operations at a time, interleaved at each
//! operation of the store, some of them interrupted, and after each round what is
//! stored is held against what was acknowledged.

use super::calls::{Call, Done, Op, Round, called, round};
use super::schedule::{Step, Task, interleave};
use super::*;
use crate::access;
use crate::membership::Missing;
use crate::memory::Counters;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a room or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    /// An interrupted deletion may be finished by any sweep.
    Doomed,
    Dead,
}

struct Model {
    store: Memory,
    app: AppId,
    key: ApiKey,
    rooms: Vec<(RoomId, Life)>,
    users: Vec<(UserId, Life)>,
    members: BTreeMap<(RoomId, UserId), bool>,
    made: u64,
    crashed: bool,
}

impl Model {
    fn new(counters: Counters) -> Self {
        let store = Memory::yielding(counters);
        let (app, key) = registered(&store, 1);
        let mut model = Self {
            store,
            app,
            key,
            rooms: Vec::new(),
            users: Vec::new(),
            members: BTreeMap::new(),
            made: 0,
            crashed: false,
        };
        for _ in 0..3 {
            let number = model.number();
            let room = with_room(&model.store, app, number);
            model.rooms.push((room, Life::Alive));
            let user = with_user(&model.store, app, number);
            model.users.push((user, Life::Alive));
        }
        model
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn round(&mut self, round: &Round) {
        // Nobody knows the name of what is only being made.
        let known = (self.rooms.len(), self.users.len());
        let operations = round.operations.iter();
        let calls: Vec<Call> = operations.map(|&op| self.call(op, known)).collect();
        let mut choices = Choices(round.seed);
        let mut crashed = false;
        let mut stretch = (0, 0);
        let tasks = calls.iter().map(|&call| {
            let task: Task<'_, Done> = Box::pin(call.run(&self.store, self.app));
            task
        });
        let results = interleave(tasks.collect(), |running| {
            if choices.next(256) < round.crashes {
                crashed = true;
                return Step::Drop(choices.next(running));
            }
            Step::Run(choices.task(&mut stretch, running))
        });
        self.crashed |= crashed;
        let swept = calls.iter().any(|call| matches!(call, Call::Sweep));
        self.lives(&calls, &results, swept);
        self.memberships(&calls, &results);
        self.listings();
    }

    fn call(&mut self, op: Op, known: (usize, usize)) -> Call {
        let room = |place: usize| self.rooms[place % known.0].0;
        let user = |place: usize| self.users[place % known.1].0;
        let pair = |r, u| Pair {
            tenant: self.app,
            room: room(r),
            user: user(u),
        };
        match op {
            Op::Add(r, u) => Call::Add(pair(r, u)),
            Op::Remove(r, u) => Call::Remove(pair(r, u)),
            Op::RemoveRoom(r) => Call::RemoveRoom(room(r)),
            Op::RemoveUser(u) => Call::RemoveUser(user(u)),
            Op::Sweep => Call::Sweep,
            Op::CreateRoom => {
                let room = super::room(self.number());
                self.rooms.push((room, Life::Dead));
                Call::CreateRoom(room)
            }
            Op::CreateUser => {
                let user = super::user(self.number());
                self.users.push((user, Life::Dead));
                Call::CreateUser(user)
            }
        }
    }

    /// Holds the existence of rooms and users against what was done to them.
    fn lives(&mut self, calls: &[Call], results: &[Option<Done>], swept: bool) {
        let store = &self.store;
        for (room, life) in &mut self.rooms {
            let exists = block_on(tenant::room_exists(store, self.app, *room)).unwrap();
            let made = called(calls, results, Call::CreateRoom(*room));
            let removed = called(calls, results, Call::RemoveRoom(*room));
            *life = live_on(*life, exists, &made, &removed, swept);
        }
        for (user, life) in &mut self.users {
            let exists = block_on(tenant::user_exists(store, self.app, *user)).unwrap();
            let made = called(calls, results, Call::CreateUser(*user));
            let removed = called(calls, results, Call::RemoveUser(*user));
            *life = live_on(*life, exists, &made, &removed, swept);
        }
    }

    /// Holds each membership against the operations on it.
    fn memberships(&mut self, calls: &[Call], results: &[Option<Done>]) {
        for &(room, room_life) in &self.rooms {
            for &(user, user_life) in &self.users {
                let pair = Pair {
                    tenant: self.app,
                    room,
                    user,
                };
                let found = block_on(access::is_member(&self.store, pair)).unwrap();
                let dead = room_life == Life::Dead || user_life == Life::Dead;
                let adds = called(calls, results, Call::Add(pair));
                let removes = called(calls, results, Call::Remove(pair));
                let mut possible = BTreeSet::new();
                let before = self.members.get(&(room, user)).copied().unwrap_or(false);
                if adds.iter().chain(&removes).all(Option::is_none) {
                    possible.insert(before && !dead);
                }
                if !adds.is_empty() {
                    possible.insert(!dead);
                }
                if !removes.is_empty() {
                    possible.insert(false);
                }
                assert!(
                    possible.contains(&found),
                    "{pair:?}: {found}, not {possible:?}"
                );
                self.members.insert((room, user), found);
                let untouched = room_life == Life::Alive && user_life == Life::Alive;
                for outcome in adds.iter().chain(&removes).flatten() {
                    let missing = *outcome != Done::Changed(Outcome::Done);
                    assert!(!(missing && untouched), "{pair:?} was refused: {outcome:?}");
                    assert_ne!(*outcome, Done::Changed(Outcome::Missing(Missing::App)));
                }
            }
        }
    }

    /// Holds all listings against the truth, and the authority's against them.
    fn listings(&self) {
        let (store, app) = (&self.store, self.app);
        let alive = self.rooms.iter().filter(|(_, life)| *life != Life::Dead);
        let rooms: BTreeSet<RoomId> = alive.map(|(room, _)| *room).collect();
        let page = block_on(tenant::rooms(store, app, None, 1_000)).unwrap();
        exactly(&page.ids, &rooms);
        let alive = self.users.iter().filter(|(_, life)| *life != Life::Dead);
        let users: BTreeSet<UserId> = alive.map(|(user, _)| *user).collect();
        let page = block_on(tenant::users(store, app, None, 1_000)).unwrap();
        exactly(&page.ids, &users);
        for &room in &rooms {
            let of_room = users.iter().filter(|user| self.members[&(room, **user)]);
            exactly(&members(store, app, room, 3), &of_room.copied().collect());
        }
        for &user in &users {
            let of_user = rooms.iter().filter(|room| self.members[&(**room, user)]);
            let of_user: BTreeSet<RoomId> = of_user.copied().collect();
            exactly(&super::rooms(store, app, user), &of_user);
            let page = block_on(access::rooms(store, app, user, None))
                .unwrap()
                .unwrap();
            exactly(&page.ids, &of_user);
            for &other in users.iter().filter(|other| **other != user) {
                let share = rooms
                    .iter()
                    .filter(|room| self.members[&(**room, user)] && self.members[&(**room, other)]);
                let share: BTreeSet<RoomId> = share.copied().collect();
                let found = block_on(access::shared_rooms(store, app, user, other)).unwrap();
                assert_eq!(found.is_some(), !share.is_empty());
                let found = found.unwrap_or_default();
                assert_eq!(found.len(), share.len().min(access::SHARED_ROOMS));
                assert!(found.iter().all(|room| share.contains(room)));
            }
        }
    }

    /// Finishes what is unfinished. Where nothing crashed, no key of what is dead is
    /// left, and after the deletion of the tenant no key at all.
    fn finish(mut self) {
        sweep(&self.store);
        let nothing = [Call::Sweep];
        self.lives(&nothing, &[Some(Done::Swept)], true);
        self.memberships(&[], &[]);
        self.listings();
        if !self.crashed {
            let dead_rooms = self.rooms.iter().filter(|(_, life)| *life == Life::Dead);
            let dead_users = self.users.iter().filter(|(_, life)| *life == Life::Dead);
            let dead: Vec<String> = dead_rooms
                .map(|(room, _)| room.to_string())
                .chain(dead_users.map(|(user, _)| user.to_string()))
                .collect();
            for key in self.store.keys() {
                assert!(!dead.iter().any(|id| key.contains(id)), "{key} is left");
            }
        }
        assert_eq!(
            block_on(removal::remove_tenant(&self.store, &self.key)),
            Ok(true)
        );
        sweep(&self.store);
        for (room, _) in &self.rooms {
            for (user, _) in &self.users {
                let pair = Pair {
                    tenant: self.app,
                    room: *room,
                    user: *user,
                };
                assert_eq!(block_on(access::is_member(&self.store, pair)), Ok(false));
            }
        }
        if !self.crashed {
            let left = self.store.keys();
            assert!(
                left.iter().all(|key| key.starts_with("index/doomed/free/")),
                "{left:#?}"
            );
            assert!(left.len() <= 2, "{left:#?}");
        }
    }
}

/// What a room or a user is after a round, given whether its record exists.
fn live_on(
    before: Life,
    exists: bool,
    made: &[Option<Done>],
    removed: &[Option<Done>],
    swept: bool,
) -> Life {
    let made_for_sure = made.contains(&Some(Done::Made(true)));
    let removed_for_sure = removed.contains(&Some(Done::Removed(true)));
    let may_exist = before != Life::Dead || !made.is_empty();
    assert!(!exists || (may_exist && !removed_for_sure));
    let must_exist = before == Life::Alive || made_for_sure;
    let may_go = !removed.is_empty() || (before == Life::Doomed && swept);
    assert!(exists || !must_exist || may_go);
    match (exists, before) {
        (false, _) => Life::Dead,
        (true, Life::Doomed) => Life::Doomed,
        (true, _) if !removed.is_empty() => Life::Doomed,
        (true, _) => Life::Alive,
    }
}

/// Each once, and no other.
fn exactly<T: Ord + Copy + std::fmt::Debug>(found: &[T], wanted: &BTreeSet<T>) {
    let set: BTreeSet<T> = found.iter().copied().collect();
    assert_eq!(found.len(), set.len(), "listed twice: {found:?}");
    assert_eq!(&set, wanted);
}

/// Two thousand cases take some seconds; PROPTEST_CASES may ask for more.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(2_000),
        failure_persistence: None,
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn interleaved_operations_lose_nothing(
        rounds in prop::collection::vec(round(0), 1..24),
        text in any::<bool>(),
    ) {
        let counters = if text { Counters::Text } else { Counters::Bytes };
        let mut model = Model::new(counters);
        for round in &rounds {
            model.round(round);
        }
        model.finish();
    }

    #[test]
    fn interrupted_operations_leave_nothing_half_made(
        rounds in prop::collection::vec(round(12), 1..24),
    ) {
        let mut model = Model::new(Counters::Bytes);
        for round in &rounds {
            model.round(round);
        }
        model.finish();
    }
}
