//! Changes interrupted after every step, and changes at once: places are whole at any
//! moment, and nothing is left behind.

use super::super::schedule::{Step, Task, interleave};
use super::*;
use crate::kv::Error;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A change of a policy.
#[derive(Debug, Clone, Copy)]
enum Change {
    Upload(Role, usize),
    Promote,
    DropCandidate,
    Reset,
    Rule,
    Config,
}

const CHANGES: [Change; 7] = [
    Change::Upload(Role::Active, 5),
    Change::Upload(Role::Candidate, 10),
    Change::Promote,
    Change::DropCandidate,
    Change::Reset,
    Change::Rule,
    Change::Config,
];

/// What became of one. `Gone` is the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Done,
    Undone,
    Gone,
}

impl Change {
    async fn run(self, store: &Memory, app: AppId) -> Became {
        let alive = |alive: Result<bool, Error>| match alive {
            Ok(true) => Became::Done,
            Ok(false) => Became::Gone,
            Err(error) => panic!("{error}"),
        };
        match self {
            Self::Upload(role, number) => {
                match upload(store, app, role, &component(number)).await {
                    Finished::Placed(_) => Became::Done,
                    Finished::Superseded => Became::Undone,
                    Finished::Gone => Became::Gone,
                }
            }
            Self::Promote => match policy::promote(store, app).await.unwrap() {
                Promoted::Done => Became::Done,
                Promoted::NoCandidate | Promoted::Superseded => Became::Undone,
                Promoted::Gone => Became::Gone,
            },
            Self::DropCandidate => alive(policy::drop_candidate(store, app).await),
            Self::Reset => alive(policy::reset(store, app).await),
            Self::Rule => alive(policy::set_rule(store, app, Rule::Open).await),
            Self::Config => alive(policy::set_config(store, app, b"{}".to_vec()).await),
        }
    }
}

/// A tenant with an active component and a candidate, whose history has some length.
fn furnished() -> (Memory, AppId, ApiKey) {
    let store = Memory::yielding(Counters::Bytes);
    let (app, key) = registered(&store, 1);
    for number in [1, 2, 3] {
        placed(&store, app, Role::Active, &component(number));
        placed(&store, app, Role::Candidate, &component(number + 3));
    }
    (store, app, key)
}

fn polled(future: impl Future<Output = Became>, steps: usize) -> Option<Became> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..steps).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(became) => Some(became),
        Poll::Pending => None,
    })
}

#[test]
fn an_interrupted_change_leaves_places_whole_and_nothing_for_good() {
    for change in CHANGES {
        let mut steps = 0;
        loop {
            let (store, app, key) = furnished();
            let before = contents(&store, app);
            let became = polled(change.run(&store, app), steps);
            let after = contents(&store, app);
            if became.is_some() {
                assert_eq!(became, Some(Became::Done), "{change:?}");
                exact(&store, app);
            } else if let Change::Upload(Role::Active, number) = change {
                assert!(after == before || after[0] == Some(component(number)));
            }
            // The next change of each place finds what is left, or, where the maker
            // had just decided, the removal of the tenant does.
            let twin = store.clone();
            placed(&store, app, Role::Active, &component(11));
            placed(&store, app, Role::Candidate, &component(8));
            assert_eq!(
                contents(&store, app),
                [Some(component(11)), Some(component(8))]
            );
            let decided = became.is_none() && decided(&twin, app);
            if !decided {
                exact(&store, app);
            }
            for store in [store, twin] {
                assert_eq!(block_on(removal::remove_tenant(&store, &key)), Ok(true));
                sweep(&store);
                let left = store.keys();
                let queue = left.iter().all(|key| key.starts_with("index/doomed/free/"));
                assert!(queue, "{change:?} after {steps} steps: {left:#?}");
            }
            if became.is_some() {
                break;
            }
            steps += 1;
        }
        assert!(steps > 1, "{change:?} has only {steps} steps");
    }
}

/// Whether some maker decided about an upload that is in no place.
fn decided(store: &Memory, app: AppId) -> bool {
    let used = block_on(access::components(store, app)).unwrap().unwrap();
    let used = [used.active, used.candidate].map(|place| place.map(|it| it.upload));
    (1..50)
        .filter(|number| !used.contains(&Some(*number)))
        .any(|number| {
            let claim = store.peek(&key::upload_claim(app, number));
            let claim = crate::kv::decode_counter("claim", claim.as_deref()).unwrap();
            claim % 2 == 1
        })
}

#[test]
fn of_two_uploads_at_once_one_is_whole_and_active() {
    for seed in 0..3_000 {
        let (store, app, _) = furnished();
        let mut choices = Choices(seed);
        let (one, other) = (component(5), component(10));
        let tasks: Vec<Task<'_, Finished>> = vec![
            Box::pin(upload(&store, app, Role::Active, &one)),
            Box::pin(upload(&store, app, Role::Active, &other)),
        ];
        let mut stretch = (0, 0);
        let results = interleave(tasks, |running| {
            let active = contents(&store, app)[0].clone().unwrap();
            assert!([&component(3), &one, &other].contains(&&active));
            Step::Run(choices.task(&mut stretch, running))
        });
        let [active, candidate] = contents(&store, app);
        let active = active.unwrap();
        let won = [&one, &other].map(|bytes| *bytes == active);
        let through = |place: usize| matches!(results[place], Some(Finished::Placed(_)));
        assert!(won[0] && through(0) || won[1] && through(1), "seed {seed}");
        assert_eq!(candidate, Some(component(6)));
        exact(&store, app);
    }
}

#[test]
fn changes_at_once_leave_places_whole_and_nothing_behind() {
    for seed in 0..6_000 {
        let (store, app, key) = furnished();
        let mut choices = Choices(seed);
        let removed = seed % 3 == 0;
        let mut tasks: Vec<Task<'_, Became>> = Vec::new();
        for number in 0..2 + choices.next(4) {
            let change = match CHANGES[choices.next(CHANGES.len())] {
                Change::Upload(role, _) => Change::Upload(role, 4 + number),
                change => change,
            };
            tasks.push(Box::pin(change.run(&store, app)));
        }
        if removed {
            tasks.push(Box::pin(async {
                assert_eq!(removal::remove_tenant(&store, &key).await, Ok(true));
                Became::Gone
            }));
        }
        let mut stretch = (0, 0);
        interleave(tasks, |running| {
            // Once the tenant is gone nobody believes its places.
            if store.peek(&key::app(app)).is_some() {
                contents(&store, app);
            }
            Step::Run(choices.task(&mut stretch, running))
        });
        if removed {
            sweep(&store);
            let left = store.keys();
            let queue = left.iter().all(|key| key.starts_with("index/doomed/free/"));
            assert!(queue, "seed {seed}: {left:#?}");
            continue;
        }
        placed(&store, app, Role::Active, &component(2));
        placed(&store, app, Role::Candidate, &component(1));
        assert_eq!(
            contents(&store, app),
            [Some(component(2)), Some(component(1))]
        );
        exact(&store, app);
    }
}
