//! What the model test does: operations, rounds of them, and calls with names.

use super::*;
use proptest::prelude::*;

/// An operation. Rooms and users are named by their place among all that ever were.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Add(usize, usize),
    Remove(usize, usize),
    CreateRoom,
    CreateUser,
    RemoveRoom(usize),
    RemoveUser(usize),
    Sweep,
}

/// One round: operations at the same time, and in which order their steps are done.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) operations: Vec<Op>,
    pub(super) seed: u64,
    /// How many of 256 steps are crashes.
    pub(super) crashes: usize,
}

pub(super) fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..8usize, 0..8usize).prop_map(|(room, user)| Op::Add(room, user)),
        4 => (0..8usize, 0..8usize).prop_map(|(room, user)| Op::Remove(room, user)),
        1 => Just(Op::CreateRoom),
        1 => Just(Op::CreateUser),
        2 => (0..8usize).prop_map(Op::RemoveRoom),
        2 => (0..8usize).prop_map(Op::RemoveUser),
        1 => Just(Op::Sweep),
    ]
}

pub(super) fn round(crashes: usize) -> impl Strategy<Value = Round> {
    let operations = prop::collection::vec(operation(), 1..6);
    (operations, any::<u64>()).prop_map(move |(operations, seed)| Round {
        operations,
        seed,
        crashes,
    })
}

/// What became of an operation that was not interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Changed(Outcome),
    Made(bool),
    Removed(bool),
    Swept,
}

/// A call, with all that it names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Add(Pair),
    Remove(Pair),
    CreateRoom(RoomId),
    CreateUser(UserId),
    RemoveRoom(RoomId),
    RemoveUser(UserId),
    Sweep,
}

impl Call {
    pub(super) async fn run(self, store: &Memory, app: AppId) -> Done {
        match self {
            Self::Add(pair) => Done::Changed(membership::add(store, pair).await.unwrap()),
            Self::Remove(pair) => Done::Changed(membership::remove(store, pair).await.unwrap()),
            Self::CreateRoom(room) => {
                Done::Made(tenant::create_room(store, app, room).await.unwrap())
            }
            Self::CreateUser(user) => {
                Done::Made(tenant::create_user(store, app, user).await.unwrap())
            }
            Self::RemoveRoom(room) => {
                Done::Removed(removal::remove_room(store, app, room).await.unwrap())
            }
            Self::RemoveUser(user) => {
                Done::Removed(removal::remove_user(store, app, user).await.unwrap())
            }
            Self::Sweep => {
                removal::sweep(store).await.unwrap();
                Done::Swept
            }
        }
    }

    pub(super) fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Add(a), Self::Add(b)) | (Self::Remove(a), Self::Remove(b)) => {
                (a.room, a.user) == (b.room, b.user)
            }
            (Self::CreateRoom(a), Self::CreateRoom(b))
            | (Self::RemoveRoom(a), Self::RemoveRoom(b)) => a == b,
            (Self::CreateUser(a), Self::CreateUser(b))
            | (Self::RemoveUser(a), Self::RemoveUser(b)) => a == b,
            _ => false,
        }
    }
}

/// The results of the calls that are this one.
pub(super) fn called(calls: &[Call], results: &[Option<Done>], call: Call) -> Vec<Option<Done>> {
    let found = calls.iter().zip(results);
    found
        .filter(|(other, _)| other.same(call))
        .map(|(_, result)| *result)
        .collect()
}
