//! `/api/room`: a tenant's rooms and who is a member of them.
//!
//! Turns requests into calls of `sschat-domain` and results into answers; the
//! rules of the data are there, what all handlers share is in `sschat-rest`.

use serde::Serialize;
use sschat_domain::membership::{self, Missing, Outcome as Change, Pair};
use sschat_domain::settings::{self, RoomSettings};
use sschat_domain::{RoomId, UserId, removal, tenant};
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route};

const NO_ROOM: Refusal = Refusal::NotFound("no such room");
const NO_USER: Refusal = Refusal::NotFound("no such user");

sschat_rest::component!(super::handle);

#[derive(Serialize)]
struct Created {
    status: &'static str,
    room_id: RoomId,
}

#[derive(Serialize)]
struct Listed {
    status: &'static str,
    data: Rooms,
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomId>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    status: &'static str,
    data: Members,
}

#[derive(Serialize)]
struct Members {
    room_id: RoomId,
    members: Vec<UserId>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Deleted {
    status: &'static str,
    deleted_room: RoomId,
}

#[derive(Serialize)]
struct Settled {
    status: &'static str,
    room_id: RoomId,
    settings: RoomSettings,
}

#[derive(Serialize)]
struct Changed<'a> {
    status: &'static str,
    action: &'a str,
    room: RoomId,
    user: UserId,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub async fn handle<H: Host>(host: &H, request: &Request) -> Outcome {
    match (request.route("/api/room")?, request.method) {
        (Route::All, Method::Post) => create(host, request).await,
        (Route::All, Method::Get) => list(host, request).await,
        (Route::All, _) => Err(Refusal::MethodNotAllowed("GET, HEAD, POST")),
        (Route::One(room), Method::Get) => show(host, request, room).await,
        (Route::One(room), Method::Delete) => delete(host, request, room).await,
        (Route::One(_), _) => Err(Refusal::MethodNotAllowed("GET, HEAD, DELETE")),
        (Route::Three(room, user, action), Method::Put) => {
            change(host, request, room, user, action).await
        }
        (Route::Three(..), _) => Err(Refusal::MethodNotAllowed("PUT")),
        (Route::Two(room, "settings"), method) => settle(host, request, room, method).await,
        (Route::Two(..), _) => Err(Refusal::NotFound("no such path")),
    }
}

async fn create<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let room_id = RoomId::from_random(host.random());
    if !tenant::create_room(store, tenant.id, room_id).await? {
        return Err(sschat_rest::unknown_key());
    }
    Answer::created(&Created {
        status: "ok",
        room_id,
    })
}

async fn list<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let page = request.query.page()?;
    let rooms = tenant::rooms(store, tenant.id, page.cursor, page.limit).await?;
    Answer::ok(&Listed {
        status: "ok",
        data: Rooms {
            rooms: rooms.ids,
            next: rooms.next,
        },
    })
}

async fn show<H: Host>(host: &H, request: &Request, room: &str) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let page = request.query.page()?;
    let room_id: RoomId = room.parse().map_err(|_| NO_ROOM)?;
    if !tenant::room_exists(store, tenant.id, room_id).await? {
        return Err(NO_ROOM);
    }
    let members = membership::members(store, tenant.id, room_id, page.cursor, page.limit).await?;
    Answer::ok(&Shown {
        status: "ok",
        data: Members {
            room_id,
            members: members.ids,
            next: members.next,
        },
    })
}

async fn delete<H: Host>(host: &H, request: &Request, room: &str) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let deleted_room: RoomId = room.parse().map_err(|_| NO_ROOM)?;
    if !removal::remove_room(store, tenant.id, deleted_room).await? {
        return Err(NO_ROOM);
    }
    Answer::ok(&Deleted {
        status: "ok",
        deleted_room,
    })
}

async fn change<H: Host>(
    host: &H,
    request: &Request,
    room: &str,
    user: &str,
    action: &str,
) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    if !matches!(action, "add" | "remove") {
        return Err(Refusal::BadRequest {
            code: "bad_action",
            msg: "the action is add or remove",
        });
    }
    let pair = Pair {
        tenant: tenant.id,
        room: room.parse().map_err(|_| NO_ROOM)?,
        user: user.parse().map_err(|_| NO_USER)?,
    };
    let outcome = match action {
        "add" => membership::add(store, pair).await?,
        _ => membership::remove(store, pair).await?,
    };
    match outcome {
        Change::Done => Answer::ok(&Changed {
            status: "ok",
            action,
            room: pair.room,
            user: pair.user,
        }),
        Change::Missing(Missing::Room) => Err(NO_ROOM),
        Change::Missing(Missing::User) => Err(NO_USER),
        Change::Missing(Missing::App) => Err(sschat_rest::unknown_key()),
    }
}

/// Shows or changes what was chosen for a room.
async fn settle<H: Host>(host: &H, request: &Request, room: &str, method: Method) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?.id;
    let room_id: RoomId = room.parse().map_err(|_| NO_ROOM)?;
    if !tenant::room_exists(store, tenant, room_id).await? {
        return Err(NO_ROOM);
    }
    let chosen = match method {
        Method::Get => settings::of_room(store, tenant, room_id).await?,
        Method::Put => sschat_rest::room_settings(&request.body)?,
        Method::Delete => RoomSettings::default(),
        _ => return Err(Refusal::MethodNotAllowed("GET, HEAD, PUT, DELETE")),
    };
    if method != Method::Get && !settings::set_room(store, tenant, room_id, &chosen).await? {
        return Err(NO_ROOM);
    }
    Answer::ok(&Settled {
        status: "ok",
        room_id,
        settings: chosen,
    })
}
