//! What has to be true of every schedule, and that a wrong evaluation is found out.

use crate::fence::{Held, Watcher};
use crate::sync::Arc;
use crate::world::{KEYS, Manner, World};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};

/// Schedules of each kind.
const SCHEDULES: usize = 10_000;

/// At how many places the priorities of threads change.
const DEPTH: usize = 4;

fn in_every_schedule(scene: fn()) {
    let config = Config::default;
    Runner::new(RandomScheduler::new(SCHEDULES), config()).run(scene);
    Runner::new(PctScheduler::new(DEPTH, SCHEDULES), config()).run(scene);
}

fn join<T>(threads: impl IntoIterator<Item = thread::JoinHandle<T>>) -> Vec<T> {
    let joined = threads.into_iter().map(|it| it.join().unwrap());
    joined.collect()
}

/// Threads that decide and look, beside threads that write.
fn race(manner: Manner, decide: fn(&World, Manner) -> Arc<crate::world::Derived>) {
    let world = Arc::<World>::default();
    let writers = (0..KEYS.len()).map(|key| {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            world.write(key);
            world.write(key);
        })
    });
    let writers: Vec<_> = writers.collect();
    let deciders = (0..2).map(|_| {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            for _ in 0..2 {
                let derived = decide(&world, manner);
                world.check(&derived);
                // What is kept is asked again before it is used.
                world.check(&derived);
                if let Some(remembered) = world.remembered(0) {
                    world.check(&remembered);
                }
            }
        })
    });
    let deciders: Vec<_> = deciders.collect();
    join(writers);
    join(deciders);
    for place in 0..2 {
        if let Some(remembered) = world.remembered(place) {
            world.check(&remembered);
        }
    }
    world.forget();
    assert_eq!(world.index.keys(), 0, "what is dropped leaves the index");
}

#[test]
fn nothing_older_than_an_acknowledged_write_is_live() {
    in_every_schedule(|| race(Manner::Right, World::decide));
}

#[test]
fn what_is_adopted_is_no_older_either() {
    in_every_schedule(|| race(Manner::Right, World::decide_in_two));
}

#[test]
#[should_panic(expected = "is live after")]
fn reading_before_noting_is_found_out() {
    in_every_schedule(|| race(Manner::ReadsFirst, World::decide));
}

#[test]
#[should_panic(expected = "is live after")]
fn adopting_what_has_ended_is_found_out() {
    in_every_schedule(|| race(Manner::Trusting, World::decide_in_two));
}

/// A holder uses what it holds again and again beside writers, and looks at the thing itself
/// only where the count of ends has moved.
#[test]
fn what_is_held_stands_no_longer_than_it_lives() {
    in_every_schedule(|| {
        let world = Arc::<World>::default();
        let writers = (0..KEYS.len()).map(|key| {
            let world = Arc::clone(&world);
            thread::spawn(move || world.write(key))
        });
        let writers: Vec<_> = writers.collect();
        let holders = [true, false].map(|lasting| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let derived = world.decide_in_two(Manner::Right);
                let mut held = Held::new(derived, lasting);
                for _ in 0..3 {
                    world.check_held(&mut held);
                }
                assert!(lasting || !held.stands(&world.index.ends()));
            })
        });
        join(writers);
        join(holders);
        world.forget();
    });
}

#[test]
fn a_lost_feed_ends_everything() {
    in_every_schedule(|| {
        let world = Arc::<World>::default();
        let writer = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.write_unseen(0);
                world.write(1);
                world.write_unseen(1);
            })
        };
        let deciders = (0..2).map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                for _ in 0..2 {
                    let derived = world.decide_in_two(Manner::Right);
                    world.check(&derived);
                }
            })
        });
        let deciders: Vec<_> = deciders.collect();
        join([writer]);
        join(deciders);
        if let Some(remembered) = world.remembered(0) {
            world.check(&remembered);
        }
        world.forget();
        assert_eq!(world.index.keys(), 0);
    });
}

/// Those who watch are named once when it ends, and before the write is acknowledged; who
/// comes too late is told so.
#[test]
fn watchers_are_told_exactly_once() {
    in_every_schedule(|| {
        let world = Arc::<World>::default();
        let derived = world.decide(Manner::Right);
        let writers = (0..KEYS.len()).map(|key| {
            let world = Arc::clone(&world);
            let derived = Arc::clone(&derived);
            thread::spawn(move || {
                world.write(key);
                assert!(!derived.is_live());
            })
        });
        let writers: Vec<_> = writers.collect();
        let watchers = (0..3).map(|watcher: Watcher| {
            let world = Arc::clone(&world);
            let derived = Arc::clone(&derived);
            thread::spawn(move || {
                let watched = derived.watch(watcher);
                world.check_told(&derived, watcher);
                if watched && watcher == 2 {
                    derived.unwatch(watcher);
                    let told = world.told(watcher);
                    return (watcher, told, false);
                }
                (watcher, usize::from(watched), true)
            })
        });
        let watchers: Vec<_> = watchers.collect();
        join(writers);
        for (watcher, expected, stayed) in join(watchers) {
            let told = world.told(watcher);
            if stayed {
                assert_eq!(told, expected, "watcher {watcher}");
            } else {
                assert!(told <= 1, "watcher {watcher}");
            }
        }
        drop(derived);
        world.forget();
        assert_eq!(world.index.keys(), 0);
    });
}

/// The last reference may go while a change ends the same thing.
#[test]
fn dropping_and_ending_at_once_leave_nothing() {
    in_every_schedule(|| {
        let world = Arc::<World>::default();
        let droppers = (0..2).map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                let derived = world.decide_in_two(Manner::Right);
                world.forget();
                drop(derived);
            })
        });
        let droppers: Vec<_> = droppers.collect();
        let writer = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.write(1);
                world.write_unseen(0);
            })
        };
        join(droppers);
        join([writer]);
        world.forget();
        assert_eq!(world.index.keys(), 0);
    });
}
