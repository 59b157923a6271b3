//! The server API in the shape of Centrifugo's, so that its libraries work: `POST
//! /api/{method}` with `X-API-Key`. A channel is a room.
//!
//! An answer is 200 with `result` or `error` (a code and a message, as Centrifugo documents
//! them); other statuses are for requests that never came so far: no key, no JSON, too
//! large.

mod sessions;
mod shapes;

use super::body::Body;
use super::inbound::Inbound;
use super::policies::{Counter, Declined};
use super::reply;
use super::rooms::{Backend, Message, PAGE_MOST, Shown, Wanted};
use crate::peers::{ROOMS_LIMIT, Standing};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shapes::{
    Batch, Channel, Channels, Fault, History, Info, Outcome, Pattern, Publication, Publications,
    Replies, Reply, Said, placed, raw, read,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most channels of a broadcast and commands of a batch: each may wait for the disk.
const BATCH_LIMIT: usize = 1_000;

const METHODS: [&str; 13] = [
    "publish",
    "broadcast",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "channels",
    "info",
    "batch",
];

/// The method that a path names, if it is one of these.
pub(super) fn method(path: &str) -> Option<&'static str> {
    let name = path.strip_prefix("/api/")?;
    METHODS.into_iter().find(|method| *method == name)
}

/// Answers a request.
pub(super) async fn answer(
    method: &'static str,
    request: Request<Incoming>,
    (desk, backend): (&Counter, &dyn Backend),
    inbound: &Inbound,
) -> Response<Body> {
    if *request.method() != Method::POST {
        return reply::only(&Method::POST);
    }
    let tenant = match desk.tenant(&request).await {
        Ok(tenant) => tenant,
        Err(declined) => return declined.into_response(),
    };
    let body = match inbound.collect(request.into_body()).await {
        Ok(body) => body.into_bytes(),
        Err(unread) => return unread.answer(),
    };
    let body = if body.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        body
    };
    let parameters: &RawValue = match serde_json::from_slice(&body) {
        Ok(parameters) => parameters,
        Err(error) => {
            let text = format!("the body is one JSON object: {error}");
            return Declined::bad(text).into_response();
        }
    };
    let caller = Caller {
        backend,
        tenant: &tenant,
    };
    if method == "batch" {
        return match caller.batch(parameters).await {
            Ok(replies) => reply::serialized(&Replies { replies }),
            Err(fault) => reply::serialized(&Reply::Error(fault)),
        };
    }
    reply::serialized(&Reply::from(caller.call(method, parameters).await))
}

/// A tenant's backend.
#[derive(Clone, Copy)]
struct Caller<'a> {
    backend: &'a dyn Backend,
    tenant: &'a str,
}

impl<'a> Caller<'a> {
    async fn call(self, method: &str, parameters: &RawValue) -> Outcome {
        match method {
            "publish" => self.publish(parameters).await,
            "broadcast" => self.broadcast(parameters).await,
            "subscribe" | "unsubscribe" | "disconnect" | "refresh" => {
                sessions::act((self.backend, self.tenant), method, parameters).await
            }
            "presence" | "presence_stats" => self.presence(parameters, method).await,
            "history" => self.history(parameters).await,
            "history_remove" => {
                let Channel { channel } = read(parameters)?;
                self.backend.remove_history(self.tenant, &channel).await?;
                raw(&json!({}))
            }
            "channels" => self.channels(parameters).await,
            "info" => self.info().await,
            _ => Err(Fault {
                code: 104,
                message: "method not found".to_owned(),
            }),
        }
    }

    async fn publish(self, parameters: &RawValue) -> Outcome {
        let Channel { channel } = read(parameters)?;
        let said: Said<'_> = read(parameters)?;
        let decoded = said.decoded()?;
        let message = said.message(decoded.as_deref())?;
        let published = self.backend.publish(self.tenant, &channel, message);
        raw(&placed(published.await?))
    }

    async fn broadcast(self, parameters: &RawValue) -> Outcome {
        let Channels { channels } = read(parameters)?;
        if channels.len() > BATCH_LIMIT {
            return Err(Fault::bad(format!("at most {BATCH_LIMIT} channels")));
        }
        let said: Said<'_> = read(parameters)?;
        let decoded = said.decoded()?;
        let message = said.message(decoded.as_deref())?;
        let published = channels
            .iter()
            .map(|channel| self.say(channel, message.clone()));
        raw(&json!({ "responses": join_all(published).await }))
    }

    /// One of many.
    async fn say(self, channel: &str, message: Message<'_>) -> Value {
        match self.backend.publish(self.tenant, channel, message).await {
            Ok(place) => json!({ "result": placed(place) }),
            Err(declined) => json!({ "error": Fault::from(declined) }),
        }
    }

