//! The event loop of a shard.

use super::connection::{CATCHING_UP, Connections, Phase, Turn};
use super::inbound::READ_BUFFER;
use super::mailbox::Mailbox;
use super::timer::{Due, Tick, ticks};
use super::{Application, Letter, Limits};
use crate::hub::{ConnectionKey, Hub};
use crate::metrics::tally::{self, Figure};
use mio::{Events, Token};
use sschat_protocol::close;
use sschat_protocol::websocket::deflate::Inflater;
use sschat_protocol::websocket::{Opcode, push_frame};
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The token of the mailbox's waker.
pub(super) const WAKE: Token = Token(usize::MAX);

/// Events taken per turn.
const EVENTS: usize = 1_024;

/// Letters taken per turn of those that come in thousands: about half a millisecond's
/// work, so that a key that is deleted under ten thousand sessions, or as many that come
/// back at once, delay nobody else's messages for longer.
const BULK: usize = 32;

/// How long a shard that is in doubt waits before it asks again.
const DOUBT: Duration = Duration::from_millis(2);

pub(super) struct Shard<A: Application> {
    pub(super) poll: mio::Poll,
    mailbox: Arc<Mailbox<Letter<A>>>,
    count: Arc<AtomicUsize>,
    pub(super) hub: Hub,
    pub(super) connections: Connections,
    pub(super) application: A,
    pub(super) buffer: Vec<u8>,
    /// What all connections' compressed messages are inflated with.
    pub(super) inflater: Inflater,
    /// Connections that have more to read than their share of this turn.
    pub(super) backlog: Vec<ConnectionKey>,
    pub(super) gone: Vec<ConnectionKey>,
    /// The length of the drain, once it began.
    pub(super) drain: Option<Tick>,
    /// When the application's clock last ticked.
    ticked: Tick,
}

impl<A: Application> Shard<A> {
    pub(super) fn new(
        poll: mio::Poll,
        mailbox: Arc<Mailbox<Letter<A>>>,
        count: Arc<AtomicUsize>,
        limits: Limits,
        application: A,
    ) -> Self {
        Self {
            poll,
            mailbox,
            count,
            hub: Hub::default(),
            connections: Connections::new(limits),
            application,
            buffer: vec![0; READ_BUFFER],
            inflater: Inflater::default(),
            backlog: Vec::new(),
            gone: Vec::new(),
            drain: None,
            ticked: 0,
        }
    }

