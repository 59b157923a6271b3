//! Sessions that speak the Centrifuge protocol.
//!
//! What such a session may do when is the affair of [`sschat_protocol::centrifuge::session`]; here its commands are
//! carried out by the means that the seed's protocol uses too: grants, verdicts, the hub. A room of the grant is a
//! subscription that the server makes; a room that the client names itself is joined. Everything that only this
//! protocol needs lies in [`Client`], so that other sessions don't grow by it.
//!
//! A command that must wait pauses its connection, and what follows it in its frame is parked. So the commands of a
//! session are carried out one after the other.
//!
//! Absent on purpose: how history is kept ([`crate::broker`]), and rules ([`crate::policy`]).

mod calls;
mod catching_up;
mod clients;
mod connect;
mod deltas;
mod filters;
mod history;
mod listeners;
mod presence;
mod publish;
mod recovery;
mod refusals;
mod subscribe;
mod time;
mod tokens;

pub(super) use calls::Answered;
pub(super) use clients::Clients;
pub(super) use filters::looked_at;
pub(super) use listeners::{Coming, Listeners};
pub(super) use publish::publication;
pub(super) use recovery::Read;

use super::{Endpoint, Sessions, wire};
use crate::broker::Speaker;
use crate::hub::ConnectionKey;
use crate::policy::Undecided;
use crate::policy::memo::Verdict;
use crate::socket::{Flow, Turn};
use connect::Welcome;
pub(super) use history::Shelf;
use recovery::{CatchUp, Claim};
use sschat_protocol::centrifuge::session::{Millis, Session, Settings, Step};
use sschat_protocol::centrifuge::{Command, Commands, Disconnect, Failure, Format, Reply, Request};
use sschat_protocol::websocket::Opcode;
use std::sync::Arc;
use uuid::Uuid;

/// A buffer of replies that grew past this is not kept, so that one connect with thousands of rooms does not pin it.
const KEPT: usize = 64 << 10;

/// What only a session of this protocol has.
pub(super) struct Client {
    session: Session,
    /// Who it is to others: the id of the connection, and what its login says of it.
    speaker: Arc<Speaker>,
    /// What its client proves to be itself with where commands come apart from the connection.
    apart: Option<Box<Uuid>>,
    /// The id of the connect command.
    connect: u32,
    /// Where it says that it was in rooms of its own, until its connect is answered.
    claims: Vec<(Box<str>, Claim)>,
    /// Its connect, while it catches up.
    welcome: Option<Box<Welcome>>,
    /// The channels that it catches up with.
    catching_up: Vec<CatchUp>,
    /// A part of a channel's history that was read for it.
    page: Option<Box<Shelf>>,
    /// What came of its call.
    answered: Option<Box<Answered>>,
    /// A refresh that is decided: the command's id, and the hold whose end decides it.
    refresh: Option<(u32, u32)>,
    parked: Option<Parked>,
    /// When its alarm goes off, in the shard's milliseconds.
    alarm: Millis,
}

impl Client {
    /// The id of the connection.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.speaker.client)
    }

    /// What others are shown of its user: JSON.
    pub(super) fn info(&self) -> Option<Arc<str>> {
        self.speaker.info.clone()
    }

    /// As whom it speaks.
    pub(super) fn speaker(&self) -> Arc<Speaker> {
        Arc::clone(&self.speaker)
    }
}

/// Commands that wait, and what for.
struct Parked {
    frame: Box<[u8]>,
    until: Until,
}

/// What a session waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Its login; then the parked commands follow.
    Login,
    /// A verdict; then the first parked command, which was found in order, is carried out.
    Verdict,
    /// The answer of others: all shards, the disk, or a policy; then the parked commands follow.
    Answer,
}

/// What follows from carrying out a command.
enum Done {
    /// The next one.
    Next,
    /// Nothing, until the session is taken up again.
    Wait(Until),
    /// The end.
    Close(Disconnect),
}

impl Sessions {
    fn client(&mut self, key: ConnectionKey) -> Option<&mut Client> {
        self.session(key)?.client.as_deref_mut()
    }

    pub(super) fn is_client(&mut self, key: ConnectionKey) -> bool {
        self.client(key).is_some()
    }

