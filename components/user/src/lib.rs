//! `/api/user`: a tenant's users and the rooms they are members of.
//!
//! Turns requests into calls of `sschat-domain` and results into answers; the
//! rules of the data are there, what all handlers share is in `sschat-rest`.

use serde::Serialize;
use sschat_domain::{RoomId, UserId, membership, removal, tenant};
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route};

const NO_USER: Refusal = Refusal::NotFound("no such user");

sschat_rest::component!(super::handle);

#[derive(Serialize)]
struct Created {
    status: &'static str,
    user_id: UserId,
}

#[derive(Serialize)]
struct Listed {
    status: &'static str,
    data: Users,
}

#[derive(Serialize)]
struct Users {
    users: Vec<UserId>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    status: &'static str,
    data: Joined,
}

#[derive(Serialize)]
struct Joined {
    user_id: UserId,
    rooms: Vec<RoomId>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Deleted {
    status: &'static str,
    deleted_user: UserId,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub async fn handle<H: Host>(host: &H, request: &Request) -> Outcome {
    match (request.route("/api/user")?, request.method) {
        (Route::All, Method::Post) => create(host, request).await,
        (Route::All, Method::Get) => list(host, request).await,
        (Route::All, _) => Err(Refusal::MethodNotAllowed("GET, HEAD, POST")),
        (Route::One(user), Method::Get) => show(host, request, user).await,
        (Route::One(user), Method::Delete) => delete(host, request, user).await,
        (Route::One(_), _) => Err(Refusal::MethodNotAllowed("GET, HEAD, DELETE")),
        _ => Err(Refusal::NotFound("no such path")),
    }
}

async fn create<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let user_id = UserId::from_random(host.random());
    if !tenant::create_user(store, tenant.id, user_id).await? {
        return Err(sschat_rest::unknown_key());
    }
    Answer::created(&Created {
        status: "ok",
        user_id,
    })
}

async fn list<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let page = request.query.page()?;
    let users = tenant::users(store, tenant.id, page.cursor, page.limit).await?;
    Answer::ok(&Listed {
        status: "ok",
        data: Users {
            users: users.ids,
            next: users.next,
        },
    })
}

async fn show<H: Host>(host: &H, request: &Request, user: &str) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let page = request.query.page()?;
    let user_id: UserId = user.parse().map_err(|_| NO_USER)?;
    if !tenant::user_exists(store, tenant.id, user_id).await? {
        return Err(NO_USER);
    }
    let rooms = membership::rooms(store, tenant.id, user_id, page.cursor, page.limit).await?;
    Answer::ok(&Shown {
        status: "ok",
        data: Joined {
            user_id,
            rooms: rooms.ids,
            next: rooms.next,
        },
    })
}

async fn delete<H: Host>(host: &H, request: &Request, user: &str) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let deleted_user: UserId = user.parse().map_err(|_| NO_USER)?;
    if !removal::remove_user(store, tenant.id, deleted_user).await? {
        return Err(NO_USER);
    }
    Answer::ok(&Deleted {
        status: "ok",
        deleted_user,
    })
}
