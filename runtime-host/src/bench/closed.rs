//! A closed loop: each publisher has a few messages on their way and says the next once
//! one has reached everybody.

use super::fanout::{Count, Shape, command, stamp};
use super::fleet::{Fleet, Heard};
use super::stage::{Stage, Target, enter};
use std::time::Duration;

/// The publishers of one host's rooms, and what they wait for.
pub(super) struct Closed {
    pub(super) stage: Stage,
    fleet: Fleet,
    shape: Shape,
    publishers: Vec<usize>,
    /// By client: deliveries still to come before its oldest message is everywhere.
    on_the_way: Vec<usize>,
}

impl Closed {
    /// Everybody is in, nothing is said yet.
    pub(super) fn set(target: &Target, shape: &Shape) -> anyhow::Result<Self> {
        let stage = Stage::set(target, shape.rooms, shape.members)?;
        let mut fleet = Fleet::new()?;
        enter(&mut fleet, target, &stage.users)?;
        let publishers = (0..stage.users.len())
            .filter(|user| user % shape.members < shape.publishers)
            .collect();
        Ok(Self {
            on_the_way: vec![0; stage.users.len()],
            stage,
            fleet,
            shape: shape.clone(),
            publishers,
        })
    }

    fn say(fleet: &mut Fleet, (stage, shape): (&Stage, &Shape), client: usize, now: u64) {
        let room = &stage.rooms[client / shape.members];
        fleet.send(client, &command(room, client, now, shape.size));
    }

    /// Every publisher says as much as it may have on its way.
    pub(super) fn begin(&mut self, count: &Count) {
        for client in &self.publishers {
            for _ in 0..self.shape.window {
                let parts = (&self.stage, &self.shape);
                Self::say(&mut self.fleet, parts, *client, count.now());
            }
        }
    }

    /// Hears what has come; publishers say the next where they are to `go_on`.
    pub(super) fn turn(&mut self, count: &mut Count, go_on: bool) -> anyhow::Result<()> {
        let others = self.shape.members - 1;
        let (on_the_way, parts) = (&mut self.on_the_way, (&self.stage, &self.shape));
        self.fleet
            .turn(Duration::from_millis(100), |fleet, _, heard| match heard {
                Heard::Text(text) => {
                    let Some((publisher, sent)) = stamp(text) else {
                        return;
                    };
                    count.delivered(sent);
                    on_the_way[publisher] += 1;
                    if on_the_way[publisher] == others {
                        on_the_way[publisher] = 0;
                        if go_on {
                            Self::say(fleet, parts, publisher, count.now());
                        }
                    }
                }
                Heard::Closed => count.lost = Some("closed by the host".to_owned()),
                Heard::Open => {}
            })
    }

    /// Publishers some of whose messages have not reached everybody.
    pub(super) fn missing(&self) -> usize {
        self.on_the_way.iter().filter(|count| **count > 0).count()
    }
}
