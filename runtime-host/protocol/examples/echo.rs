//! An echo endpoint made of this crate alone, for outside suites: `cargo run --release -p sschat-protocol --example echo
//! -- 127.0.0.1:9001`.
//!
//! A thread per connection, blocking sockets and no time-outs: nothing to build on, but short enough to read.

#![allow(clippy::print_stdout)]

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use sschat_protocol::{
    close,
    websocket::{
        Decoder, Event, Opcode,
        deflate::{self, Agreement, Deflater, Inflater, deflate_message},
        handshake, push_close, push_frame,
    },
};

/// The longest message; suites send 16 MiB.
const LIMIT: usize = 32 << 20;

/// The longest head of a request.
const HEAD: usize = 16 << 10;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001"))?;
    println!("ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; HEAD];
    let mut len = 0;
    let end = loop {
        len += match stream.read(&mut head[len..])? {
            0 => return Ok(()),
            read => read,
        };
        if let Some(end) = head[..len].windows(4).position(|end| end == b"\r\n\r\n") {
            break end;
        }
    };
    let (head, rest) = head[..len].split_at_mut(end);
    let (answer, agreement) = match agree(&String::from_utf8_lossy(head)) {
        Ok(agreed) => agreed,
        Err(error) => {
            let status = error.status();
            return write!(stream, "HTTP/1.1 {status} {error}\r\n\r\n");
        }
    };
    stream.write_all(answer.as_bytes())?;
    let mut connection = Connection::new(agreement);
    let mut buffer = vec![0; 64 << 10];
    let mut read = rest.len() - 4;
    buffer[..read].copy_from_slice(&rest[4..]);
    loop {
        let goes_on = connection.consume(&mut buffer[..read]);
        stream.write_all(&connection.out)?;
        connection.out.clear();
        read = if goes_on {
            stream.read(&mut buffer)?
        } else {
            0
        };
        if read == 0 {
            return Ok(());
        }
    }
}

/// Judges the request and makes the response.
fn agree(head: &str) -> Result<(String, Option<Agreement>), handshake::HandshakeError> {
    let fields = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let named = fields.filter(|(found, _)| found.trim().eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim()).collect::<Vec<_>>()
    };
    let method = head.split(' ').next().unwrap_or_default();
    let accept = handshake::check(fields, method, (1, 1))?;
    let agreement = deflate::negotiate(fields("sec-websocket-extensions"))?;
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        accept.key
    );
    if let Some(agreement) = agreement {
        answer += &format!("Sec-WebSocket-Extensions: {agreement}\r\n");
    }
    Ok((answer + "\r\n", agreement))
}

struct Connection {
    decoder: Decoder,
    inflater: Inflater,
    deflater: Deflater,
    agreement: Option<Agreement>,
    out: Vec<u8>,
}

impl Connection {
    fn new(agreement: Option<Agreement>) -> Self {
        let decoder = Decoder::new();
        Self {
            decoder: match agreement {
                Some(_) => decoder.with_deflate(),
                None => decoder,
            },
            inflater: Inflater::default(),
            deflater: Deflater::default(),
            agreement,
            out: Vec::new(),
        }
    }

    /// Answers what was read; says whether the connection goes on.
    fn consume(&mut self, mut input: &mut [u8]) -> bool {
        while !input.is_empty() {
            let (consumed, event) = match self.decoder.decode_with(input, LIMIT, &mut self.inflater)
            {
                Ok(decoded) => decoded,
                Err(error) => {
                    push_close(&mut self.out, error.code, error.reason);
                    return false;
                }
            };
            let (opcode, message) = match event {
                Some(Event::Text(text)) => (Opcode::Text, text.as_bytes()),
                Some(Event::Binary(bytes)) => (Opcode::Binary, bytes),
                Some(Event::Ping(payload)) => (Opcode::Pong, payload),
                Some(Event::Close(code, _)) => {
                    push_close(&mut self.out, code.unwrap_or(close::NORMAL), "");
                    return false;
                }
                Some(Event::Pong(_)) | None => {
                    input = &mut input[consumed..];
                    continue;
                }
            };
            match self.agreement {
                Some(agreed) if agreed.allows(message.len()) && !opcode.is_control() => {
                    deflate_message(&mut self.deflater, opcode, message, &mut self.out);
                }
                _ => push_frame(&mut self.out, opcode, message),
            }
            input = &mut input[consumed..];
        }
        self.decoder.release();
        true
    }
}
