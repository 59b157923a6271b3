//! A closed loop: each publisher has a few messages on their way and says the next once
//! one has reached everybody.

use super::dialect::Said;
use super::fanout::{Count, Shape};
use super::fleet::{Fleet, Heard};
use super::stage::{Entering, Stage, Target, enter_as};
use std::time::Duration;

/// The publishers of one host's rooms, and what they wait for.
pub(super) struct Closed {
    pub(super) stage: Stage,
    fleet: Fleet,
    shape: Shape,
    publishers: Vec<usize>,
    /// By client: deliveries still to come before its oldest message is everywhere.
    on_the_way: Vec<usize>,
    /// The number of the last command; the first, a login's, is 1.
    said: u32,
}

impl Closed {
    /// Everybody is in, nothing is said yet.
    pub(super) fn set(target: &Target, shape: &Shape) -> anyhow::Result<Self> {
        let stage = Stage::set(target, shape.rooms, shape.members)?;
        let mut fleet = Fleet::new()?;
        let dialect = shape.protocol;
        let entering = Entering::new(dialect, &stage);
        let login = |user: usize| dialect.login(&stage.users[user], None);
        enter_as(&mut fleet, target, &entering, login, |_, _| {})?;
        let publishers = (0..stage.users.len())
            .filter(|user| user % shape.members < shape.publishers)
            .collect();
        Ok(Self {
            on_the_way: vec![0; stage.users.len()],
            stage,
            fleet,
            shape: shape.clone(),
            publishers,
            said: 1,
        })
    }

    fn say(
        fleet: &mut Fleet,
        said: &mut u32,
        (stage, shape): (&Stage, &Shape),
        (client, now): (usize, u64),
    ) {
        *said += 1;
        let command = (&*stage.rooms[client / shape.members], *said);
        let dialect = shape.protocol;
        let message = dialect.publish(command, client, now, shape.size);
        fleet.send_as(client, dialect.opcode(), &message);
    }

    /// Bytes that came so far.
    pub(super) fn received(&self) -> u64 {
        self.fleet.received
    }

    /// Every publisher says as much as it may have on its way.
    pub(super) fn begin(&mut self, count: &Count) {
        for client in &self.publishers {
            for _ in 0..self.shape.window {
                let parts = (&self.stage, &self.shape);
                let now = count.now();
                Self::say(&mut self.fleet, &mut self.said, parts, (*client, now));
            }
        }
    }

    /// Hears what has come; publishers say the next where they are to `go_on`.
    pub(super) fn turn(&mut self, count: &mut Count, go_on: bool) -> anyhow::Result<()> {
        let hearers = self.shape.protocol.hearers(self.shape.members);
        let (on_the_way, parts) = (&mut self.on_the_way, (&self.stage, &self.shape));
        let (dialect, all_said) = (self.shape.protocol, &mut self.said);
        self.fleet
            .turn(Duration::from_millis(100), |fleet, client, heard| {
                let Some(message) = heard.message() else {
                    if matches!(heard, Heard::Closed) {
                        count.lost = Some("closed by the host".to_owned());
                    }
                    return;
                };
                dialect.read(message, |said| match said {
                    Said::Publication(publisher, sent) => {
                        count.delivered(sent);
                        on_the_way[publisher] += 1;
                        if on_the_way[publisher] == hearers {
                            on_the_way[publisher] = 0;
                            if go_on {
                                Self::say(fleet, all_said, parts, (publisher, count.now()));
                            }
                        }
                    }
                    Said::Refused(why) => count.lost = Some(why.into_owned()),
                    Said::Ping(pong) => fleet.send_as(client, dialect.opcode(), pong),
                    Said::Begun(_) | Said::Accepted(_) | Said::Other => {}
                });
            })
    }

    /// Publishers some of whose messages have not reached everybody.
    pub(super) fn missing(&self) -> usize {
        self.on_the_way.iter().filter(|count| **count > 0).count()
    }
}
