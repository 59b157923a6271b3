//! Every operation interrupted after every one of its steps.

use super::schedule::{Step, Task, interleave};
use super::*;
use crate::access;
use crate::memory::Counters;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

struct World {
    store: Memory,
    app: AppId,
    key: ApiKey,
    room: RoomId,
    other_room: RoomId,
    user: UserId,
    other_user: UserId,
}

impl World {
    /// A tenant with two rooms and two users; some slots were freed before.
    fn new() -> Self {
        let store = Memory::yielding(Counters::Bytes);
        let (app, key) = registered(&store, 1);
        let world = Self {
            app,
            key,
            room: with_room(&store, app, 1),
            other_room: with_room(&store, app, 2),
            user: with_user(&store, app, 1),
            other_user: with_user(&store, app, 2),
            store,
        };
        let (dead_room, dead_user) = (
            with_room(&world.store, app, 3),
            with_user(&world.store, app, 3),
        );
        add(&world.store, app, world.room, dead_user);
        add(&world.store, app, dead_room, world.user);
        add(&world.store, app, world.other_room, world.other_user);
        assert_eq!(
            block_on(removal::remove_room(&world.store, app, dead_room)),
            Ok(true)
        );
        assert_eq!(
            block_on(removal::remove_user(&world.store, app, dead_user)),
            Ok(true)
        );
        world
    }

    fn pair(&self, room: RoomId, user: UserId) -> Pair {
        Pair {
            tenant: self.app,
            room,
            user,
        }
    }

    fn member(&self, room: RoomId, user: UserId) -> bool {
        block_on(access::is_member(&self.store, self.pair(room, user))).unwrap()
    }

    /// Whatever happened, listings and entries agree in both directions.
    fn consistent(&self) {
        if block_on(tenant::authenticate(&self.store, &self.key))
            .unwrap()
            .is_none()
        {
            for room in [self.room, self.other_room] {
                assert!(!self.member(room, self.user) && !self.member(room, self.other_user));
            }
            return;
        }
        for room in [self.room, self.other_room] {
            let alive = block_on(tenant::room_exists(&self.store, self.app, room)).unwrap();
            let listed = if alive {
                members(&self.store, self.app, room, 100)
            } else {
                Vec::new()
            };
            for user in [self.user, self.other_user] {
                let member = self.member(room, user);
                assert_eq!(listed.contains(&user), member);
                let exists = block_on(tenant::user_exists(&self.store, self.app, user)).unwrap();
                if exists {
                    let in_rooms = rooms(&self.store, self.app, user).contains(&room);
                    assert_eq!(in_rooms, member);
                }
            }
        }
    }
}

/// What is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Remove,
    CreateRoom,
    CreateUser,
    RemoveRoom,
    RemoveUser,
    RemoveTenant,
    Sweep,
}

impl Operation {
    async fn run(self, world: &World) {
        let (store, app) = (&world.store, world.app);
        let joins = world.pair(world.room, world.user);
        let leaves = world.pair(world.other_room, world.other_user);
        match self {
            Self::Add => assert_eq!(membership::add(store, joins).await, Ok(Outcome::Done)),
            Self::Remove => assert_eq!(membership::remove(store, leaves).await, Ok(Outcome::Done)),
            Self::CreateRoom => {
                assert_eq!(tenant::create_room(store, app, room(9)).await, Ok(true));
            }
            Self::CreateUser => {
                assert_eq!(tenant::create_user(store, app, user(9)).await, Ok(true));
            }
            Self::RemoveRoom => {
                removal::remove_room(store, app, world.other_room)
                    .await
                    .unwrap();
            }
            Self::RemoveUser => {
                removal::remove_user(store, app, world.other_user)
                    .await
                    .unwrap();
            }
            Self::RemoveTenant => {
                removal::remove_tenant(store, &world.key).await.unwrap();
            }
            Self::Sweep => {
                removal::sweep(store).await.unwrap();
            }
        }
    }

