//! Alarms: pings, pongs that did not come, tokens that ran out.

use crate::hub::ConnectionKey;
use crate::node::Sessions;
use crate::socket::Turn;
use sschat_protocol::centrifuge::session::{Due, Millis};
use std::cmp::Reverse;

/// How much later the alarm of a session is tried again that is on hold or waits: nothing is read from it meanwhile,
/// so that its pongs could not count.
const STOPPED: Millis = 1_000;

impl Sessions {
    /// Sets the alarm of a session where it is due before the one that is set.
    pub(super) fn set_alarm(&mut self, key: ConnectionKey) {
        let Some(client) = self.client(key) else {
            return;
        };
        let Some(at) = client.session.next_deadline() else {
            return;
        };
        if at < client.alarm {
            client.alarm = at;
            self.clients.alarms.push(Reverse((at, key)));
        }
    }

    /// Lets the alarms go off that are due.
    pub(in crate::node) fn keep_time(&mut self, turn: &mut Turn<'_>) {
        if self.clients.alarms.is_empty() {
            return;
        }
        let now = self.clients.now();
        while let Some(Reverse((at, key))) = self.clients.alarms.peek().copied() {
            if at > now {
                return;
            }
            self.clients.alarms.pop();
            self.alarm(key, (at, now), turn);
        }
    }

    fn alarm(&mut self, key: ConnectionKey, (at, now): (Millis, Millis), turn: &mut Turn<'_>) {
        let Some(session) = self.session(key) else {
            return;
        };
        let held = session.held > session.granted;
        let Some(client) = session.client.as_deref_mut() else {
            return;
        };
        // Another alarm took its place, or another session this connection's.
        if client.alarm != at {
            return;
        }
        if held || client.parked.is_some() {
            client.alarm = now + STOPPED;
            self.clients.alarms.push(Reverse((now + STOPPED, key)));
            return;
        }
        client.alarm = Millis::MAX;
        let mut out = std::mem::take(&mut self.clients.replies);
        let end = loop {
            let due = self.with(key, |session, now, settings| {
                session.tick(now, settings, &mut out)
            });
            match due {
                None | Some(Due::Nothing) => break None,
                Some(Due::Unsubscribe(channel)) => self.hear_no_more(key, &channel, turn),
                Some(Due::Close(why)) => break Some(why),
            }
        };
        self.flush(key, out, turn);
        if let Some(why) = end {
            self.disconnect(key, &why, turn);
        }
    }
}
