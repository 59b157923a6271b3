//! What a tenant's backend does in a room: `POST /api/room/{room}/message` and
//! `GET /api/room/{room}/history`, beside the records that the component keeps.
//!
//! The host answers these itself, because what is said is no record. Who has which room,
//! and where a message goes, nobody here knows: [`Backend`] does. Also here: a room or key
//! that was deleted takes its history with it.

use super::body::Body;
use super::inbound::Inbound;
use super::policies::{self, Counter, Declined, Desk, decode, parameters};
use super::reply;
use crate::peers::{Errand, Present, Standing};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::value::RawValue;
use sschat_history::Tags;
use std::collections::BTreeMap;

/// Publications on a page where the request does not say how many.
const PAGE: usize = 100;

/// The most publications on a page.
pub(super) const PAGE_MOST: usize = 1_000;

/// What a backend says.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// One JSON value.
    pub data: &'a RawValue,
    /// In whose name; empty for nobody's.
    pub from: &'a str,
    /// A second message with this key is the first one again.
    pub key: Option<&'a str>,
    /// Its tags, if any.
    pub tags: Option<Tags>,
    /// Whether the room's history leaves it out.
    pub passing: bool,
}

/// A place in a room's history.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Place {
    /// The offset.
    pub offset: u64,
    /// The epoch that it belongs to.
    pub epoch: String,
}

/// What of a room's history is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Publications at most; 0 for the top alone.
    pub limit: usize,
    /// Only what comes after this offset; before it, if `reverse`.
    pub since: Option<u64>,
    /// The epoch that `since` is of; the current one where it is absent.
    pub epoch: Option<&'a str>,
    /// From the newest to the oldest.
    pub reverse: bool,
}

/// A publication of a room's history.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its offset.
    pub offset: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub time: u64,
    /// The message.
    pub data: Box<RawValue>,
    /// Who said it, if a user did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The connection that said it, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What its login says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
    /// Its tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A page of a room's history.
#[derive(Debug, Serialize)]
pub struct Shelf {
    /// The publications.
    pub publications: Vec<Shown>,
    /// The room's top.
    #[serde(flatten)]
    pub top: Place,
    /// Whether none is missing between `since` and the first on the page, nor between those
    /// on the page.
    pub complete: bool,
}

/// Does what a tenant's backend asks for. Another tenant's room is one that does not exist.
pub trait Backend: Send + Sync + 'static {
    /// Publishes; ends when the publication is as durable as it will ever be. `None` where
    /// the room keeps no history.
    fn publish<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
        message: Message<'a>,
    ) -> BoxFuture<'a, Result<Option<Place>, Declined>>;
    /// Reads a room's history.
    fn history<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
        wanted: Wanted<'a>,
    ) -> BoxFuture<'a, Result<Shelf, Declined>>;
    /// Removes a room's history.
    fn remove_history<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
    ) -> BoxFuture<'a, Result<(), Declined>>;
    /// Who hears a room, on any host.
    fn presence<'a>(
        &'a self,
        tenant: &'a str,
        room: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Present>, Declined>>;
    /// Does something to the sessions of a user, on all hosts.
    fn act(&self, errand: Errand) -> BoxFuture<'_, Result<(), Declined>>;
    /// How much of the tenant is on each host, this one first; and which rooms, where their names fit a pattern.
    fn standing<'a>(
        &'a self,
        tenant: &'a str,
        pattern: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Standing>, Declined>>;
    /// Forgets what was said in a room that was deleted.
    fn forget_room<'a>(&'a self, tenant: &'a str, room: &'a str) -> BoxFuture<'a, ()>;
    /// Forgets the events of a tenant that wants none any more.
    fn forget_events<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, ()>;
    /// Forgets what was said in all rooms of a tenant that was deleted.
    fn forget_tenant<'a>(&'a self, tenant: &'a str) -> BoxFuture<'a, ()>;
}

/// What is asked of a room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Message(String),
    History(String),
}

impl Asked {
    /// What a path asks for, if it is one of these.
    pub(super) fn at(path: &str) -> Option<Self> {
        let (room, what) = path.strip_prefix("/api/room/")?.split_once('/')?;
        let room = || decode(&room.replace('+', "%2B"));
        match what {
            "message" => Some(Self::Message(room())),
            "history" => Some(Self::History(room())),
            _ => None,
        }
    }

