//! Many WebSocket clients on one thread.

use anyhow::bail;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use sschat_protocol::websocket::deflate::Inflater;
use sschat_protocol::websocket::{Decoder, Event, Opcode, push_masked_frame};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

const READ_BUFFER: usize = 256 << 10;
const EVENTS: usize = 4_096;

/// The longest message that is expected, in bytes.
const LIMIT: usize = 64 << 20;

/// Clients need not be unpredictable to a host on the same machine, only masked (RFC 6455, section 5.3).
const MASK: [u8; 4] = [0x5c, 0x9a, 0x31, 0xe7];

/// What a client noticed.
#[derive(Clone, Copy)]
pub(super) enum Heard<'a> {
    /// The handshake is over.
    Open,
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// The connection is closed.
    Closed,
}

impl<'a> Heard<'a> {
    /// What a message says.
    pub(super) fn message(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Binary(bytes) => Some(bytes),
            Self::Open | Self::Closed => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    Open,
    Closed,
}

struct Client {
    stream: TcpStream,
    decoder: Decoder,
    phase: Phase,
    unsent: Vec<u8>,
    /// The response to the handshake, as far as it came.
    head: Vec<u8>,
    dirty: bool,
}

/// The clients, by number in the order they connected.
pub(super) struct Fleet {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    inflater: Inflater,
    /// Bytes that came, handshakes included.
    pub(super) received: u64,
}

impl Fleet {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            clients: Vec::new(),
            dirty: Vec::new(),
            buffer: vec![0; READ_BUFFER],
            inflater: Inflater::default(),
            received: 0,
        })
    }

    /// Starts a connection; [`Heard::Open`] follows.
    pub(super) fn connect(
        &mut self,
        address: SocketAddr,
        path: &str,
        compression: bool,
    ) -> io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let number = self.clients.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(number), interest)?;
        let offer = match compression {
            true => "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
            false => "",
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        );
        self.clients.push(Client {
            stream,
            decoder: Decoder::for_client(),
            phase: Phase::Handshake,
            unsent: request.into_bytes(),
            head: Vec::new(),
            dirty: false,
        });
        Ok(())
    }

    /// Queues a message; it leaves at the end of the turn.
    pub(super) fn send(&mut self, number: usize, text: &str) {
        self.send_as(number, Opcode::Text, text.as_bytes());
    }

    /// As [`Self::send`], of either kind.
    pub(super) fn send_as(&mut self, number: usize, opcode: Opcode, message: &[u8]) {
        let client = &mut self.clients[number];
        push_masked_frame(&mut client.unsent, opcode, MASK, message);
        if !std::mem::replace(&mut client.dirty, true) {
            self.dirty.push(number);
        }
    }

    /// Drops every connection without a word, as a network that went away does.
    pub(super) fn cut(&mut self) {
        self.clients.clear();
        self.dirty.clear();
    }

    /// Waits for events at most this long and acts on them.
    pub(super) fn turn(
        &mut self,
        wait: Duration,
        mut hear: impl FnMut(&mut Self, usize, Heard<'_>),
    ) -> anyhow::Result<()> {
        self.flush();
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        if let Err(error) = self.poll.poll(&mut events, Some(wait))
            && error.kind() != io::ErrorKind::Interrupted
        {
            bail!(error);
        }
        for event in &events {
            let number = event.token().0;
            if number >= self.clients.len() {
                continue;
            }
            if event.is_writable() {
                self.write(number);
            }
            if event.is_readable() || event.is_read_closed() {
                self.read(number, &mut hear);
            }
        }
        self.events = events;
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        while let Some(number) = self.dirty.pop() {
            if let Some(client) = self.clients.get_mut(number) {
                client.dirty = false;
                self.write(number);
            }
        }
    }

    fn write(&mut self, number: usize) {
        let client = &mut self.clients[number];
        while !client.unsent.is_empty() {
            match client.stream.write(&client.unsent) {
                Ok(written) => {
                    client.unsent.drain(..written);
                }
                // Not connected yet, or full: an event follows. A broken stream shows in reading.
                Err(_) => return,
            }
        }
    }

    fn read(&mut self, number: usize, hear: &mut impl FnMut(&mut Self, usize, Heard<'_>)) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(client) = self.clients.get_mut(number) {
            if client.phase == Phase::Closed {
                break;
            }
            match client.stream.read(&mut buffer) {
                Ok(0) => {
                    client.phase = Phase::Closed;
                    hear(self, number, Heard::Closed);
                    break;
                }
                Ok(read) => {
                    self.received += read as u64;
                    self.consume(number, &mut buffer[..read], hear);
                    if read < READ_BUFFER {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
                Err(_) => {
                    client.phase = Phase::Closed;
                    hear(self, number, Heard::Closed);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    fn consume(
        &mut self,
        number: usize,
        mut input: &mut [u8],
        hear: &mut impl FnMut(&mut Self, usize, Heard<'_>),
    ) {
        let client = &mut self.clients[number];
        if client.phase == Phase::Handshake {
            let before = client.head.len();
            client.head.extend_from_slice(input);
            let Some(end) = find(&client.head, b"\r\n\r\n") else {
                return;
            };
            if !client.head.starts_with(b"HTTP/1.1 101") {
                client.phase = Phase::Closed;
                return hear(self, number, Heard::Closed);
            }
            let head = client.head[..end].to_ascii_lowercase();
            if find(&head, b"\r\nsec-websocket-extensions: permessage-deflate").is_some() {
                client.decoder = std::mem::take(&mut client.decoder).with_deflate();
            }
            client.phase = Phase::Open;
            client.head = Vec::new();
            input = &mut input[end + 4 - before..];
            hear(self, number, Heard::Open);
        }
        let mut decoder = std::mem::take(&mut self.clients[number].decoder);
        let mut inflater = std::mem::take(&mut self.inflater);
        while !input.is_empty() {
            match decoder.decode_with(input, LIMIT, &mut inflater) {
                Ok((used, event)) => {
                    match event {
                        Some(Event::Text(text)) => hear(self, number, Heard::Text(text)),
                        Some(Event::Binary(bytes)) => hear(self, number, Heard::Binary(bytes)),
                        Some(Event::Ping(payload)) => {
                            let unsent = &mut self.clients[number].unsent;
                            push_masked_frame(unsent, Opcode::Pong, MASK, payload);
                            self.write(number);
                        }
                        Some(Event::Close(..)) => {
                            self.clients[number].phase = Phase::Closed;
                            hear(self, number, Heard::Closed);
                            break;
                        }
                        _ => {}
                    }
                    input = &mut input[used..];
                }
                Err(_) => {
                    self.clients[number].phase = Phase::Closed;
                    hear(self, number, Heard::Closed);
                    break;
                }
            }
        }
        self.inflater = inflater;
        self.clients[number].decoder = decoder;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
