//! A member that logs in and then reads nothing, until it is asked how it ended.

use super::stage::Target;
use anyhow::{Context, bail};
use socket2::{Domain, Socket, Type};
use sschat_protocol::websocket::{Decoder, Event, Opcode, push_masked_frame};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What its own side takes before it holds the host up, in bytes: little, so that the host's queue fills soon.
const WINDOW: usize = 4 << 10;

/// How long the host may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The longest message that is expected, in bytes.
const LIMIT: usize = 16 << 20;

pub(super) struct Stalled {
    stream: TcpStream,
    decoder: Decoder,
}

impl Stalled {
    /// Connects and logs in as `user`.
    pub(super) fn enter(target: &Target, user: &str) -> anyhow::Result<Self> {
        let address = target.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(WINDOW)?;
        socket.connect(&address.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(ANSWER))?;
        let request = format!(
            "GET /websocket/polling HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let mut hello = request.into_bytes();
        let login = format!(r#"{{"command":"login","user":"{user}"}}"#);
        push_masked_frame(&mut hello, Opcode::Text, [0; 4], login.as_bytes());
        stream.write_all(&hello)?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).context("no handshake")?;
            head.push(byte[0]);
        }
        let mut stalled = Self {
            stream,
            decoder: Decoder::for_client(),
        };
        stalled.read_until(|event| match event {
            Event::Text(text) => text.starts_with(r#"{"type":"login""#).then_some(()),
            _ => None,
        })?;
        Ok(stalled)
    }

    /// Reads everything that the host has sent; the code that it closed with.
    pub(super) fn close_code(mut self) -> anyhow::Result<u16> {
        self.read_until(|event| match event {
            Event::Close(code, _) => Some(code.unwrap_or(0)),
            _ => None,
        })
    }

    /// Reads until `found`. What was read beyond that is lost, unless it is the middle of a frame.
    fn read_until<T>(&mut self, found: impl Fn(Event<'_>) -> Option<T>) -> anyhow::Result<T> {
        let mut buffer = vec![0; WINDOW];
        loop {
            let read = self.stream.read(&mut buffer).context("no answer")?;
            if read == 0 {
                bail!("the host ended the connection without a word");
            }
            let mut input = &mut buffer[..read];
            let mut result = None;
            while !input.is_empty() {
                let (used, event) = self.decoder.decode(input, LIMIT)?;
                result = result.or_else(|| event.and_then(&found));
                input = &mut input[used..];
            }
            if let Some(result) = result {
                return Ok(result);
            }
        }
    }
}
