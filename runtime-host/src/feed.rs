//! What the HTTP side asks about events, answered by the events module.

use crate::events::stream::NoStream;
use crate::events::{Events, Since};
use crate::http::events::Feed;
use crate::http::policies::Declined;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::StatusCode;
use std::sync::Arc;

/// The events of one host.
pub(crate) struct EventFeed(pub(crate) Arc<Events>);

impl Feed for EventFeed {
    fn read<'a>(
        &'a self,
        tenant: &'a str,
        since: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Bytes>, Declined>> {
        async move {
            let since = match since {
                None => Since::Now,
                Some("start") => Since::Start,
                Some(id) => Since::Event(id.to_owned()),
            };
            self.0.read(tenant, &since).await.map_err(declined)
        }
        .boxed()
    }
}

fn declined(reason: NoStream) -> Declined {
    let (status, code, msg) = match reason {
        NoStream::Off => (
            StatusCode::CONFLICT,
            "events_off",
            "no events are kept: say with PUT /api/webhook what is wanted",
        ),
        NoStream::Cursor => (
            StatusCode::BAD_REQUEST,
            "bad_cursor",
            "the cursor is the id of an event, or start",
        ),
        NoStream::Crowded => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_streams",
            "16 streams of this key's events are open already",
        ),
        NoStream::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the events can't be read now",
        ),
    };
    Declined {
        status,
        code,
        msg: msg.to_owned(),
    }
}
