//! Connections: one shard per core, each a thread with its own event loop.
//!
//! A shard owns its connections from the upgrade to the close; a connection never
//! moves. A turn of the loop reads every ready socket, lets the [`Application`]
//! act on whole messages, and then writes each connection that is owed something
//! once. Other threads reach a shard only through its [`Mailbox`].
//!
//! Absent on purpose: policy, rooms' names, JSON. What a message means is the
//! application's affair; what a connection is owed, the [`crate::hub::Hub`]'s.

mod adopt;
mod body;
mod connection;
mod drain;
mod inbound;
mod mailbox;
mod outbox;
mod shard;
mod stream;
mod timer;

pub use body::Fed;
pub use connection::Turn;
pub use mailbox::{Mailbox, Pace};

use crate::hub::ConnectionKey;
use crate::metrics::tally::{self, Published};
use bytes::Bytes;
use sschat_protocol::streaming::Streaming;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_rustls::rustls::ServerConnection;

/// Bounds of every connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest message from a client, in bytes.
    pub message: usize,
    /// The most unsent bytes of a connection; past it the consumer is too slow and is closed.
    pub queue: usize,
    /// As `message` and `queue`, for connections that exist to be tested.
    pub wide: usize,
    /// A connection that was not heard from for this long gets a ping.
    pub ping: Duration,
    /// A connection that was not heard from for this long is closed.
    pub idle: Duration,
}

/// Whether a connection's next message may be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    Continue,
    /// Not before [`Turn::resume`]: an answer from elsewhere is awaited.
    Pause,
}

