//! What the HTTP side does for tenants' backends, over policy, broker and shards, of this host and of others.

mod here;

pub(crate) use here::AtHome;

use crate::broker::{
    Broker, Channel, Channels, Epoch, Origin, Page, Position, Query, Refused, Said, Taker, Unread,
};
use crate::events::Events;
use crate::http::policies::Declined;
use crate::http::rooms::{Backend, Message, Place, Shelf, Shown, Wanted};
use crate::node::Post;
use crate::peers::{Apart, Errand, Others, Present, Standing};
use crate::policy::Policy;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::value::RawValue;
use sschat_history::{HistoryError, PublishError, TAGS_LIMIT, TEXT_LIMIT};
use sschat_protocol::{nesting, seed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// The longest name that a backend may speak in, in bytes: what a user id has at most.
const FROM_LIMIT: usize = 128;

/// The longest idempotency key, in bytes.
const KEY_LIMIT: usize = 128;

/// The rooms of one host, for tenants' backends.
pub(crate) struct RoomBackend {
    pub(crate) policy: Arc<Policy>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) post: Post,
    pub(crate) events: Arc<Events>,
    /// The other hosts, where there may be any.
    pub(crate) others: Option<Others>,
    /// Since when it runs.
    pub(crate) started: Instant,
    /// The largest message, in bytes.
    pub(crate) limit: usize,
}

impl RoomBackend {
    /// The channel of a room that the tenant has.
    async fn channel(&self, tenant: &str, room: &str) -> Result<Arc<Channel>, Declined> {
        if self.policy.has_room(tenant, room).await? {
            return Ok(self.channels.get(tenant, room));
        }
        Err(declined(StatusCode::NOT_FOUND, "not_found", "no such room"))
    }

    async fn say(
        &self,
        tenant: &str,
        room: &str,
        message: Message<'_>,
    ) -> Result<Option<Place>, Declined> {
        let channel = self.channel(tenant, room).await?;
        let data = message.data.get();
        let (terms, _) = self.policy.terms(tenant, room).await?;
        let of_tenant = terms.message_size;
        let limit = of_tenant.map_or(self.limit, |limit| self.limit.min(limit as usize));
        if data.len() > limit {
            let msg = format!("a message has up to {limit} bytes");
            return Err(declined(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &msg));
        }
        let long = |text: &str, limit| text.len() > limit;
        if long(message.from, FROM_LIMIT) || message.key.is_some_and(|it| long(it, KEY_LIMIT)) {
            let msg = "from or the idempotency key is too long";
            return Err(Declined::bad(msg.to_owned()));
        }
        if nesting::exceeds(data, seed::MAX_DEPTH) {
            let msg = format!("a message nests up to {} deep", seed::MAX_DEPTH);
            return Err(Declined::bad(msg));
        }
        let tags = message.tags.as_deref().unwrap_or_default();
        let long_tag =
            |(name, value): &(Box<str>, Box<str>)| name.len().max(value.len()) > TEXT_LIMIT;
        if tags.len() > TAGS_LIMIT || tags.iter().any(long_tag) {
            let msg = format!("a message has up to {TAGS_LIMIT} tags of {TEXT_LIMIT} bytes");
            return Err(Declined::bad(msg));
        }
        let data = one_line(data);
        let from: Arc<str> = message.from.into();
        let said = Said {
            message: &data,
            from: &from,
            by: None,
            tags: message.tags.as_ref(),
            key: message.key,
            passing: message.passing,
        };
        let (taker, taken) = oneshot::channel();
        let published =
            self.broker
                .publish(&channel, &said, Origin::Outside, Some(Taker::Task(taker)));
        published.map_err(refused)?;
        match taken.await {
            Ok(Ok(position)) => Ok(position.map(place)),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(refused(HistoryError::Closed.into())),
        }
    }

    async fn read(&self, tenant: &str, room: &str, wanted: Wanted<'_>) -> Result<Shelf, Declined> {
        let channel = self.channel(tenant, room).await?;
        let top = Query::default();
        let since = match (wanted.since, wanted.epoch) {
            (None, _) => None,
            (Some(offset), Some(epoch)) => {
                let epoch: Epoch = epoch.parse().map_err(|_| wrong_epoch())?;
                Some(Position { epoch, offset })
            }
            (Some(offset), None) => {
                let page = self.broker.history(&channel, top).await.map_err(unread)?;
                let epoch = page.top.epoch;
                Some(Position { epoch, offset })
            }
        };
        let query = Query {
            since,
            limit: wanted.limit,
            reverse: wanted.reverse,
        };
        let page = self.broker.history(&channel, query).await.map_err(unread)?;
        shelf(page)
    }

    async fn remove(&self, tenant: &str, room: &str) -> Result<(), Declined> {
        self.channel(tenant, room).await?;
        self.broker.remove(tenant, room).await.map_err(unread)
    }

    async fn act(&self, errand: Errand) -> Result<(), Declined> {
        // Here first: others are not asked what the tenant's rule forbids.
        let mut members = self.act_here(&errand).await?;
        if let Some(others) = &self.others {
            members |= others.run(errand).await?;
        }
        if members {
            let msg = "members hear their rooms: remove the member instead";
            return Err(declined(StatusCode::CONFLICT, "member", msg));
        }
        Ok(())
    }