    /// Answers.
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
        (desk, backend): (&Counter, &dyn Backend),
        inbound: &Inbound,
    ) -> Response<Body> {
        let allowed = match self {
            Self::Message(_) => Method::POST,
            Self::History(_) => Method::GET,
        };
        if *request.method() != allowed {
            return reply::only(&allowed);
        }
        let tenant = match desk.tenant(&request).await {
            Ok(tenant) => tenant,
            Err(declined) => return declined.into_response(),
        };
        let answered = match self {
            Self::Message(room) => {
                let (parts, body) = request.into_parts();
                let body = match inbound.collect(body).await {
                    Ok(body) => body.into_bytes(),
                    Err(unread) => return unread.answer(),
                };
                say(backend, (&tenant, &room), parts.uri.query(), &body).await
            }
            Self::History(room) => show(backend, (&tenant, &room), request.uri().query()).await,
        };
        answered.unwrap_or_else(Declined::into_response)
    }
}

#[derive(Serialize)]
struct Said {
    status: &'static str,
    #[serde(flatten)]
    place: Option<Place>,
}

async fn say(
    backend: &dyn Backend,
    (tenant, room): (&str, &str),
    query: Option<&str>,
    body: &Bytes,
) -> Result<Response<Body>, Declined> {
    let parameters = parameters(query);
    let data: &RawValue = serde_json::from_slice(body)
        .map_err(|error| Declined::bad(format!("the body is one JSON value: {error}")))?;
    let message = Message {
        passing: false,
        data,
        from: parameters.get("from").map_or("", String::as_str),
        key: parameters.get("idempotency_key").map(String::as_str),
        tags: None,
    };
    let place = backend.publish(tenant, room, message).await?;
    let status = "ok";
    Ok(reply::serialized(&Said { status, place }))
}

#[derive(Serialize)]
struct Shelved<'a> {
    status: &'static str,
    data: RoomShelf<'a>,
}

#[derive(Serialize)]
struct RoomShelf<'a> {
    room_id: &'a str,
    #[serde(flatten)]
    shelf: Shelf,
}

async fn show(
    backend: &dyn Backend,
    (tenant, room): (&str, &str),
    query: Option<&str>,
) -> Result<Response<Body>, Declined> {
    let parameters = parameters(query);
    let number = |name: &str| match parameters.get(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| Declined::bad(format!("the parameter {name} is a whole number"))),
    };
    let limit = match number("limit")? {
        None => PAGE,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= PAGE_MOST)
            .ok_or_else(|| Declined::bad(format!("the limit is at most {PAGE_MOST}")))?,
    };
    let reverse = match parameters.get("reverse").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Declined::bad("reverse is true or false".to_owned())),
    };
    let wanted = Wanted {
        limit,
        since: number("since")?,
        epoch: parameters.get("epoch").map(String::as_str),
        reverse,
    };
    let shelf = backend.history(tenant, room, wanted).await?;
    Ok(reply::serialized(&Shelved {
        status: "ok",
        data: RoomShelf {
            room_id: room,
            shelf,
        },
    }))
}

/// A deletion that takes history with it.
pub(super) enum Deletion {
    Room(String, String),
    Events(String),
    Tenant(String),
}

impl Deletion {
    /// What a request would delete, if it is granted. Asked before it is, for a key that is
    /// gone names no tenant.
    pub(super) async fn of<B>(request: &Request<B>, desk: &dyn Desk) -> Option<Self> {
        let path = request.uri().path();
        let room = path.strip_prefix("/api/room/");
        if room.is_some() || path.trim_end_matches('/') == "/api/webhook" {
            let key = policies::presented_key(request.headers(), request.uri().query());
            let tenant = desk.tenant(&key.ok()?).await.ok()?;
            return match room {
                None => Some(Self::Events(tenant)),
                Some(room) if room.contains('/') => None,
                Some(room) => Some(Self::Room(tenant, room.to_owned())),
            };
        }
        let key = path.strip_prefix("/api/register/")?;
        desk.tenant(key).await.ok().map(Self::Tenant)
    }

    pub(super) async fn forget(self, backend: &dyn Backend) {
        match self {
            Self::Room(tenant, room) => backend.forget_room(&tenant, &room).await,
            Self::Events(tenant) => backend.forget_events(&tenant).await,
            Self::Tenant(tenant) => backend.forget_tenant(&tenant).await,
        }
    }
}

impl Declined {
    /// The request is not understood.
    pub fn bad(msg: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "bad_request",
            msg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_room_and_what_is_asked_of_it() {
        let message = |room: &str| Some(Asked::Message(room.to_owned()));
        assert_eq!(Asked::at("/api/room/r/message"), message("r"));
        assert_eq!(Asked::at("/api/room/a%20b+c/message"), message("a b+c"));
        let history = Some(Asked::History("r".to_owned()));
        assert_eq!(Asked::at("/api/room/r/history"), history);
        for other in ["/api/room/r", "/api/room/r/message/", "/api/room/r/u/add"] {
            assert_eq!(Asked::at(other), None);
        }
    }
}
