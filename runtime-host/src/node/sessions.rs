//! The sessions of one shard: takes messages and commands to the use cases.

use super::centrifuge::Clients;
use super::session::Session;
use super::{Command, Endpoint, Node, Opening, connection_of, wire};
use crate::clock::unix_now;
use crate::hub::ConnectionKey;
use crate::policy::Undecided;
use crate::policy::memo::{Ends, Verdict, Watcher};
use crate::socket::{Application, Flow, Turn};
use sschat_protocol::close;
use sschat_protocol::seed::{self, Format, Step};
use sschat_protocol::streaming::Streaming;
use sschat_protocol::websocket::Opcode;
use sschat_protocol::websocket::deflate::Deflater;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

/// The sessions of one shard. See the module's documentation.
pub struct Sessions {
    pub(super) node: Arc<Node>,
    pub(super) shard: usize,
    /// By connection.
    pub(super) sessions: Vec<Option<Box<Session>>>,
    /// The number of the shard's latest login.
    pub(super) serial: u32,
    /// Logins that end by themselves and grants that have to be evaluated anew by then,
    /// the next first.
    pub(super) timed: BinaryHeap<Reverse<(u64, Watcher)>>,
    /// When the change feed was last seen proven.
    proven: Instant,
    /// Says whether a leave to speak still stands.
    pub(super) ends: Arc<Ends>,
    /// Where a payload is encoded before its frame's header can be.
    pub(super) scratch: Vec<u8>,
    /// What compresses for those who agreed to it.
    pub(super) deflater: Deflater,
    /// What the sessions of the Centrifuge protocol share.
    pub(super) clients: Clients,
}

impl Sessions {
    /// The sessions of shard number `shard`.
    pub fn new(node: Arc<Node>, shard: usize) -> Self {
        Self {
            proven: Instant::now(),
            ends: node.policy.ends(),
            node,
            shard,
            sessions: Vec::new(),
            serial: 0,
            timed: BinaryHeap::new(),
            scratch: Vec::new(),
            deflater: Deflater::default(),
            clients: Clients::default(),
        }
    }

    pub(super) fn session(&mut self, key: ConnectionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key as usize)?.as_deref_mut()
    }

    /// The connection of a session that still has this number.
    pub(super) fn find(&mut self, watcher: Watcher) -> Option<ConnectionKey> {
        let key = connection_of(watcher);
        self.session(key)
            .is_some_and(|session| session.watcher == watcher)
            .then_some(key)
    }

    /// Sends a JSON frame, unless the connection wants bare messages only.
    pub(super) fn answer(
        &mut self,
        key: ConnectionKey,
        turn: &mut Turn<'_>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(session) = self.session(key) else {
            return;
        };
        if session.endpoint == Endpoint::Polling(Format::Json) {
            let agreed = session.deflate;
            self.scratch.clear();
            encode(&mut self.scratch);
            let (deflater, scratch) = (&mut self.deflater, &self.scratch);
            turn.hub.reply(key, |out| {
                wire::push_to(deflater, agreed, (Opcode::Text, scratch), out);
            });
        }
    }

    /// Sends a message back where it came from.
    fn echo(&mut self, key: ConnectionKey, message: (Opcode, &[u8]), turn: &mut Turn<'_>) {
        let agreed = self.session(key).and_then(|session| session.deflate);
        let deflater = &mut self.deflater;
        turn.hub
            .reply(key, |out| wire::push_to(deflater, agreed, message, out));
    }

    /// Refuses a command.
    pub(super) fn refuse(
        &mut self,
        key: ConnectionKey,
        turn: &mut Turn<'_>,
        code: &str,
        text: &str,
    ) -> Flow {
        self.answer(key, turn, |out| seed::error(out, code, text));
        Flow::Continue
    }

    pub(super) fn refuse_undecided(
        &mut self,
        key: ConnectionKey,
        turn: &mut Turn<'_>,
        undecided: &Undecided,
    ) -> Flow {
        tracing::warn!(%undecided, "a decision failed");
        let text = "this can't be decided right now, try again";
        self.refuse(key, turn, seed::ErrorCode::Temporary.as_str(), text)
    }

    /// Acts on a command. `decided`: the answer it was parked for.
    fn act(
        &mut self,
        key: ConnectionKey,
        text: &str,
        decided: Option<&Arc<Verdict>>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let command = match self.step(key, text, decided.is_some()) {
            Step::Act(command) => command,
            Step::Refuse(refused) => {
                return self.refuse(key, turn, refused.code.as_str(), &refused.text);
            }
            Step::Close(code, reason) => {
                self.let_go(key, turn);
                turn.close(key, code, reason);
                return Flow::Continue;
            }
        };
        match command {
            seed::Command::Login { user, token } => {
                self.log_in(key, user.as_deref(), token.as_deref(), turn)
            }
            seed::Command::Room { room, msg } => {
                self.publish(key, (&room, msg.get()), text, decided, turn)
            }
            seed::Command::Join { room } => self.join(key, &room, text, decided, turn),
            seed::Command::Leave { room } => self.leave_named(key, &room, turn),
            seed::Command::Ping { user } => self.ping(key, &user, text, decided, turn),
        }
    }

    /// A decision that a command waited for.
    fn decided(
        &mut self,
        watcher: Watcher,
        outcome: Result<Arc<Verdict>, Undecided>,
        turn: &mut Turn<'_>,
    ) {
        let Some(key) = self.find(watcher) else {
            return;
        };
        let waiting = self.session(key).and_then(|session| session.waiting.take());
        if self.is_client(key) {
            return self.take_up(key, outcome, turn);
        }
        let flow = match (&outcome, waiting) {
            (_, None) => return,
            (Ok(verdict), Some(waiting)) => self.act(key, &waiting.text, Some(verdict), turn),
            (Err(undecided), Some(_)) => self.refuse_undecided(key, turn, undecided),
        };
        if flow == Flow::Continue {
            turn.resume(key);
        }
    }

    /// Ends a login whose time is over, or asks for its grant anew.
    fn time_has_come(
        &mut self,
        key: ConnectionKey,
        watcher: Watcher,
        now: u64,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session(key) else {
            return;
        };
        if session.expires <= now {
            self.let_go(key, turn);
            turn.close(key, close::REVOKED, "the login has expired");
            return;
        }
        if session.renew <= now {
            session.renew = u64::MAX;
            if let Some(epoch) = self.node.grants.renew(watcher) {
                self.hold(&[(watcher, epoch)], turn);
            }
        }
    }

    /// Whether changes may have been missed and the sessions don't know it yet.
    pub(super) fn doubts(&mut self) -> bool {
        self.node.policy.in_doubt(&mut self.proven)
    }

    pub(super) fn hold(&mut self, watchers: &[(Watcher, u32)], turn: &mut Turn<'_>) {
        for (watcher, epoch) in watchers {
            let Some(key) = self.find(*watcher) else {
                continue;
            };
            if let Some(session) = self.session(key) {
                if *epoch <= session.granted {
                    continue;
                }
                session.held = *epoch;
            }
            turn.hold(key);
        }
    }
}