    /// Runs until the drain has closed the last connection.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut letters = Vec::new();
        let mut due = Vec::new();
        let mut more = false;
        let mut doubt = false;
        loop {
            let wait = if doubt {
                DOUBT
            } else if more || !self.backlog.is_empty() {
                Duration::ZERO
            } else {
                self.connections.wheel.until_next()
            };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "waiting for events failed");
            }
            self.connections.now = self.connections.wheel.now();
            doubt = self.application.in_doubt();
            if doubt {
                self.postpone(&events);
                continue;
            }
            for key in std::mem::take(&mut self.backlog) {
                // The peer may have closed meanwhile, which is told but once.
                self.read(key, true);
            }
            for event in &events {
                if event.token() != WAKE {
                    self.ready(event);
                }
            }
            more = self.mailbox.collect(&mut letters, BULK);
            for letter in letters.drain(..) {
                self.open(letter);
            }
            self.go_on();
            self.keep_time(&mut due);
            // The process may have been stopped since.
            doubt = self.application.in_doubt();
            if doubt {
                continue;
            }
            self.settle();
            self.bury();
            tally::publish();
            if self.drain.is_some() && !more && self.connections.slab.is_empty() {
                return;
            }
        }
    }

    pub(super) fn turn<R>(&mut self, act: impl FnOnce(&mut A, &mut Turn<'_>) -> R) -> R {
        let mut turn = Turn {
            hub: &mut self.hub,
            connections: &mut self.connections,
        };
        act(&mut self.application, &mut turn)
    }

    /// Keeps what is ready for a later turn: the system tells it once.
    fn postpone(&mut self, events: &Events) {
        let keys = events.iter().filter(|event| event.token() != WAKE);
        for key in keys.map(|event| event.token().0 as ConnectionKey) {
            self.backlog.push(key);
            self.connections.resumed.push(key);
        }
    }

    fn ready(&mut self, event: &mio::event::Event) {
        let key = event.token().0 as ConnectionKey;
        if event.is_writable() {
            self.flush(key);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(key, event.is_read_closed() || event.is_error());
        }
    }

    fn open(&mut self, letter: Letter<A>) {
        match letter {
            Letter::Command(command) => {
                self.turn(|application, turn| application.command(command, turn));
            }
            Letter::Adopt(plug, read, opening) => {
                if let Err(error) = self.adopt(plug, read, opening) {
                    tracing::warn!(%error, "a connection could not be taken over");
                    self.count.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Letter::Drain(within) => self.drain(within),
        }
    }

    /// Connections whose pause, hold or life ended go on from where they stopped.
    fn go_on(&mut self) {
        while let Some(key) = self.connections.resumed.pop() {
            self.flush(key);
            let Some(connection) = self.connections.get(key) else {
                continue;
            };
            if connection.paused || connection.held {
                continue;
            }
            let readable = connection.readable;
            if connection.body.is_some() {
                self.hand_over(key);
                if readable {
                    self.read(key, true);
                }
                continue;
            }
            let unread = connection.unread.take();
            let took_all = unread.is_none_or(|mut unread| self.consume(key, &mut unread));
            if took_all && readable {
                self.read(key, true);
            }
        }
    }

    fn keep_time(&mut self, due: &mut Vec<Due>) {
        let before = due.len();
        self.connections.wheel.advance(self.connections.now, due);
        for due in due.drain(before..) {
            self.fire(due);
        }
        if std::mem::replace(&mut self.ticked, self.connections.now) != self.connections.now {
            self.turn(A::tick);
        }
    }

    fn fire(&mut self, due: Due) {
        let key = due.connection;
        let now = self.connections.now;
        let (ping, idle) = {
            let limits = &self.connections.limits;
            (ticks(limits.ping), ticks(limits.idle))
        };
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.timer != due.at {
            return;
        }
        if now >= connection.deadline {
            return match connection.phase {
                Phase::Open => self.close(key, close::GOING_AWAY, "the host is shutting down"),
                _ => self.remove(key),
            };
        }
        // A body has its own protocol's pings.
        if connection.body.is_some() {
            if connection.deadline != Tick::MAX {
                let deadline = connection.deadline;
                self.connections.set_timer(key, deadline);
            }
            return;
        }
        let silent = now.saturating_sub(connection.heard);
        if connection.phase == Phase::Open && silent >= idle {
            return self.close(key, close::NO_PONG, "no pong");
        }
        let deadline = connection.deadline;
        if connection.phase == Phase::Open && silent >= ping {
            self.hub
                .reply(key, |out| push_frame(out, Opcode::Ping, &[]));
        }
        let next = if silent >= ping {
            now + ping.min(idle.saturating_sub(silent)).max(1)
        } else {
            now + ping - silent
        };
        self.connections.set_timer(key, next.min(deadline));
    }

    /// Closes an open connection on the shard's own account.
    pub(super) fn close(&mut self, key: ConnectionKey, code: u16, reason: &str) {
        self.turn(|application, turn| {
            application.closed(key, turn);
            turn.close(key, code, reason);
        });
    }

    /// Writes what every connection is owed.
    fn settle(&mut self) {
        let connections = &mut self.connections;
        let (narrow, wide) = (connections.limits.queue, connections.limits.wide);
        let mut slow = Vec::new();
        let mut broken = Vec::new();
        let mut ending = Vec::new();
        self.hub.settle(|key, logs, pieces| {
            let Some(connection) = connections.get(key) else {
                return;
            };
            if connection.phase == Phase::Gone {
                return;
            }
            let limit = if connection.wide { wide } else { narrow };
            match connection.deliver(logs, pieces, limit) {
                Err(_) => broken.push(key),
                Ok(false) if connection.phase == Phase::Open => slow.push(key),
                Ok(_) if connection.phase != Phase::Open => ending.push(key),
                Ok(_) => {}
            }
        });
        for key in broken {
            self.remove(key);
        }
        for key in ending {
            self.flush(key);
        }
        for key in slow {
            self.drop_slow(key);
        }
    }

    /// The consumer fell behind: it is told to come back, and what it did not take is dropped.
    fn drop_slow(&mut self, key: ConnectionKey) {
        tally::add(Figure::SlowConsumers, 1);
        self.turn(|application, turn| application.closed(key, turn));
        // Leaving its rooms may have put more on its account.
        self.hub.forget(key);
        let mut phase = Phase::Closing;
        if let Some(connection) = self.connections.get(key) {
            connection.abandon(close::SLOW_CONSUMER, "slow consumer");
            phase = connection.after_goodbye();
        }
        self.connections.closing(key, phase, CATCHING_UP);
        self.flush(key);
    }

    fn flush(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        if connection.phase == Phase::Gone {
            return;
        }
        if connection.flush().is_err() {
            return self.remove(key);
        }
        if connection.is_flushed() && !self.hub.owes(key) {
            match connection.phase {
                Phase::Ending => self.remove(key),
                // Closing with input unread would reset the connection and take the close
                // frame with it, so the peer is left to end it.
                Phase::Refused => {
                    let _ = connection.stream.shutdown(Shutdown::Write);
                }
                Phase::Open | Phase::Closing | Phase::Gone => {}
            }
        }
    }

    /// Marks a connection for removal at the end of the turn; until then its number is not given again.
    pub(super) fn remove(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        let before = std::mem::replace(&mut connection.phase, Phase::Gone);
        if before == Phase::Gone {
            return;
        }
        if before == Phase::Open {
            self.turn(|application, turn| application.closed(key, turn));
        }
        self.gone.push(key);
    }

    fn bury(&mut self) {
        for key in self.gone.drain(..) {
            self.hub.forget(key);
            if let Some(mut connection) = self.connections.slab.try_remove(key as usize) {
                // The socket is closed by its drop; a failure here leaves nothing to do.
                let _ = self.poll.registry().deregister(&mut connection.stream);
                let _ = connection.stream.shutdown(Shutdown::Both);
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
