//! The bodies of requests, read whole before a component is asked.
//!
//! A component's time is counted from its first instruction, and its instances are few:
//! neither must depend on how fast a client sends. So a body that is too large or too slow
//! is the client's mistake and is answered here. Absent on purpose: streaming a body into
//! a component, which both would pay for.

use super::body::Body;
use super::reply;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Memory for all bodies that were read and not yet handed to a component's instance.
/// Where a single body may be larger, it is twice that.
const ROOM: usize = 64 << 20;

/// How much a client must send to be given as much time again: a megabyte may take 16 times
/// as long as a few bytes.
const STRETCH: usize = 64 << 10;

/// The bounds of all bodies, and how much of them is used.
pub(super) struct Inbound {
    limit: u64,
    patience: Duration,
    room: Arc<Semaphore>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unread {
    /// It is larger than the limit, in bytes.
    TooLarge(u64),
    /// It did not come in time.
    TooSlow,
    /// The host holds too many bodies.
    Overloaded,
    /// The connection failed, or it is no body.
    Broken,
}

/// A whole body.
#[derive(Debug, Default)]
pub(super) struct Collected {
    bytes: Option<Bytes>,
    trailers: Option<HeaderMap>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Inbound {
    /// Bodies of up to `limit` bytes, which come within `patience`, or [`STRETCH`] bytes in
    /// each.
    pub(super) fn new(limit: u64, patience: Duration) -> Self {
        let twice = usize::try_from(limit.saturating_mul(2)).unwrap_or(usize::MAX);
        Self {
            limit,
            patience,
            room: Arc::new(Semaphore::new(twice.clamp(ROOM, Semaphore::MAX_PERMITS))),
        }
    }

    /// Reads a body to its end.
    pub(super) async fn collect(&self, mut body: Incoming) -> Result<Collected, Unread> {
        if body.is_end_stream() {
            return Ok(Collected::default());
        }
        // Before anything is read, so that the client is not even told to go on.
        if body.size_hint().lower() > self.limit {
            return Err(Unread::TooLarge(self.limit));
        }
        let start = Instant::now();
        let mut bytes = BytesMut::new();
        let mut collected = Collected::default();
        loop {
            let stretches = u32::try_from(bytes.len() / STRETCH).unwrap_or(u32::MAX);
            let time = self.patience.saturating_mul(stretches.saturating_add(1));
            let frame = tokio::time::timeout_at(start + time, body.frame());
            let frame = match frame.await.map_err(|_| Unread::TooSlow)? {
                None => break,
                Some(frame) => frame.map_err(|_| Unread::Broken)?,
            };
            match frame.into_data() {
                Ok(data) => {
                    if (bytes.len() + data.len()) as u64 > self.limit {
                        return Err(Unread::TooLarge(self.limit));
                    }
                    self.take(&mut collected, data.len())?;
                    // Copied: a small piece would keep the whole buffer that it was read into.
                    bytes.extend_from_slice(&data);
                }
                Err(frame) => collected.trailers = frame.into_trailers().ok(),
            }
        }
        collected.bytes = (!bytes.is_empty()).then(|| bytes.freeze());
        Ok(collected)
    }

    /// Takes room for more of a body. Nobody waits for it, for those who have some may wait
    /// for their clients.
    fn take(&self, collected: &mut Collected, length: usize) -> Result<(), Unread> {
        let length = u32::try_from(length).map_err(|_| Unread::Overloaded)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(length);
        let more = more.map_err(|_| Unread::Overloaded)?;
        match &mut collected._room {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

impl Unread {
    /// The one place where it becomes an answer.
    pub(super) fn answer(self) -> Response<Body> {
        match self {
            Self::TooLarge(limit) => reply::too_large(limit),
            Self::TooSlow => reply::too_slow(),
            Self::Overloaded => reply::last(reply::overloaded()),
            Self::Broken => reply::last(reply::error(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "the body is not understood",
            )),
        }
    }
}

impl Collected {
    /// The bytes, for the host itself.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.unwrap_or_default()
    }
}

impl HttpBody for Collected {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.bytes.take() {
            Some(bytes) => Some(Frame::data(bytes)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
