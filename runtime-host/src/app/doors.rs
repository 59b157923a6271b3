//! How what HTTP accepts comes to the shards.

use crate::http::streams::Relay;
use crate::http::upgrade::{self, Adopt, Upgraded};
use crate::node::{self, Opening, Post, Sessions};
use crate::peers::{Fate, Others};
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
        self.0.adopt(upgraded.plug, upgraded.read, opening);
    }
}

/// Where goes what clients say by requests of their own.
pub(super) struct SideDoor {
    pub(super) post: Post,
    /// The other hosts, where there may be any.
    pub(super) others: Option<Others>,
}

impl Relay for SideDoor {
    fn say<'a>(
        &'a self,
        host: &'a str,
        session: &'a str,
        frame: Bytes,
    ) -> BoxFuture<'a, Option<Fate>> {
        Box::pin(async move {
            if host == self.post.host() {
                return Some(self.post.say(session, frame).await);
            }
            self.others.as_ref()?.say(host, session, &frame).await
        })
    }
}
