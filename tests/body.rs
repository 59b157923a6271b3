//! The body of a response that does not end, read by hand: chunk by chunk (RFC 9112, section 7.1).

use crate::deadline::within;
use crate::host::Host;
use crate::raw::RawSocket;
use tokio::io::AsyncReadExt;

/// An answer whose head is read.
#[derive(Debug)]
pub struct Body {
    /// The connection.
    pub socket: RawSocket,
    /// The head of the answer, in lower case.
    pub head: String,
}

impl Body {
    /// Sends a request's bytes, and reads the head of the answer.
    pub async fn open(host: &Host, request: impl AsRef<[u8]>) -> Self {
        let mut socket = RawSocket::dial(host).await;
        socket.write(request.as_ref()).await;
        let head = socket.head().await.to_lowercase();
        Self { socket, head }
    }

    /// A request with a body, to be sent as it is.
    pub fn request(line: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!("{line}\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
    }

    /// The next chunk; nothing at the end, after which the connection must end too.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let chunk = within("a chunk", self.read()).await;
        let chunk = chunk.expect("a whole chunk");
        if !chunk.is_empty() {
            return Some(chunk);
        }
        let rest = self.socket.rest().await;
        assert!(rest.is_empty(), "{rest:?} after the last chunk");
        None
    }

    /// The next event of a body without chunks (`text/event-stream`), with the line that ends it.
    pub async fn event(&mut self) -> String {
        let mut event = Vec::new();
        while !event.ends_with(b"\n\n") {
            let byte = within("an event", self.socket.stream().read_u8()).await;
            event.push(byte.expect("a whole event"));
        }
        String::from_utf8(event).unwrap()
    }

    /// What is left of a body without chunks.
    pub async fn rest(&mut self) -> String {
        String::from_utf8(self.socket.rest().await).unwrap()
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let stream = self.socket.stream();
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.push(stream.read_u8().await?);
        }
        let size = std::str::from_utf8(&size[..size.len() - 2]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await?;
        assert!(chunk.ends_with(b"\r\n"), "a chunk is longer than it says");
        chunk.truncate(size);
        Ok(chunk)
    }
}
