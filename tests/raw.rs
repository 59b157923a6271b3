//! WebSocket frames by hand (RFC 6455), for what a decent client refuses to send.

use crate::deadline::within;
use crate::host::Host;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opcodes of RFC 6455, section 5.2.
pub mod opcode {
    /// Goes on with a fragmented message.
    pub const CONTINUATION: u8 = 0x0;
    /// Text.
    pub const TEXT: u8 = 0x1;
    /// Bytes.
    pub const BINARY: u8 = 0x2;
    /// Closes.
    pub const CLOSE: u8 = 0x8;
    /// Asks for a pong.
    pub const PING: u8 = 0x9;
    /// Answers a ping.
    pub const PONG: u8 = 0xA;
}

/// A frame to send, or one that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub fin: bool,
    /// The three reserved bits, as a number from 0 to 7.
    pub reserved: u8,
    /// What kind of frame.
    pub opcode: u8,
    /// Its payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message of one frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            reserved: 0,
            opcode,
            payload: payload.into(),
        }
    }

    /// The same frame, announcing that more follow.
    pub fn unfinished(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same frame with reserved bits set.
    pub fn with_reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// A close frame of this code and reason.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(
            opcode::CLOSE,
            [&code.to_be_bytes()[..], reason.as_bytes()].concat(),
        )
    }

    /// The code of a close frame; 1005 where it has none.
    pub fn close_code(&self) -> u16 {
        assert_eq!(self.opcode, opcode::CLOSE, "{self:?}");
        match self.payload[..] {
            [] => 1005,
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => panic!("a close frame of one byte"),
        }
    }

    /// The frame's bytes as a client sends them: masked.
    pub fn masked(&self) -> Vec<u8> {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = self.head(0x80);
        bytes.extend(key);
        bytes.extend(
            self.payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        bytes
    }

    /// The frame's bytes without a mask, which a client must not send.
    pub fn unmasked(&self) -> Vec<u8> {
        let mut bytes = self.head(0);
        bytes.extend(&self.payload);
        bytes
    }

    fn head(&self, mask: u8) -> Vec<u8> {
        let mut head = vec![u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode];
        match self.payload.len() {
            short @ 0..=125 => head.push(mask | u8::try_from(short).unwrap()),
            medium @ 126..=0xFFFF => {
                head.push(mask | 126);
                head.extend(u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                head.push(mask | 127);
                head.extend(u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        head
    }
}

/// A connection that sends whatever it is told to.
#[derive(Debug)]
pub struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    /// Opens a TCP connection and sends nothing.
    pub async fn dial(host: &Host) -> Self {
        let stream = within("connect", TcpStream::connect(host.address()))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Opens a WebSocket at `path`.
    pub async fn open(host: &Host, path: &str) -> Self {
        let mut socket = Self::dial(host).await;
        socket
            .write(Self::handshake(host, path, "").as_bytes())
            .await;
        let head = socket.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The answer to the key that `handshake` sends: RFC 6455, section 1.3.
        assert!(
            head.to_lowercase().contains("sec-websocket-accept: "),
            "{head}"
        );
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        socket
    }

    /// A handshake with more header lines (each ended by CRLF).
    pub fn handshake(host: &Host, path: &str, more: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n",
            host.address()
        )
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        within("bytes are sent", self.stream.write_all(bytes))
            .await
            .unwrap();
    }

    /// Sends bytes if the other side still takes them.
    pub async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("bytes are sent", self.stream.write_all(bytes)).await
    }

    /// Sends a masked frame.
    pub async fn send(&mut self, frame: Frame) {
        self.write(&frame.masked()).await;
    }

    /// Sends bytes one at a time, each in a segment of its own.
    pub async fn write_chopped(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write(std::slice::from_ref(byte)).await;
            tokio::task::yield_now().await;
        }
    }

    /// Reads an HTTP response's head.
    pub async fn head(&mut self) -> String {
        within("a response's head", async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match self.stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            String::from_utf8_lossy(&head).into_owned()
        })
        .await
    }

    /// Reads a frame; nothing where the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        within("a frame", self.read_frame()).await.ok()
    }

    /// Reads a frame that is not a ping; answers none.
    pub async fn expect(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection is open");
            if frame.opcode != opcode::PING {
                return frame;
            }
        }
    }

    /// Reads the close frame that comes next and the end of the stream after it; its code.
    pub async fn closed(&mut self) -> u16 {
        let code = self.expect().await.close_code();
        // The host may wait for the answer to its close before it hangs up.
        let _ = self.try_write(&Frame::close(code, "").masked()).await;
        if let Some(frame) = self.next().await {
            panic!("{frame:?} after the close frame");
        }
        code
    }

    /// Reads to the end of the stream: the bytes before it.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends the stream as well.
        let _ = within("the stream ends", self.stream.read_to_end(&mut bytes)).await;
        bytes
    }

    /// The stream, for those who need more.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    async fn read_frame(&mut self) -> std::io::Result<Frame> {
        let first = self.stream.read_u8().await?;
        let second = self.stream.read_u8().await?;
        assert_eq!(second & 0x80, 0, "a server must not mask");
        let length = match second & 0x7F {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame {
            fin: first & 0x80 != 0,
            reserved: (first >> 4) & 7,
            opcode: first & 0x0F,
            payload,
        })
    }
}
