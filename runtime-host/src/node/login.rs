//! Logging in, and what a change of the grant does to a live session.

use super::session::{Place, Who};
use super::{Admission, Command, Endpoint, Heard, Sessions, watcher};
use crate::events::Kind;
use crate::hub::{ConnectionKey, RoomKey};
use crate::metrics::tally::{self, Figure};
use crate::policy::grants::{Presented, Refused};
use crate::policy::memo::Watcher;
use crate::policy::trace::Connection;
use crate::socket::{Flow, Turn};
use crate::wasm::authority::{Credential, Refusal};
use sschat_protocol::centrifuge::Disconnect;
use sschat_protocol::close;
use sschat_protocol::seed;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Sessions {
    /// A login; it replaces the one before.
    pub(super) fn log_in(
        &mut self,
        key: ConnectionKey,
        user: Option<&str>,
        token: Option<&str>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        self.log_out(key, turn);
        self.serial = self.serial.wrapping_add(1);
        let watcher = watcher(self.shard, key, self.serial);
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return Flow::Continue;
        };
        session.watcher = watcher;
        session.held = 0;
        session.granted = 0;
        let connection = Connection {
            token: token.map(Box::from),
            ..(*session.connection).clone()
        };
        session.connection = Arc::new(connection);
        // In the original protocol a bare user id leads to its app.
        let by_user = matches!(session.endpoint, Endpoint::Polling(_));
        let fallback = node.settings.fallback_app.clone();
        let presented = Presented {
            credential: Credential {
                app: session.app.as_deref().map(str::to_owned),
                fallback_app: fallback.filter(|_| !by_user),
                user: user.map(str::to_owned),
                token: token.map(str::to_owned),
            },
            connection: Arc::clone(&session.connection),
        };
        node.grants.begin(watcher, presented);
        let shard = self.shard;
        if let Some(outcome) = node.grants.recall(watcher) {
            let outcome = outcome.map(|grant| node.admission(grant));
            let Some(attended) = node.attend(&outcome) else {
                self.admit(key, outcome, turn);
                return self.after_login(key);
            };
            self.node.runtime.spawn(async move {
                attended.await;
                node.post.tell(shard, Command::LoggedIn(watcher, outcome));
            });
            return Flow::Pause;
        }
        self.node.runtime.spawn(async move {
            let outcome = match node.grants.evaluate(watcher).await {
                Ok(outcome) => outcome.map(|grant| node.admission(grant)),
                Err(undecided) => {
                    tracing::warn!(%undecided, "a login could not be decided");
                    Err(temporary())
                }
            };
            if let Some(attended) = node.attend(&outcome) {
                attended.await;
            }
            node.post.tell(shard, Command::LoggedIn(watcher, outcome));
        });
        Flow::Pause
    }

    /// Whether more is taken from a session that was just let in, or waits to be.
    fn after_login(&mut self, key: ConnectionKey) -> Flow {
        match self.is_being_welcomed(key) {
            true => Flow::Pause,
            false => Flow::Continue,
        }
    }

    /// The outcome of a login that had to wait.
    pub(super) fn logged_in(
        &mut self,
        watcher: Watcher,
        outcome: Result<Admission, Refused>,
        turn: &mut Turn<'_>,
    ) {
        let Some(key) = self.find(watcher) else {
            return self.node.grants.end(watcher);
        };
        // A change may have overtaken this answer, and its newer grant let the session in.
        if self
            .session(key)
            .is_some_and(|session| session.who.is_none())
        {
            self.admit(key, outcome, turn);
        }
        self.go_on(key, turn);
    }

    fn admit(
        &mut self,
        key: ConnectionKey,
        outcome: Result<Admission, Refused>,
        turn: &mut Turn<'_>,
    ) {
        let admission = match outcome {
            Ok(admission) => admission,
            Err(Refused { refusal, .. }) if self.is_client(key) => {
                turn.release(key);
                return self.turn_away(key, &refusal, turn);
            }
            Err(Refused { refusal, .. }) => {
                self.log_out(key, turn);
                turn.release(key);
                self.refuse(key, turn, &refusal.code, &refusal.reason);
                return;
            }
        };
        if self.is_client(key) {
            return self.begin_welcome(key, admission, turn);
        }
        let rooms = admission.channels.iter().map(|heard| &*heard.channel.room);
        let user = &admission.user;
        self.answer(key, turn, |out| seed::login_ok(out, user, rooms));
        for heard in &admission.channels {
            heard.channel.entered(self.shard);
        }
        self.let_in(key, admission, turn);
    }

    /// Seats a session in its rooms, which count it as hearing them already.
    pub(super) fn let_in(&mut self, key: ConnectionKey, admission: Admission, turn: &mut Turn<'_>) {
        for heard in &admission.channels {
            self.seat(key, heard, turn);
        }
        let tap = self.tap(&admission.tenant);
        let Some(session) = self.session(key) else {
            return;
        };
        session.who = Some(Who {
            tenant: Arc::clone(&admission.tenant),
            user: Arc::clone(&admission.user),
            tap,
        });
        tally::add(Figure::Sessions, 1);
        session.granted = admission.epoch;
        session.may_publish = admission.may_publish;
        let (watcher, held) = (session.watcher, session.held);
        self.report_connect(key);
        for heard in &admission.channels {
            self.tell_coming(key, &heard.channel);
        }
        self.hold_to(key, admission.limits.as_deref(), turn);
        self.note_times(watcher, &admission);
        if admission.epoch >= held {
            turn.release(key);
        }
        let channels = admission.channels.into_iter().map(|heard| heard.channel);
        let channels: Vec<_> = channels.collect();
        let (tenant, user) = (&admission.tenant, &admission.user);
        if self.node.broker.arrived_in(tenant, user, &channels) {
            self.announce(user, true, &channels);
        }
    }

    /// Notes when the login ends and when the grant is to be evaluated anew.
    fn note_times(&mut self, watcher: Watcher, admission: &Admission) {
        if let Some(session) = self.find(watcher).and_then(|key| self.session(key)) {
            let (mut expires, mut renew) = (admission.expires, admission.renew);
            if session.client.is_some() {
                // It has its own clock, which gives it time to present a new token.
                renew = renew.filter(|at| expires != Some(*at));
                expires = None;
            }
            session.expires = expires.unwrap_or(u64::MAX);
            session.renew = renew.unwrap_or(u64::MAX);
            for at in expires.into_iter().chain(renew) {
                self.timed.push(Reverse((at, watcher)));
            }
        }
    }

    /// A grant evaluated anew: the difference is applied, then the hold ends.
    pub(super) fn regrant(
        &mut self,
        watcher: Watcher,
        outcome: Result<Admission, Refused>,
        turn: &mut Turn<'_>,
    ) {
        let Some(key) = self.find(watcher) else {
            return;
        };
        if self
            .session(key)
            .is_some_and(|session| session.who.is_none())
        {
            self.admit(key, outcome, turn);
            return self.go_on(key, turn);
        }
        let admission = match outcome {
            Ok(admission) => admission,
            Err(Refused { refusal, .. }) if self.is_client(key) => {
                return self.cut_off(key, &refusal, turn);
            }
            Err(Refused { refusal, .. }) => {
                self.let_go(key, turn);
                turn.close(key, close::REVOKED, &refusal.code);
                return;
            }
        };
        if !self.is_theirs(key, &admission) {
            return self.disconnect(key, &Disconnect::INVALID_TOKEN, turn);
        }
        let left = self.leave_all_but(key, &admission.channels, turn);
        self.give_up_all_but(key, &admission.channels, turn);
        // Also where a newer hold goes on: the next outcome knows nothing of these rooms.
        turn.forfeit(key, &left);
        self.enter_new(key, &admission.channels, turn);
        self.refreshed(key, &admission, turn);
        self.hold_to(key, admission.limits.as_deref(), turn);
        self.note_times(watcher, &admission);
        let Some(session) = self.session(key) else {
            return;
        };
        session.granted = admission.epoch;
        session.may_publish = admission.may_publish;
        if admission.epoch >= session.held {
            turn.release(key);
        }
        self.answer_what_is_known(key, turn);
    }

    /// Leaves the rooms that are not in `keep`; gives back their numbers.
    fn leave_all_but(
        &mut self,
        key: ConnectionKey,
        keep: &[Heard],
        turn: &mut Turn<'_>,
    ) -> Vec<RoomKey> {
        let keep: HashSet<u64> = keep.iter().map(|heard| heard.channel.id).collect();
        let Some(session) = self.session(key) else {
            return Vec::new();
        };
        let gone: Vec<Place> = session
            .places
            .extract_if(.., |place| !keep.contains(&place.channel.id))
            .collect();
        let mut left = Vec::with_capacity(gone.len());
        for place in gone {
            left.push(place.seat.room);
            self.leave(place.seat, &place.channel, true, turn);
            let who = self.present(key);
            self.tell_leaving(who.as_ref(), &place);
            let room = &place.channel.room;
            match self.is_client(key) {
                true => self.end_subscription(key, room, turn),
                false => self.answer(key, turn, |out| seed::membership(out, false, room)),
            }
        }
        left
    }

    fn enter_new(&mut self, key: ConnectionKey, wanted: &[Heard], turn: &mut Turn<'_>) {
        let Some(session) = self.session(key) else {
            return;
        };
        let mut had: HashMap<u64, &mut Place> = session
            .places
            .iter_mut()
            .map(|place| (place.channel.id, place))
            .collect();
        let mut new = Vec::new();
        for heard in wanted {
            match had.get_mut(&heard.channel.id) {
                Some(place) => place.presence = heard.presence,
                None => new.push(heard),
            }
        }
        for heard in new {
            if !self.is_client(key) {
                self.enter(key, heard, turn);
                let room = &heard.channel.room;
                self.answer(key, turn, |out| seed::membership(out, true, room));
            } else if !self.is_catching_up(key, heard.channel.id) {
                self.becomes_member(key, heard, turn);
            }
        }
    }

    /// Ends the login of a session; the connection stays.
    pub(super) fn log_out(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        self.stop_catching_up(key);
        let leaver = self.present(key);
        let Some(session) = self.session(key) else {
            return;
        };
        let watcher = std::mem::replace(&mut session.watcher, Watcher::MAX);
        let who = session.who.take();
        tally::sub(Figure::Sessions, u64::from(who.is_some()));
        let places = std::mem::take(&mut session.places);
        session.expires = u64::MAX;
        session.renew = u64::MAX;
        session.waiting = None;
        if watcher != Watcher::MAX {
            self.node.grants.end(watcher);
        }
        let mut channels = Vec::with_capacity(places.len());
        for place in places {
            self.leave(place.seat, &place.channel, false, turn);
            self.tell_leaving(leaver.as_ref(), &place);
            channels.push(place.channel);
        }
        if let Some(who) = &who {
            who.report(Kind::Disconnect, leaver.as_ref());
        }
        if let Some(who) = who
            && self
                .node
                .broker
                .departed_from(&who.tenant, &who.user, &channels)
        {
            self.announce(&who.user, false, &channels);
        }
    }

    /// Lets go of a connection that is closing.
    pub(super) fn let_go(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        self.log_out(key, turn);
        if let Some(slot) = self.sessions.get_mut(key as usize) {
            *slot = None;
        }
    }
}

fn temporary() -> Refused {
    Refused {
        refusal: Refusal {
            code: seed::ErrorCode::Temporary.as_str().to_owned(),
            reason: "this can't be decided right now, try again".to_owned(),
        },
        epoch: u32::MAX,
    }
}