    /// Asks something of the state machine.
    fn with<R>(
        &mut self,
        key: ConnectionKey,
        act: impl FnOnce(&mut Session, Millis, &Settings) -> R,
    ) -> Option<R> {
        let now = self.clients.now();
        let session = self.sessions.get_mut(key as usize)?.as_deref_mut()?;
        let client = session.client.as_deref_mut()?;
        let settings = session.held_to.as_deref().map(|held| &held.settings);
        let settings = settings.unwrap_or(&self.clients.settings);
        Some(act(&mut client.session, now, settings))
    }

    /// Lets the state machine say something.
    fn say<R>(
        &mut self,
        key: ConnectionKey,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Session, Millis, &Settings, &mut Vec<u8>) -> R,
    ) -> Option<R> {
        let mut out = std::mem::take(&mut self.clients.replies);
        let said = self.with(key, |session, now, settings| {
            act(session, now, settings, &mut out)
        });
        self.flush(key, out, turn);
        said
    }

    /// Sends what was said as one message, and sets the alarm.
    fn flush(&mut self, key: ConnectionKey, mut out: Vec<u8>, turn: &mut Turn<'_>) {
        if let Some(session) = self.session(key)
            && let Some(client) = &session.client
            && !out.is_empty()
        {
            let opcode = match client.session.format() {
                Format::Json => Opcode::Text,
                Format::Protobuf => Opcode::Binary,
            };
            let (agreed, endpoint) = (session.deflate, session.endpoint);
            let deflater = &mut self.deflater;
            turn.hub.reply(key, |log| match endpoint {
                Endpoint::Streaming(streaming) => streaming.push(log, &out),
                _ => wire::push_to(deflater, agreed, (opcode, &out), log),
            });
        }
        out.clear();
        if out.capacity() <= KEPT {
            self.clients.replies = out;
        }
        self.set_alarm(key);
    }

    /// Ends a session of this protocol.
    pub(super) fn disconnect(&mut self, key: ConnectionKey, why: &Disconnect, turn: &mut Turn<'_>) {
        self.let_go(key, turn);
        turn.close(key, why.code, &why.reason);
    }

    /// A frame arrived.
    pub(super) fn frame(&mut self, key: ConnectionKey, frame: &[u8], turn: &mut Turn<'_>) -> Flow {
        self.carry_on(key, frame, None, turn)
    }

    /// Takes the commands of a frame, up to one that must wait. `decided`: the verdict that the first one waited for.
    fn carry_on(
        &mut self,
        key: ConnectionKey,
        frame: &[u8],
        mut decided: Option<&Arc<Verdict>>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let Some(format) = self.client(key).map(|client| client.session.format()) else {
            return Flow::Continue;
        };
        let mut out = std::mem::take(&mut self.clients.replies);
        let mut commands = Commands::new(format, frame);
        let mut before = commands.rest();
        let mut done = Done::Next;
        while let Some(command) = commands.next() {
            let again = decided.take();
            done = match self.check(key, command, again.is_some(), &mut out) {
                Step::Done => Done::Next,
                Step::Close(why) => Done::Close(why),
                Step::Act(command) => self.carry_out(key, &command, again, &mut out, turn),
            };
            if !matches!(done, Done::Next) || !self.is_client(key) {
                break;
            }
            before = commands.rest();
        }
        self.flush(key, out, turn);
        match done {
            Done::Next => return Flow::Continue,
            Done::Close(why) => {
                self.disconnect(key, &why, turn);
                return Flow::Continue;
            }
            Done::Wait(until) => {
                let frame = match until {
                    Until::Verdict => before.into(),
                    Until::Login | Until::Answer => commands.rest().into(),
                };
                if let Some(client) = self.client(key) {
                    client.parked = Some(Parked { frame, until });
                }
            }
        }
        Flow::Pause
    }

    /// Whether a command is in order. One that waited was so before.
    fn check<'f>(
        &mut self,
        key: ConnectionKey,
        command: Result<Command<'f>, sschat_protocol::centrifuge::Malformed>,
        again: bool,
        out: &mut Vec<u8>,
    ) -> Step<'f> {
        match command {
            Err(malformed) => {
                tracing::debug!(%malformed, "a client broke the protocol");
                Step::Close(malformed.disconnect())
            }
            Ok(command) if again => Step::Act(command),
            Ok(command) => self
                .with(key, |session, now, settings| {
                    session.command(now, settings, command, out)
                })
                .unwrap_or(Step::Done),
        }
    }

    fn carry_out(
        &mut self,
        key: ConnectionKey,
        command: &Command<'_>,
        decided: Option<&Arc<Verdict>>,
        out: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> Done {
        let id = command.id;
        match &command.request {
            Request::Connect(connect) => self.connect(key, id, connect, turn),
            Request::Subscribe(wanted) => self.subscribe(key, (id, wanted), decided, out, turn),
            Request::Unsubscribe(it) => {
                self.hear_no_more(key, &it.channel, turn);
                Done::Next
            }
            Request::Publish(said) => self.publish_for(key, (id, said), decided, out, turn),
            Request::Presence(it) => self.presence(key, (id, &it.channel), false, out),
            Request::PresenceStats(it) => self.presence(key, (id, &it.channel), true, out),
            Request::History(asked) => self.history(key, (id, asked), out),
            Request::Rpc(asked) => self.call(key, (id, asked), out),
            Request::Refresh(token) => self.refresh(key, (id, &token.token), out, turn),
            Request::SubRefresh(it) => self.sub_refresh(key, (id, it), decided, out),
            // There is no backend that would take it.
            Request::Send(_) | Request::Ping | Request::Pong => Done::Next,
        }
    }

    /// Answers a command.
    fn replied(
        &mut self,
        key: ConnectionKey,
        id: u32,
        reply: &Reply<'_>,
        out: &mut Vec<u8>,
    ) -> Done {
        self.with(key, |session, _, _| session.replied(id, reply, out));
        Done::Next
    }

    /// Refuses a command.
    fn refused(
        &mut self,
        key: ConnectionKey,
        id: u32,
        failure: &Failure,
        out: &mut Vec<u8>,
    ) -> Done {
        self.with(key, |session, _, _| session.refused(id, failure, out));
        Done::Next
    }

    /// A verdict that a command waited for is there.
    pub(super) fn take_up(
        &mut self,
        key: ConnectionKey,
        outcome: Result<Arc<Verdict>, Undecided>,
        turn: &mut Turn<'_>,
    ) {
        let Some(frame) = self.unpark(key, Until::Verdict) else {
            return;
        };
        let flow = match outcome {
            Ok(verdict) => self.carry_on(key, &frame, Some(&verdict), turn),
            Err(undecided) => {
                tracing::warn!(%undecided, "a decision failed");
                self.give_up(key, &frame, turn)
            }
        };
        if flow == Flow::Continue {
            turn.resume(key);
        }
    }

    /// The first of these commands can't be decided now; the others follow.
    fn give_up(&mut self, key: ConnectionKey, frame: &[u8], turn: &mut Turn<'_>) -> Flow {
        let Some(format) = self.client(key).map(|client| client.session.format()) else {
            return Flow::Continue;
        };
        let mut commands = Commands::new(format, frame);
        if let Some(Ok(command)) = commands.next() {
            self.say(key, turn, |session, _, _, out| {
                session.refused(command.id, &Failure::INTERNAL, out);
            });
        }
        self.follow(key, commands.rest(), turn)
    }

    /// A login was decided: what waited for it follows, on whichever protocol.
    pub(super) fn go_on(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        if !self.is_client(key) {
            return turn.resume(key);
        }
        if self.client(key).is_some_and(|it| it.welcome.is_none()) {
            self.go_on_after(key, Until::Login, turn);
        }
    }

    fn go_on_after(&mut self, key: ConnectionKey, until: Until, turn: &mut Turn<'_>) {
        if let Some(frame) = self.unpark(key, until)
            && self.follow(key, &frame, turn) == Flow::Continue
        {
            turn.resume(key);
        }
    }

    fn follow(&mut self, key: ConnectionKey, frame: &[u8], turn: &mut Turn<'_>) -> Flow {
        if frame.is_empty() {
            return Flow::Continue;
        }
        self.carry_on(key, frame, None, turn)
    }

    fn unpark(&mut self, key: ConnectionKey, until: Until) -> Option<Box<[u8]>> {
        let client = self.client(key)?;
        let parked = client.parked.take_if(|parked| parked.until == until)?;
        Some(parked.frame)
    }
}