impl Application for Sessions {
    type Command = Command;
    type Opening = Opening;

    fn is_wide(opening: &Opening) -> bool {
        opening.endpoint == Endpoint::Echo
    }

    fn deflates(opening: &Opening) -> bool {
        opening.deflate.is_some()
    }

    fn streaming(opening: &Opening) -> Option<Streaming> {
        match opening.endpoint {
            Endpoint::Streaming(streaming) => Some(streaming),
            _ => None,
        }
    }

    fn opened(&mut self, key: ConnectionKey, opening: Opening, _: &mut Turn<'_>) -> Flow {
        let index = key as usize;
        if index >= self.sessions.len() {
            self.sessions.resize_with(index + 1, || None);
        }
        let endpoint = opening.endpoint;
        self.sessions[index] = Some(Box::new(Session::new(opening)));
        match endpoint {
            Endpoint::Centrifuge(format) => self.begin(key, format),
            Endpoint::Streaming(streaming) => self.begin_apart(key, streaming.format()),
            Endpoint::Polling(_) | Endpoint::Echo => {}
        }
        Flow::Continue
    }

    fn text(&mut self, key: ConnectionKey, text: &str, turn: &mut Turn<'_>) -> Flow {
        match self.session(key).map(|session| session.endpoint) {
            Some(Endpoint::Polling(_)) => self.act(key, text, None, turn),
            Some(Endpoint::Centrifuge(_) | Endpoint::Streaming(_)) => {
                self.frame(key, text.as_bytes(), turn)
            }
            Some(Endpoint::Echo) => {
                self.echo(key, (Opcode::Text, text.as_bytes()), turn);
                Flow::Continue
            }
            None => Flow::Continue,
        }
    }

    fn binary(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) -> Flow {
        match self.session(key).map(|session| session.endpoint) {
            Some(Endpoint::Centrifuge(_) | Endpoint::Streaming(_)) => {
                return self.frame(key, bytes, turn);
            }
            Some(Endpoint::Echo) => self.echo(key, (Opcode::Binary, bytes), turn),
            Some(Endpoint::Polling(_)) => {
                self.let_go(key, turn);
                turn.close(key, close::UNSUPPORTED, "this endpoint takes text messages");
            }
            None => {}
        }
        Flow::Continue
    }

    fn closed(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        self.let_go(key, turn);
    }

    fn command(&mut self, command: Command, turn: &mut Turn<'_>) {
        match command {
            Command::LoggedIn(watcher, outcome) => self.logged_in(watcher, outcome, turn),
            Command::Decided(watcher, outcome) => self.decided(watcher, outcome, turn),
            Command::Hold(watchers, guard) => {
                self.hold(&watchers, turn);
                drop(guard);
            }
            Command::Regrant(watcher, outcome, guards) => {
                self.regrant(watcher, outcome, turn);
                drop(guards);
            }
            Command::Deliver(channel, publication, origin) => {
                self.deliver(&channel, &publication, origin, turn);
            }
            Command::Acknowledged(receipts) => self.acknowledged(receipts, turn),
            Command::CaughtUp(watcher, serial, read) => {
                self.caught_up((watcher, serial), read, turn);
            }
            Command::Read(watcher, shelf) => self.history_read(watcher, shelf, turn),
            Command::Answered(watcher, answered) => self.answered(watcher, answered, turn),
            Command::Lost(channel) => self.lost(&channel, turn),
            Command::Presence(notice) => self.tell_presence(&notice, turn),
            Command::Roll(roll) => self.call_roll(&roll, turn),
            Command::Rolled(roll) => self.rolled(&roll, turn),
            Command::Errand(errand) => self.run(&errand, turn),
            Command::Coming(coming) => self.tell_came(&coming, turn),
            Command::Said(said) => self.said_apart(*said, turn),
        }
    }

    fn in_doubt(&mut self) -> bool {
        self.doubts()
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.keep_time(turn);
        if self.timed.is_empty() {
            return;
        }
        let now = unix_now();
        while let Some(Reverse((at, watcher))) = self.timed.peek().copied() {
            if at > now {
                return;
            }
            self.timed.pop();
            if let Some(key) = self.find(watcher) {
                self.time_has_come(key, watcher, now, turn);
            }
        }
    }
}
