//! Beginning a session, and what a change of its grant does to it.

use super::recovery::{Caught, Claim, Purpose};
use super::refusals::{ends_login, keeps_out};
use super::{Client, Done, Until, tokens};
use crate::broker::Speaker;
use crate::clock::unix_now;
use crate::hub::ConnectionKey;
use crate::node::{Admission, Heard, Sessions};
use crate::policy::grants::Presented;
use crate::policy::trace::Connection;
use crate::socket::{Flow, Turn};
use crate::wasm::authority::{Credential, Refusal};
use serde::Deserialize;
use sschat_history::TEXT_LIMIT;
use sschat_protocol::centrifuge::session::{Millis, Session};
use sschat_protocol::centrifuge::{Connect, Connected, Failure, Format, Resume};
use std::sync::Arc;
use uuid::Uuid;

/// A connect that is answered once the client caught up with its rooms.
pub(in crate::node) struct Welcome {
    pub(super) admission: Admission,
    /// The rooms that it caught up with, which count it as hearing them.
    pub(super) caught: Vec<(Heard, Caught)>,
}

/// The longest that others are told of a user, in bytes: it goes with each publication, which is kept with it.
const INFO_LIMIT: usize = TEXT_LIMIT;

fn speaker(client: Arc<str>, info: Option<Arc<str>>) -> Arc<Speaker> {
    let info = info.filter(|info| info.len() <= INFO_LIMIT);
    Arc::new(Speaker { client, info })
}

/// What a client without a token may say of itself.
#[derive(Deserialize)]
struct Named {
    user: Option<String>,
}

impl Sessions {
    /// A connection opened that speaks this protocol.
    pub(in crate::node) fn begin(&mut self, key: ConnectionKey, format: Format) {
        let (now, name) = (self.clients.now(), Uuid::new_v4());
        let session = Session::new(format, now, &self.clients.settings, name.as_u128() as u32);
        let client = Client {
            session,
            speaker: speaker(name.to_string().into(), None),
            apart: None,
            connect: 0,
            claims: Vec::new(),
            welcome: None,
            catching_up: Vec::new(),
            page: None,
            answered: None,
            refresh: None,
            parked: None,
            alarm: Millis::MAX,
        };
        if let Some(session) = self.session(key) {
            session.client = Some(Box::new(client));
        }
        self.set_alarm(key);
    }

    /// As [`Sessions::begin`], where commands come apart from the connection.
    pub(in crate::node) fn begin_apart(&mut self, key: ConnectionKey, format: Format) {
        self.begin(key, format);
        if let Some(client) = self.client(key) {
            client.apart = Some(Box::new(Uuid::new_v4()));
        }
    }

    /// What the client of a session proves to be itself with, where its commands come apart from the connection.
    pub(in crate::node) fn apart(&mut self, key: ConnectionKey) -> Option<Uuid> {
        self.client(key)?.apart.as_deref().copied()
    }

