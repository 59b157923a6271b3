//! Bodies of responses.

use crate::wasm::rest::{ResponseBody, ResponseBodyError};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

/// The body of a response: the host's own bytes, what a component is making, or frames as they come.
#[derive(Debug)]
pub(super) enum Body {
    Full(Option<Bytes>),
    Component(ResponseBody),
    Frames(Frames),
}

/// What is sent as it comes.
pub(super) struct Frames {
    frames: BoxStream<'static, Bytes>,
    begun: Instant,
    /// When something was last asked for, in milliseconds since it began.
    taken: Arc<AtomicU64>,
}

impl Frames {
    /// `begun`, `taken`: from when on and where it is noted that the reader takes what is
    /// sent.
    pub(super) fn new(
        frames: BoxStream<'static, Bytes>,
        (begun, taken): (Instant, Arc<AtomicU64>),
    ) -> Self {
        Self {
            frames,
            begun,
            taken,
        }
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

impl Body {
    pub(super) fn full(bytes: Bytes) -> Self {
        Self::Full((!bytes.is_empty()).then_some(bytes))
    }

    pub(super) fn empty() -> Self {
        Self::Full(None)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Component(body) => Pin::new(body).poll_frame(cx),
            Self::Frames(body) => {
                let now = body.begun.elapsed().as_millis() as u64;
                body.taken.store(now, Ordering::Relaxed);
                let frame = body.frames.poll_next_unpin(cx);
                frame.map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Component(body) => body.is_end_stream(),
            Self::Frames(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Component(body) => body.size_hint(),
            Self::Frames(_) => SizeHint::default(),
        }
    }
}
