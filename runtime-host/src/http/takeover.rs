//! From a request to a body that does not end: the head of the answer, and the handover of the socket.
//!
//! hyper keeps a connection for as long as an answer is under way. So the answer of such a request never comes: the
//! listener finds that the socket is wanted, takes it out of hyper, and the head is written here. HTTP keeps nothing.

use super::upgrade::{Adopt, Endpoint, Upgraded};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sschat_protocol::streaming::{Shape, Streaming};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a head may take that no socket's buffer is too small for.
const HEAD: Duration = Duration::from_secs(5);

/// The end of the common part of a head. `X-Accel-Buffering` is nginx's: pass on at once what comes. A proxy that
/// compresses would keep what it has until there is more.
const UNBUFFERED: &str = "cache-control: no-cache, no-store, no-transform\r\nx-accel-buffering: no\r\n\
     x-content-type-options: nosniff\r\nconnection: close\r\n";

/// A socket that is wanted, and what for.
pub(super) struct Takeover {
    pub(super) streaming: Streaming,
    /// Headers beside those of every such answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// What the client said with its request.
    pub(super) said: Bytes,
    pub(super) app: Option<String>,
    pub(super) remote: SocketAddr,
    /// What is kept of the request's headers.
    pub(super) shown: Box<[(Box<str>, Box<str>)]>,
    pub(super) adopt: Arc<dyn Adopt>,
}

/// Where a connection's request leaves word that it wants the socket.
#[derive(Default)]
pub(super) struct Wanted(Mutex<Option<Takeover>>);

impl Wanted {
    /// Leaves word. The answer of the request must not come.
    pub(super) fn leave(&self, takeover: Takeover) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
    }

    /// The word that was left.
    pub(super) fn take(&self) -> Option<Takeover> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").finish_non_exhaustive()
    }
}

impl Takeover {
    /// Writes the head and hands the socket over.
    pub(super) async fn begin(self, mut stream: TcpStream) {
        let head = self.head(SystemTime::now());
        match tokio::time::timeout(HEAD, stream.write_all(&head)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended early"),
            Err(_) => return tracing::debug!("a head was not taken"),
        }
        match stream.into_std() {
            Ok(stream) => self.adopt.adopt(Upgraded {
                stream,
                read: self.said,
                endpoint: Endpoint::Streaming(self.streaming),
                deflate: None,
                remote: self.remote,
                app: self.app,
                headers: self.shown,
            }),
            Err(error) => tracing::warn!(%error, "a socket could not be handed over"),
        }
    }

    fn head(&self, now: SystemTime) -> Vec<u8> {
        let kind = match self.streaming.shape {
            Shape::Lines => "application/json",
            Shape::Delimited => "application/octet-stream",
            Shape::Events => "text/event-stream",
        };
        let date = httpdate::fmt_http_date(now);
        let mut head =
            format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: {kind}\r\n{UNBUFFERED}");
        if self.streaming.chunked {
            head.push_str("transfer-encoding: chunked\r\n");
        }
        let mut head = head.into_bytes();
        for (name, value) in &self.headers {
            let parts = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
            head.extend(parts.into_iter().flatten());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}