    /// What must hold once it was acknowledged.
    fn check(self, world: &World) {
        let (store, app) = (&world.store, world.app);
        let unchanged = world.member(world.other_room, world.other_user);
        match self {
            Self::Add => assert!(world.member(world.room, world.user) && unchanged),
            Self::Remove => assert!(!unchanged),
            Self::CreateRoom => {
                let page = block_on(tenant::rooms(store, app, None, 100)).unwrap();
                assert!(page.ids.contains(&room(9)) && unchanged);
            }
            Self::CreateUser => {
                let page = block_on(tenant::users(store, app, None, 100)).unwrap();
                assert!(page.ids.contains(&user(9)) && unchanged);
                let leads_to = block_on(access::tenant_of_user(store, user(9)));
                assert_eq!(leads_to, Ok(Some(app)));
            }
            Self::RemoveRoom => {
                let page = block_on(tenant::rooms(store, app, None, 100)).unwrap();
                assert!(!page.ids.contains(&world.other_room) && !unchanged);
            }
            Self::RemoveUser => {
                let page = block_on(tenant::users(store, app, None, 100)).unwrap();
                assert!(!page.ids.contains(&world.other_user) && !unchanged);
            }
            Self::RemoveTenant => {
                let found = block_on(tenant::authenticate(store, &world.key)).unwrap();
                assert!(found.is_none() && !unchanged);
            }
            Self::Sweep => assert!(unchanged),
        }
    }
}

/// Polls at most `steps` times. Says whether the future came to its end; one that
/// did not is dropped, as by a crash.
fn polled(future: impl Future<Output = ()>, steps: usize) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..steps).any(|_| future.as_mut().poll(&mut context) == Poll::Ready(()))
}

#[test]
fn an_interruption_anywhere_leaves_nothing_half_made() {
    for operation in [
        Operation::Add,
        Operation::Remove,
        Operation::CreateRoom,
        Operation::CreateUser,
        Operation::RemoveRoom,
        Operation::RemoveUser,
        Operation::RemoveTenant,
        Operation::Sweep,
    ] {
        let mut steps = 0;
        loop {
            let world = World::new();
            let finished = polled(operation.run(&world), steps);
            world.consistent();
            if finished {
                operation.check(&world);
                break;
            }
            sweep(&world.store);
            world.consistent();
            // Whoever was interrupted tries again.
            block_on(operation.run(&world));
            operation.check(&world);
            sweep(&world.store);
            world.consistent();
            operation.check(&world);
            steps += 1;
        }
        assert!(steps > 3, "{operation:?} has only {steps} steps");
    }
}

#[test]
fn an_interrupted_deletion_of_a_tenant_leaves_nothing_behind() {
    let mut steps = 0;
    loop {
        let world = World::new();
        let finished = polled(Operation::RemoveTenant.run(&world), steps);
        block_on(Operation::RemoveTenant.run(&world));
        sweep(&world.store);
        let left = world.store.keys();
        let head_and_tail = left.iter().all(|key| key.starts_with("index/doomed/free/"));
        assert!(
            head_and_tail && left.len() <= 2,
            "after {steps} steps: {left:#?}"
        );
        if finished {
            return;
        }
        steps += 1;
    }
}

/// A removal too big for one step takes its place in the queue while a sweep looks
/// at the queue: however the two meet, later sweeps finish it.
#[test]
fn a_removal_is_not_lost_between_two_looks_of_a_sweep() {
    let furnished = Memory::yielding(Counters::Bytes);
    let (app, _) = registered(&furnished, 1);
    let big = with_room(&furnished, app, 1);
    for number in 0..=removal::SLOTS_PER_STEP {
        let user = with_user(&furnished, app, number);
        add(&furnished, app, big, user);
    }
    for (first, looks, second) in (0..6)
        .flat_map(|first| (0..8).map(move |looks| (first, looks)))
        .flat_map(|(first, looks)| (0..6).map(move |second| (first, looks, second)))
    {
        let store = furnished.clone();
        let remove = async { removal::remove_room(&store, app, big).await.unwrap() };
        let look = async { removal::sweep(&store).await.unwrap() };
        let (mut remove, mut look) = (pin!(remove), pin!(look));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..first {
            assert_eq!(remove.as_mut().poll(&mut context), Poll::Pending);
        }
        let looked = (0..looks).any(|_| look.as_mut().poll(&mut context).is_ready());
        for _ in 0..second {
            assert_eq!(remove.as_mut().poll(&mut context), Poll::Pending);
        }
        if !looked {
            block_on(look);
        }
        assert!(block_on(remove));
        sweep(&store);
        let left = store.keys();
        let left: Vec<_> = left
            .iter()
            .filter(|key| key.contains(&big.to_string()))
            .collect();
        assert_eq!(left, Vec::<&String>::new(), "{first} {looks} {second}");
    }
}

