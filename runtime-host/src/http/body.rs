//! Bodies of requests and responses.

use crate::wasm::rest::{RequestBodyError, ResponseBody, ResponseBodyError};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// The body of a response: the host's own bytes, or what a component is making.
#[derive(Debug)]
pub(super) enum Body {
    Full(Option<Bytes>),
    Component(ResponseBody),
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Component(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Component(body) => body.size_hint(),
        }
    }
}

/// The body of a request on its way to a component, cut off at a limit.
pub(super) struct LimitedBody {
    body: Incoming,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl LimitedBody {
    /// The flag is set once the body turned out to be larger than `limit`.
    pub(super) fn new(body: Incoming, limit: u64) -> (Self, Arc<AtomicBool>) {
        let exceeded = Arc::new(AtomicBool::new(false));
        let flag = exceeded.clone();
        let left = limit;
        (
            Self {
                body,
                left,
                exceeded,
            },
            flag,
        )
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(RequestBodyError::Connection))),
            None => return Poll::Ready(None),
        };
        let length = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.exceeded.store(true, Ordering::Release);
                Poll::Ready(Some(Err(RequestBodyError::TooLarge)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