/// What lives on a shard's connections: one value per shard, called on its thread only.
pub trait Application: 'static {
    /// What other threads tell it.
    type Command: Send + 'static;
    /// What a connection brings from its handshake.
    type Opening: Send + 'static;

    /// Whether a connection is held to [`Limits::wide`] and not to the common bounds.
    fn is_wide(opening: &Self::Opening) -> bool;
    /// Whether a connection's messages may be compressed.
    fn deflates(opening: &Self::Opening) -> bool;
    /// How messages stand in the body of an HTTP response that a connection is; `None` for a WebSocket.
    fn streaming(opening: &Self::Opening) -> Option<Streaming>;
    /// A connection was adopted.
    fn opened(
        &mut self,
        connection: ConnectionKey,
        opening: Self::Opening,
        turn: &mut Turn<'_>,
    ) -> Flow;
    /// A text message arrived.
    fn text(&mut self, connection: ConnectionKey, text: &str, turn: &mut Turn<'_>) -> Flow;
    /// A binary message arrived, or one that a peer of a body sent by another way.
    fn binary(&mut self, connection: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) -> Flow;
    /// The connection is closing or gone; nothing more is taken from it or given to it.
    /// Not called where the application closed it by [`Turn::close`].
    fn closed(&mut self, connection: ConnectionKey, turn: &mut Turn<'_>);
    /// A command arrived from another thread.
    fn command(&mut self, command: Self::Command, turn: &mut Turn<'_>);
    /// Whether nothing may be read or written now: what the application knows may be out of
    /// date, and it has not acted on that yet. Soon over. Asked twice a turn.
    fn in_doubt(&mut self) -> bool;
    /// About ten times a second.
    fn tick(&mut self, turn: &mut Turn<'_>);
}

/// What a connection is made on: its socket, and its TLS session where it has one.
pub type Plug = (TcpStream, Option<Box<ServerConnection>>);

/// What is put into a shard's mailbox.
pub(crate) enum Letter<A: Application> {
    Adopt(Plug, Bytes, A::Opening),
    Command(A::Command),
    /// Close every connection within this time, spread evenly, then end.
    Drain(Duration),
}

/// One shard, as other threads see it.
pub struct ShardHandle<A: Application> {
    mailbox: Arc<Mailbox<Letter<A>>>,
    connections: Arc<AtomicUsize>,
    published: Arc<Published>,
}

impl<A: Application> Clone for ShardHandle<A> {
    fn clone(&self) -> Self {
        Self {
            mailbox: Arc::clone(&self.mailbox),
            connections: Arc::clone(&self.connections),
            published: Arc::clone(&self.published),
        }
    }
}

impl<A: Application> ShardHandle<A> {
    /// Tells the application something. In order per sending thread and pace.
    pub fn tell(&self, command: A::Command, pace: Pace) {
        self.mailbox.post(Letter::Command(command), pace);
    }

    /// How many connections it has.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// All shards of this host.
pub struct Shards<A: Application> {
    handles: Vec<ShardHandle<A>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Shards whose mailboxes exist already, so that applications can be built that know them.
pub struct Prepared<A: Application> {
    polls: Vec<mio::Poll>,
    handles: Vec<ShardHandle<A>>,
}

impl<A: Application> Prepared<A> {
    /// Prepares `count` shards.
    ///
    /// # Errors
    /// Where the system gives no more event queues.
    pub fn new(count: usize) -> io::Result<Self> {
        let mut polls = Vec::with_capacity(count);
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            let poll = mio::Poll::new()?;
            let waker = mio::Waker::new(poll.registry(), shard::WAKE)?;
            polls.push(poll);
            handles.push(ShardHandle {
                mailbox: Arc::new(Mailbox::new(waker)),
                connections: Arc::default(),
                published: Arc::default(),
            });
        }
        Ok(Self { polls, handles })
    }

    /// The shards, to give to whoever must reach them.
    pub fn handles(&self) -> Vec<ShardHandle<A>> {
        self.handles.clone()
    }

    /// Starts a thread per shard, each on its own of `cores` if there are any. `build` is
    /// called on each with the shard's index.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub fn start(
        self,
        limits: &Limits,
        cores: &[usize],
        build: impl Fn(usize) -> A + Send + Sync + Clone + 'static,
    ) -> io::Result<Shards<A>> {
        let mut threads = Vec::with_capacity(self.polls.len());
        for (index, poll) in self.polls.into_iter().enumerate() {
            let handle = self.handles[index].clone();
            let limits = limits.clone();
            let core = cores.get(index % cores.len().max(1)).copied();
            let build = build.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || {
                    pin(core);
                    tally::attach(handle.published);
                    let application = build(index);
                    shard::Shard::new(
                        poll,
                        handle.mailbox,
                        handle.connections,
                        limits,
                        application,
                    )
                    .run();
                })?;
            threads.push(thread);
        }
        Ok(Shards {
            handles: self.handles,
            threads: Mutex::new(threads),
        })
    }
}

/// Keeps the current thread on a core.
fn pin(core: Option<usize>) {
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        tracing::warn!(core = id, "a shard could not be kept on its core");
    }
}

impl<A: Application> Shards<A> {
    /// Gives an upgraded connection to the shard with the fewest. `read` is what was
    /// read from it beyond its handshake; for a body, the request's own, as the peer's first message.
    pub fn adopt(&self, plug: Plug, read: Bytes, opening: A::Opening) {
        let emptiest = self.handles.iter().min_by_key(|shard| shard.connections());
        if let Some(shard) = emptiest {
            shard.connections.fetch_add(1, Ordering::Relaxed);
            let letter = Letter::Adopt(plug, read, opening);
            shard.mailbox.post(letter, Pace::Bulk);
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.handles.iter().map(ShardHandle::connections).sum()
    }

    /// How many each shard has.
    pub fn connections_by_shard(&self) -> impl Iterator<Item = usize> + '_ {
        self.handles.iter().map(ShardHandle::connections)
    }

    /// What each shard counts.
    pub fn published(&self) -> impl Iterator<Item = &Published> {
        self.handles.iter().map(|shard| &*shard.published)
    }

    /// Closes every connection with "going away", spread over `within`, and ends the
    /// shards. Blocks until they have ended.
    pub fn drain(&self, within: Duration) {
        for shard in &self.handles {
            shard.mailbox.post(Letter::Drain(within), Pace::Prompt);
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shard panicked");
            }
        }
    }
}
