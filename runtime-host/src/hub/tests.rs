//! The hub against a model that remembers everything.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Enter(u64, u32, ConnectionKey),
    Leave(usize, bool),
    Publish(u64, Option<usize>),
    Reply(ConnectionKey),
    Forget(ConnectionKey),
    Settle(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4u64, 0..6u32, 0..6u32).prop_map(|(c, f, k)| Step::Enter(c, f, k)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(n, forfeit)| Step::Leave(n, forfeit)),
        6 => (0..4u64, any::<Option<usize>>()).prop_map(|(c, n)| Step::Publish(c, n)),
        2 => (0..6u32).prop_map(Step::Reply),
        1 => (0..6u32).prop_map(Step::Forget),
        2 => any::<bool>().prop_map(Step::Settle),
    ]
}

/// What the model knows of a seat: its channel, connection, the hub's seat, and the
/// messages of this turn that it is owed.
struct Sitting {
    channel: u64,
    connection: ConnectionKey,
    seat: Seat,
    owed: Vec<u32>,
}

#[derive(Default)]
struct Model {
    seats: Vec<Sitting>,
    /// What was owed outside a standing seat, by (connection, channel).
    settled: BTreeMap<(ConnectionKey, Option<u64>), Vec<u32>>,
    next: u32,
}

impl Model {
    fn expected(&mut self) -> BTreeMap<(ConnectionKey, Option<u64>), Vec<u32>> {
        let mut all = std::mem::take(&mut self.settled);
        for seat in &mut self.seats {
            all.entry((seat.connection, Some(seat.channel)))
                .or_default()
                .append(&mut seat.owed);
        }
        all.retain(|_, messages| !messages.is_empty());
        all
    }
}

/// A message is eight bytes: who it is for in the model, and its number.
fn encode(out: &mut Vec<u8>, channel: Option<u64>, number: u32) {
    let channel = channel.map_or(u32::MAX, |channel| channel as u32);
    out.extend_from_slice(&channel.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Vec<(Option<u64>, u32)> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    bytes
        .chunks_exact(8)
        .map(|message| (word(&message[..4]), word(&message[4..])))
        .map(|(channel, number)| ((channel != u32::MAX).then_some(u64::from(channel)), number))
        .collect()
}

fn run(steps: Vec<Step>) {
    let mut hub = Hub::default();
    let mut model = Model::default();
    let mut kept = Vec::new();
    for step in steps.into_iter().chain([Step::Settle(false)]) {
        match step {
            Step::Enter(channel, format, connection) => {
                let taken = |s: &Sitting| s.channel == channel && s.connection == connection;
                if !model.seats.iter().any(taken) {
                    let seat = hub.enter(channel, format, connection);
                    model.seats.push(Sitting {
                        channel,
                        connection,
                        seat,
                        owed: Vec::new(),
                    });
                }
            }
            Step::Leave(which, forfeit) if !model.seats.is_empty() => {
                let gone = model.seats.swap_remove(which % model.seats.len());
                if let Some(moved) = hub.leave(gone.seat, forfeit) {
                    let moved = model
                        .seats
                        .iter_mut()
                        .find(|s| s.connection == moved && s.channel == gone.channel)
                        .expect("a seat that moved is a seat");
                    moved.seat.position = gone.seat.position;
                }
                if !forfeit {
                    model
                        .settled
                        .entry((gone.connection, Some(gone.channel)))
                        .or_default()
                        .extend(gone.owed);
                }
            }
            Step::Publish(channel, publisher) => {
                let Some(room) = hub.room(channel) else {
                    assert!(model.seats.iter().all(|s| s.channel != channel));
                    continue;
                };
                let here: Vec<usize> = (0..model.seats.len())
                    .filter(|i| model.seats[*i].channel == channel)
                    .collect();
                let publisher = publisher.map(|n| here[n % here.len()]);
                let number = model.next;
                model.next += 1;
                let seat = publisher.map(|i| model.seats[i].seat);
                // Some formats hear but every other one.
                let hears = |format: u32| format < 4 || number.is_multiple_of(2);
                hub.publish(room, seat, |format, out| {
                    if hears(format) {
                        encode(out, Some(channel), number);
                    }
                });
                for i in here {
                    if Some(i) != publisher && hears(model.seats[i].seat.format) {
                        model.seats[i].owed.push(number);
                    }
                }
            }
            Step::Reply(connection) => {
                let number = model.next;
                model.next += 1;
                hub.reply(connection, |out| encode(out, None, number));
                model
                    .settled
                    .entry((connection, None))
                    .or_default()
                    .push(number);
            }
            // As a shard does it: a connection that is forgotten has left its rooms.
            Step::Forget(connection) if model.seats.iter().all(|s| s.connection != connection) => {
                hub.forget(connection);
                model.settled.retain(|(of, _), _| *of != connection);
            }
            Step::Settle(keep) => {
                let mut got: BTreeMap<_, Vec<u32>> = BTreeMap::new();
                let mut seen = Vec::new();
                hub.settle(|connection, logs, pieces| {
                    assert!(!seen.contains(&connection), "each connection comes once");
                    seen.push(connection);
                    for piece in pieces {
                        for (channel, number) in decode(logs.bytes(piece)) {
                            assert_eq!(piece.room.is_some(), channel.is_some());
                            got.entry((connection, channel)).or_default().push(number);
                        }
                        if keep {
                            kept.push((logs.share(piece), logs.bytes(piece).to_vec(), *piece));
                        }
                    }
                });
                assert_eq!(got, model.expected());
            }
            Step::Leave(..) | Step::Forget(_) => {}
        }
    }
    for (log, bytes, piece) in kept {
        let range = piece.start as usize..piece.end as usize;
        assert_eq!(log[range], bytes[..], "a kept log is left alone");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_member_is_owed_what_others_said_while_it_was_there(
        steps in proptest::collection::vec(step(), 0..60)
    ) {
        run(steps);
    }
}

#[test]
fn pieces_that_touch_become_one() {
    let mut hub = Hub::default();
    hub.enter(1, 0, 3);
    let room = hub.room(1).unwrap();
    for number in 0..10 {
        hub.publish(room, None, |_, out| encode(out, Some(1), number));
    }
    let mut counts = Vec::new();
    hub.settle(|connection, _, pieces| counts.push((connection, pieces.len())));
    assert_eq!(counts, [(3, 1)]);
}