    /// Logs in by what the client presents.
    pub(super) fn connect(
        &mut self,
        key: ConnectionKey,
        id: u32,
        connect: &Connect<'_>,
        turn: &mut Turn<'_>,
    ) -> Done {
        if let Some(client) = self.client(key) {
            client.connect = id;
            let recovers = connect.subs.iter().filter(|it| it.recover);
            let claim = |it: &Resume<'_>| Claim {
                epoch: (*it.epoch).into(),
                offset: it.offset,
            };
            client.claims = recovers
                .map(|it| ((*it.channel).into(), claim(it)))
                .collect();
        }
        let token = Some(&*connect.token).filter(|token| !token.is_empty());
        let named = match token {
            Some(_) => None,
            None => serde_json::from_slice::<Named>(connect.data).ok(),
        };
        let user = named.and_then(|named| named.user);
        match self.log_in(key, user.as_deref(), token, turn) {
            Flow::Continue => Done::Next,
            Flow::Pause => Done::Wait(Until::Login),
        }
    }

    /// The login was accepted: the client catches up with its rooms, and is answered then.
    pub(in crate::node) fn begin_welcome(
        &mut self,
        key: ConnectionKey,
        admission: Admission,
        turn: &mut Turn<'_>,
    ) {
        self.stop_catching_up(key);
        let claims = self.client(key).map(|client| client.claims.clone());
        let claims = claims.unwrap_or_default();
        let mut caught = Vec::with_capacity(admission.channels.len());
        for heard in &admission.channels {
            let claim = claims.iter().find(|(room, _)| *room == heard.channel.room);
            let claim = claim.map(|(_, claim)| claim.clone());
            if let Some(known) = self.catch_up(key, heard, (Purpose::Connect, claim)) {
                caught.push((heard.clone(), known));
            }
        }
        if let Some(client) = self.client(key) {
            client.welcome = Some(Box::new(Welcome { admission, caught }));
        }
        self.answer_what_is_known(key, turn);
    }

    /// Whether the connect waits until the client caught up.
    pub(in crate::node) fn is_being_welcomed(&mut self, key: ConnectionKey) -> bool {
        self.client(key).is_some_and(|it| it.welcome.is_some())
    }

    /// Answers the connect, with the rooms as subscriptions, and seats the client in them.
    pub(super) fn welcome(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        let Some(client) = self.client(key) else {
            return;
        };
        let Some(welcome) = client.welcome.take() else {
            return;
        };
        client.claims = Vec::new();
        client.speaker = speaker(client.name(), welcome.admission.info.clone());
        let (id, name) = (client.connect, client.name());
        let Welcome {
            admission,
            mut caught,
        } = *welcome;
        let mut budget = self.node.settings.recovery_bytes;
        while let Some(catch_up) = self.take_caught_up(key, |_| true) {
            caught.push((catch_up.heard.clone(), catch_up.caught(&mut budget)));
        }
        let publications: Vec<_> = caught
            .iter()
            .map(|(_, it)| it.publications(false, None))
            .collect();
        let subs: Vec<_> = caught
            .iter()
            .zip(&publications)
            .map(|((heard, caught), publications)| {
                (&*heard.channel.room, caught.subscription(publications))
            })
            .collect();
        let ttl = time_left(admission.expires);
        let session = self.ticket(key).unwrap_or_default();
        let host = Arc::clone(&self.node.post.host);
        let connected = Connected {
            client: &name,
            version: env!("CARGO_PKG_VERSION"),
            expires: ttl.is_some(),
            ttl: ttl.unwrap_or(0),
            subs: &subs,
            node: if session.is_empty() { "" } else { &host },
            session: &session,
            ..Connected::default()
        };
        let said = self.say(key, turn, |session, now, settings, out| {
            session.connected(now, settings, id, &connected, out)
        });
        if let Some(Err(disconnect)) = said {
            for (heard, _) in &caught {
                heard.channel.left(self.shard);
            }
            return self.disconnect(key, &disconnect, turn);
        }
        self.let_in(key, admission, turn);
        self.go_on(key, turn);
    }

    /// The login was refused.
    pub(in crate::node) fn turn_away(
        &mut self,
        key: ConnectionKey,
        refusal: &Refusal,
        turn: &mut Turn<'_>,
    ) {
        match keeps_out(refusal) {
            Err(disconnect) => self.disconnect(key, &disconnect, turn),
            Ok(failure) => {
                let Some(client) = self.client(key) else {
                    return;
                };
                let id = client.connect;
                self.log_out(key, turn);
                self.say(key, turn, |session, _, _, out| {
                    session.refused(id, &failure, out);
                });
            }
        }
    }

    /// The grant of a live session ended.
    pub(in crate::node) fn cut_off(
        &mut self,
        key: ConnectionKey,
        refusal: &Refusal,
        turn: &mut Turn<'_>,
    ) {
        let refreshing = self.client(key).is_some_and(|it| it.refresh.is_some());
        let why = ends_login(refusal, refreshing);
        self.disconnect(key, &why, turn);
    }

    /// A client became a member of a room: it is subscribed once it caught up with it.
    pub(in crate::node) fn becomes_member(
        &mut self,
        key: ConnectionKey,
        heard: &Heard,
        turn: &mut Turn<'_>,
    ) {
        if let Some(caught) = self.catch_up(key, heard, (Purpose::Membership, None)) {
            self.take_member(key, (heard, &caught), turn);
        }
    }

    /// Tells a client that the server subscribes it to a room, and seats it there.
    pub(super) fn take_member(
        &mut self,
        key: ConnectionKey,
        (heard, caught): (&Heard, &Caught),
        turn: &mut Turn<'_>,
    ) {
        let publications = caught.publications(false, None);
        let subscription = caught.subscription(&publications);
        let room = &heard.channel.room;
        let subscribed = self.say(key, turn, |session, now, settings, out| {
            session.subscribe(now, settings, room, &subscription, out)
        });
        if let Some(Err(disconnect)) = subscribed {
            heard.channel.left(self.shard);
            return self.disconnect(key, &disconnect, turn);
        }
        self.seat(key, heard, turn);
    }

    /// Tells a client that a subscription ended.
    pub(in crate::node) fn end_subscription(
        &mut self,
        key: ConnectionKey,
        room: &str,
        turn: &mut Turn<'_>,
    ) {
        self.say(key, turn, |session, _, _, out| {
            let why = tokens::taken_back(session, room);
            session.unsubscribe(room, &why, out)
        });
    }

    /// Presents a new token. The grant is evaluated anew by it, as if the old one had been taken back.
    pub(super) fn refresh(
        &mut self,
        key: ConnectionKey,
        (id, token): (u32, &str),
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Done {
        if self.client(key).is_some_and(|it| it.refresh.is_some()) {
            return self.refused(key, id, &Failure::TOO_MANY_REQUESTS, out);
        }
        let node = Arc::clone(&self.node);
        let Some(session) = self.session(key) else {
            return Done::Next;
        };
        let connection = Connection {
            token: Some(token.into()),
            ..(*session.connection).clone()
        };
        session.connection = Arc::new(connection);
        let presented = Presented {
            credential: Credential {
                app: session.app.as_deref().map(str::to_owned),
                fallback_app: node.settings.fallback_app.clone(),
                user: None,
                token: Some(token.to_owned()),
            },
            connection: Arc::clone(&session.connection),
        };
        let watcher = session.watcher;
        let Some(epoch) = node.grants.present(watcher, presented) else {
            return Done::Next;
        };
        if let Some(client) = self.client(key) {
            client.refresh = Some((id, epoch));
        }
        self.hold(&[(watcher, epoch)], turn);
        Done::Next
    }

    /// A grant evaluated anew may be the answer to a refresh.
    pub(in crate::node) fn refreshed(
        &mut self,
        key: ConnectionKey,
        admission: &Admission,
        turn: &mut Turn<'_>,
    ) {
        let Some(client) = self.client(key) else {
            return;
        };
        let reached = |refresh: &mut (u32, u32)| refresh.1 <= admission.epoch;
        let Some((id, _)) = client.refresh.take_if(reached) else {
            return;
        };
        client.speaker = speaker(client.name(), admission.info.clone());
        let ttl = time_left(admission.expires);
        self.say(key, turn, |session, now, settings, out| {
            session.refreshed(now, settings, id, ttl, out);
        });
    }

    /// Whether a grant is the session's user's: a client may present another's token when it refreshes.
    pub(in crate::node) fn is_theirs(&mut self, key: ConnectionKey, admission: &Admission) -> bool {
        let session = self.session(key).filter(|session| session.client.is_some());
        let who = session.and_then(|session| session.who.as_ref());
        who.is_none_or(|who| who.user == admission.user && who.tenant == admission.tenant)
    }
}

/// Seconds until a login ends.
pub(super) fn time_left(expires: Option<u64>) -> Option<u32> {
    let left = |at: u64| u32::try_from(at.saturating_sub(unix_now())).unwrap_or(u32::MAX);
    expires.map(left)
}