    async fn present(&self, tenant: &str, room: &str) -> Result<Vec<Present>, Declined> {
        self.channel(tenant, room).await?;
        let mut present = self.present_here(tenant, room).await;
        if let Some(others) = &self.others {
            present.extend(others.present(tenant, room).await?);
        }
        Ok(present)
    }

    async fn stand(&self, tenant: &str, pattern: Option<&str>) -> Result<Vec<Standing>, Declined> {
        let mut standing = vec![self.standing_here(tenant, pattern)];
        if let Some(others) = &self.others {
            standing.extend(others.standing(tenant, pattern).await?);
        }
        Ok(standing)
    }
}

impl Backend for RoomBackend {
    fn publish<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
        message: Message<'a>,
    ) -> BoxFuture<'a, Result<Option<Place>, Declined>> {
        self.say(tenant, room, message).boxed()
    }

    fn history<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
        wanted: Wanted<'a>,
    ) -> BoxFuture<'a, Result<Shelf, Declined>> {
        self.read(tenant, room, wanted).boxed()
    }

    fn remove_history<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
    ) -> BoxFuture<'a, Result<(), Declined>> {
        self.remove(tenant, room).boxed()
    }

    fn presence<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Present>, Declined>> {
        self.present(tenant, room).boxed()
    }

    fn act(&self, errand: Errand) -> BoxFuture<'_, Result<(), Declined>> {
        self.act(errand).boxed()
    }

    fn standing<'a>(
        &'a self,
        tenant: &'a str,
        pattern: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Standing>, Declined>> {
        self.stand(tenant, pattern).boxed()
    }

    fn forget_room<'a>(&'a self, tenant: &'a str, room: &'a str) -> BoxFuture<'a, ()> {
        async move {
            if let Err(error) = self.broker.remove(tenant, room).await {
                tracing::warn!(%error, "the history of a deleted room stays until it expires");
            }
        }
        .boxed()
    }

    fn forget_events<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, ()> {
        self.events.clear(tenant).boxed()
    }

    fn forget_tenant<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, ()> {
        async move {
            if let Err(error) = self.broker.remove_tenant(tenant).await {
                tracing::warn!(%error, "the history of a deleted key stays until it expires");
            }
            self.events.forget(tenant).await;
        }
        .boxed()
    }
}

/// The message without line breaks, which in JSON stand between tokens only: formats that
/// put one message on a line rely on it.
fn one_line(data: &str) -> std::borrow::Cow<'_, str> {
    if data.contains(['\n', '\r']) {
        return data.replace(['\n', '\r'], " ").into();
    }
    data.into()
}

fn place(position: Position) -> Place {
    Place {
        offset: position.offset,
        epoch: position.epoch.to_string(),
    }
}

fn shelf(page: Page) -> Result<Shelf, Declined> {
    let shown = |publication: &Arc<sschat_history::Publication>| {
        let text = String::from_utf8_lossy(&publication.payload).into_owned();
        let by = publication.by.as_deref();
        let info = by.and_then(|by| by.info.as_deref());
        let tags = publication.tags.iter().flat_map(|tags| tags.iter());
        let tag = |(name, value): &(Box<str>, Box<str>)| (name.to_string(), value.to_string());
        Some(Shown {
            offset: publication.offset,
            time: publication.time,
            data: RawValue::from_string(text).ok()?,
            from: publication.from.as_deref().map(str::to_owned),
            client: by.map(|by| by.client.to_string()),
            info: info.and_then(|info| RawValue::from_string(info.to_owned()).ok()),
            tags: tags.map(tag).collect(),
        })
    };
    let publications: Option<Vec<Shown>> = page.publications.iter().map(shown).collect();
    let unreadable = || {
        declined(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "it is damaged",
        )
    };
    Ok(Shelf {
        publications: publications.ok_or_else(unreadable)?,
        top: place(page.top),
        complete: page.complete,
    })
}

fn declined(status: StatusCode, code: &'static str, msg: &str) -> Declined {
    Declined {
        status,
        code,
        msg: msg.to_owned(),
    }
}

impl From<Apart> for Declined {
    fn from(apart: Apart) -> Self {
        declined(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            &apart.to_string(),
        )
    }
}

fn wrong_epoch() -> Declined {
    let msg = "the room has another epoch: begin anew from its history";
    declined(StatusCode::CONFLICT, "wrong_epoch", msg)
}

fn refused(refused: Refused) -> Declined {
    let msg = refused.to_string();
    match refused {
        Refused::Publish(PublishError::TooLarge(_)) => {
            declined(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &msg)
        }
        _ => declined(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &msg),
    }
}

fn unread(error: Unread) -> Declined {
    match error {
        Unread::NotKept => {
            let msg = "this host keeps no history";
            declined(StatusCode::NOT_IMPLEMENTED, "no_history", msg)
        }
        Unread::History(HistoryError::WrongEpoch) => wrong_epoch(),
        Unread::History(error) => declined(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            &error.to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("{\"a\":\r\n\"\\n\"}"), "{\"a\":  \"\\n\"}");
        assert_eq!(one_line("1"), "1");
    }
}
