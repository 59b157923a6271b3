//! `GET /api/events`: a tenant's events for a backend that reads them.
//!
//! Where they come from, nobody here knows: [`Feed`] does. Also here: a reader that takes
//! nothing for [`STALL`] loses its connection, so that it holds no place for long; it comes
//! back with the id of the last event that it has.

use super::body::{Body, Frames};
use super::policies::{Counter, Declined, parameters};
use super::{Remote, reply};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where events are read.
pub(super) const PATH: &str = "/api/events";

/// How long a reader may take nothing. Something is sent every few seconds.
const STALL: Duration = Duration::from_secs(15);

/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Gives tenants' events to those who read.
pub trait Feed: Send + Sync + 'static {
    /// The frames of a stream that begins at this cursor: the id of an event, `start` for
    /// the oldest that is kept, none for the next one.
    fn read<'a>(
        &'a self,
        tenant: &'a str,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Bytes>, Declined>>;
}

/// Answers a request.
pub(super) async fn answer(
    request: &Request<Incoming>,
    (desk, feed): (&Counter, &dyn Feed),
    remote: &Arc<Remote>,
) -> Response<Body> {
    if *request.method() != Method::GET {
        return reply::only(&Method::GET);
    }
    match open(request, (desk, feed)).await {
        Ok(frames) => respond(frames, remote),
        Err(declined) => declined.into_response(),
    }
}

async fn open(
    request: &Request<Incoming>,
    (desk, feed): (&Counter, &dyn Feed),
) -> Result<BoxStream<'static, Bytes>, Declined> {
    let tenant = desk.tenant(request).await?;
    let parameters = parameters(request.uri().query());
    // Sent by a browser's or library's EventSource when it comes back: it knows best.
    let last = request.headers().get("last-event-id");
    let last = last
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty());
    let since = last.or(parameters.get("since").map(String::as_str));
    feed.read(&tenant, since).await
}

fn respond(frames: BoxStream<'static, Bytes>, remote: &Arc<Remote>) -> Response<Body> {
    let begun = Instant::now();
    let taken = Arc::new(AtomicU64::new(0));
    let (watched, remote) = (Arc::downgrade(&taken), Arc::clone(remote));
    tokio::spawn(async move {
        let mut every = tokio::time::interval(LOOK);
        while let Some(taken) = watched.upgrade() {
            let taken = Duration::from_millis(taken.load(Ordering::Relaxed));
            if begun.elapsed().saturating_sub(taken) > STALL {
                tracing::info!("a reader of events took nothing for too long, and is cut off");
                return remote.cut.notify_one();
            }
            every.tick().await;
        }
    });
    let mut response = Response::new(Body::Frames(Frames::new(frames, (begun, taken))));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    let fresh = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, fresh);
    response
}
