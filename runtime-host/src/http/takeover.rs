//! From a request to a body that does not end: the head of the answer, and the handover of the socket.
//!
//! hyper keeps a connection for as long as an answer is under way. So the answer of such a request never comes: the
//! listener finds that the socket is wanted, takes it out of hyper, and the head is written here. HTTP keeps nothing.

use super::body::{Body, Frames};
use super::upgrade::{Adopt, Endpoint, Upgraded};
use super::wire::{Plug, Unplug};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderName, HeaderValue, Response, header};
use sschat_protocol::streaming::{Shape, Streaming};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a head may take that no socket's buffer is too small for.
const HEAD: Duration = Duration::from_secs(5);

/// What every head has. `X-Accel-Buffering` is nginx's: pass on at once what comes. A proxy that compresses would keep
/// what it has until there is more.
const LASTING: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-cache, no-store, no-transform"),
    (HeaderName::from_static("x-accel-buffering"), "no"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Bytes that are taken at once for a body of HTTP/2.
const PIPED: usize = 16 << 10;

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
    pub(super) async fn begin(self, mut stream: impl Unplug) {
        let head = self.head(SystemTime::now());
        match tokio::time::timeout(HEAD, stream.write_all(&head)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended early"),
            Err(_) => return tracing::debug!("a head was not taken"),
        }
        match stream.unplug() {
            Ok(plug) => self.hand_over(plug),
            Err(error) => tracing::warn!(%error, "a socket could not be handed over"),
        }
    }

    fn hand_over(self, plug: Plug) {
        self.adopt.adopt(Upgraded {
            plug,
            read: self.said,
            endpoint: Endpoint::Streaming(self.streaming),
            deflate: None,
            remote: self.remote,
            app: self.app,
            headers: self.shown,
        });
    }

    /// Begins where the request came by HTTP/2, which lends no socket: what is written to one of its own becomes the
    /// body of the answer. A hundred bytes of what comes cost a copy more, and a turn of another thread.
    ///
    /// # Errors
    /// Where the system has no more sockets.
    pub(super) fn pipe(mut self) -> io::Result<Response<Body>> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let far = tokio::net::UnixStream::from_std(far)?;
        self.streaming.chunked = false;
        let frames = futures::stream::unfold(far, |mut far| async move {
            let mut bytes = BytesMut::with_capacity(PIPED);
            match far.read_buf(&mut bytes).await {
                Ok(read) if read > 0 => Some((bytes.freeze(), far)),
                _ => None,
            }
        });
        let frames = Frames::new(frames.boxed(), (Instant::now(), Arc::default()));
        let mut response = Response::new(Body::Frames(frames));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind()));
        for (name, value) in LASTING {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.extend(self.headers.drain(..));
        self.hand_over((TcpStream::from(OwnedFd::from(near)), None));
        Ok(response)
    }

    fn kind(&self) -> &'static str {
        match self.streaming.shape {
            Shape::Lines => "application/json",
            Shape::Delimited => "application/octet-stream",
            Shape::Events => "text/event-stream",
        }
    }

    fn head(&self, now: SystemTime) -> Vec<u8> {
        let kind = self.kind();
        let date = httpdate::fmt_http_date(now);
        let mut head = format!(
            "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: {kind}\r\nconnection: close\r\n"
        );
        for (name, value) in LASTING {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
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