/// Two sweeps work on the same removal, and one comes to its end while the other is
/// about to write down how far it came.
#[test]
fn a_removal_that_two_work_on_ends_once() {
    let furnished = Memory::yielding(Counters::Bytes);
    let (app, _) = registered(&furnished, 1);
    let big = with_room(&furnished, app, 1);
    for number in 0..3 * removal::SLOTS_PER_STEP {
        let user = with_user(&furnished, app, number);
        add(&furnished, app, big, user);
    }
    assert_eq!(
        block_on(removal::remove_room(&furnished, app, big)),
        Ok(true)
    );
    let mut context = Context::from_waker(Waker::noop());
    let whole = furnished.clone();
    block_on(removal::sweep(&whole)).unwrap();
    let steps = usize::try_from(whole.operations() - furnished.operations()).unwrap();
    // Its last operations are what races.
    for pause in steps - 8..steps {
        let store = furnished.clone();
        let mut slow = pin!(async { removal::sweep(&store).await.unwrap() });
        for _ in 0..=pause {
            assert_eq!(slow.as_mut().poll(&mut context), Poll::Pending);
        }
        sweep(&store);
        // The next one that looks passes over the place that is finished.
        sweep(&store);
        block_on(slow);
        sweep(&store);
        let left = store.keys();
        let of_big = |key: &&String| key.contains(&big.to_string());
        assert_eq!(left.iter().filter(of_big).count(), 0, "after {pause} steps");
        let queued = left.iter().filter(|key| key.starts_with("index/doomed/"));
        assert_eq!(
            queued.count(),
            2,
            "after {pause} steps: more than head and tail"
        );
    }
}

/// Whatever goes on under a tenant while it is deleted: nothing of it is left.
#[test]
fn a_tenant_that_is_deleted_amid_all_kinds_of_work_leaves_nothing() {
    for seed in 0..4_000 {
        let world = World::new();
        let (store, app) = (&world.store, world.app);
        let (left, key) = (&world, &world.key);
        let mut tasks: Vec<Task<'_, ()>> = vec![
            Box::pin(async move {
                assert_eq!(removal::remove_tenant(store, key).await, Ok(true));
            }),
            Box::pin(async move {
                removal::sweep(store).await.unwrap();
            }),
        ];
        let mut choices = Choices(seed);
        for number in 0..4 {
            let room = [left.room, left.other_room][choices.next(2)];
            let user = [left.user, left.other_user][choices.next(2)];
            let pair = left.pair(room, user);
            let work = choices.next(6);
            tasks.push(Box::pin(async move {
                match work {
                    0 => drop(membership::add(store, pair).await.unwrap()),
                    1 => drop(membership::remove(store, pair).await.unwrap()),
                    2 => drop(removal::remove_room(store, app, room).await.unwrap()),
                    3 => drop(removal::remove_user(store, app, user).await.unwrap()),
                    4 => drop(
                        tenant::create_room(store, app, super::room(9 + number))
                            .await
                            .unwrap(),
                    ),
                    _ => drop(
                        tenant::create_user(store, app, super::user(9 + number))
                            .await
                            .unwrap(),
                    ),
                }
            }));
        }
        let mut stretch = (0, 0);
        interleave(tasks, |running| {
            Step::Run(choices.task(&mut stretch, running))
        });
        world.consistent();
        sweep(store);
        let left = store.keys();
        let queue = left.iter().all(|key| key.starts_with("index/doomed/free/"));
        assert!(queue && left.len() <= 2, "seed {seed}: {left:#?}");
    }
}