    async fn presence(self, parameters: &RawValue, method: &str) -> Outcome {
        let Channel { channel } = read(parameters)?;
        let present = self.backend.presence(self.tenant, &channel).await?;
        if method == "presence_stats" {
            let users: BTreeSet<_> = present.iter().map(|it| &it.user).collect();
            return raw(&json!({ "num_clients": present.len(), "num_users": users.len() }));
        }
        let clients: BTreeMap<&str, Value> = present
            .iter()
            .map(|it| {
                (
                    &*it.client,
                    json!({ "client": &*it.client, "user": &*it.user }),
                )
            })
            .collect();
        raw(&json!({ "presence": clients }))
    }

    async fn history(self, parameters: &RawValue) -> Outcome {
        let Channel { channel } = read(parameters)?;
        let History {
            limit,
            since,
            reverse,
        } = read(parameters)?;
        let limit = usize::try_from(limit).map_or(PAGE_MOST, |limit| limit.min(PAGE_MOST));
        let wanted = Wanted {
            limit,
            since: since.as_ref().map(|since| since.offset),
            epoch: since
                .as_ref()
                .map(|since| &since.epoch[..])
                .filter(|epoch| !epoch.is_empty()),
            reverse,
        };
        let shelf = self.backend.history(self.tenant, &channel, wanted).await?;
        let shown = |it: Shown| Publication {
            data: it.data,
            offset: it.offset,
            tags: it.tags,
            info: it.from.map(|user| Info {
                client: it.client.unwrap_or_default(),
                user,
                conn_info: it.info,
            }),
        };
        raw(&Publications {
            publications: shelf.publications.into_iter().map(shown).collect(),
            top: shelf.top,
        })
    }

    async fn channels(self, parameters: &RawValue) -> Outcome {
        let Pattern { pattern } = read(parameters)?;
        let pattern = match &pattern[..] {
            "" => "*",
            pattern => pattern,
        };
        let standing = self.backend.standing(self.tenant, Some(pattern)).await?;
        if standing.iter().any(|host| host.more) {
            let text = format!("more than {ROOMS_LIMIT} channels: name a narrower pattern");
            return Err(Fault::bad(text));
        }
        let mut heard: BTreeMap<&str, u64> = BTreeMap::new();
        for (room, clients) in standing.iter().flat_map(|host| &host.named) {
            *heard.entry(room).or_default() += u64::from(*clients);
        }
        let heard: BTreeMap<&str, Value> = heard
            .into_iter()
            .map(|(room, clients)| (room, json!({ "num_clients": clients })))
            .collect();
        raw(&json!({ "channels": heard }))
    }

    /// The hosts, as far as they concern the tenant.
    async fn info(self) -> Outcome {
        let standing = self.backend.standing(self.tenant, None).await?;
        let node = |host: &Standing| {
            json!({
                "uid": host.host,
                "name": "sschat",
                "version": host.version,
                "num_clients": host.sessions,
                "num_users": host.users,
                "num_subs": host.subscriptions,
                "num_channels": host.rooms,
                "uptime": host.uptime,
                "lag": host.lag.map(|lag| lag as f64 / 1e6),
            })
        };
        let nodes: Vec<Value> = standing.iter().map(node).collect();
        raw(&json!({ "nodes": nodes }))
    }

    /// Many commands, one after the other, or all at once where the request says so.
    async fn batch(
        self,
        parameters: &RawValue,
    ) -> Result<Vec<BTreeMap<String, Box<RawValue>>>, Fault> {
        let Batch { commands, parallel } = read(parameters)?;
        if commands.len() > BATCH_LIMIT {
            return Err(Fault::bad(format!("at most {BATCH_LIMIT} commands")));
        }
        let mut replies = Vec::with_capacity(commands.len());
        let answers = commands.iter().map(|command| self.command(command));
        if parallel {
            return Ok(join_all(answers).await);
        }
        for answer in answers {
            replies.push(answer.await);
        }
        Ok(replies)
    }

    fn command<'c>(
        self,
        command: &'c BTreeMap<String, &RawValue>,
    ) -> BoxFuture<'c, BTreeMap<String, Box<RawValue>>>
    where
        'a: 'c,
    {
        async move {
            let mut given = command.iter();
            let (name, outcome) = match (given.next(), given.next()) {
                (Some((method, parameters)), None) => {
                    (&method[..], self.call(method, parameters).await)
                }
                _ => ("", Err(Fault::bad("a command has one method"))),
            };
            let (name, value) = match outcome {
                Ok(result) => (name, Ok(result)),
                Err(fault) => ("error", raw(&fault)),
            };
            let value = value.into_iter();
            value.map(|value| (name.to_owned(), value)).collect()
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_exists_is_a_method() {
        assert_eq!(method("/api/publish"), Some("publish"));
        assert_eq!(method("/api/batch"), Some("batch"));
        assert_eq!(method("/api/room"), None);
        assert_eq!(method("/api/publish/"), None);
    }
}
