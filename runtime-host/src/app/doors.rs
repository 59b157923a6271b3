//! How what HTTP accepts comes to the shards.

use crate::http::streams::{Fate, Relay};
use crate::http::upgrade::{self, Adopt, Upgraded};
use crate::node::{self, Opening, Post, Sessions};
use crate::policy::trace::Connection;
use crate::socket::Shards;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Where upgraded connections go.
pub(super) struct Door(pub(super) Arc<Shards<Sessions>>);

impl Adopt for Door {
    fn adopt(&self, upgraded: Upgraded) {
        let endpoint = match upgraded.endpoint {
            upgrade::Endpoint::Polling { format } => node::Endpoint::Polling(format),
            upgrade::Endpoint::Centrifuge { format } => node::Endpoint::Centrifuge(format),
            upgrade::Endpoint::Streaming(streaming) => node::Endpoint::Streaming(streaming),
            upgrade::Endpoint::Echo => node::Endpoint::Echo,
        };
        let opening = Opening {
            endpoint,
            deflate: upgraded.deflate,
            app: upgraded.app,
            connection: Connection {
                remote: Some(upgraded.remote.ip()),
                headers: upgraded.headers,
                token: None,
            },
        };
        self.0.adopt(upgraded.stream, upgraded.read, opening);
    }
}

/// Where goes what clients say by requests of their own.
pub(super) struct SideDoor(pub(super) Post);

impl Relay for SideDoor {
    fn host(&self) -> &str {
        self.0.host()
    }

    fn say<'a>(&'a self, session: &'a str, frame: Bytes) -> BoxFuture<'a, Fate> {
        Box::pin(async move {
            match self.0.say(session, frame).await {
                node::Fate::Taken => Fate::Taken,
                node::Fate::Unknown => Fate::Unknown,
                node::Fate::Crowded => Fate::Crowded,
            }
        })
    }
}
