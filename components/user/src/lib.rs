//! `/api/user`: a tenant's users and the rooms they are members of.
//!
//! Turns requests into calls of `sschat-domain` and results into answers; the
//! rules of the data are there, what all handlers share is in `sschat-rest`.

use serde::Serialize;
use sschat_domain::record::Rule;
use sschat_domain::revocation::{self, Outcome as Change, Subject};
use sschat_domain::{AppId, RoomId, UserId, Write, membership, policy, removal, tenant};
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route};

const NO_USER: Refusal = Refusal::NotFound("no such user");

/// The longest name of somebody who is not registered, in bytes, as the authority has it.
const NAME_LIMIT: usize = 64;

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

#[derive(Serialize)]
struct Revoked<'a> {
    status: &'static str,
    user: &'a str,
    issued_before: Option<u64>,
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
        (Route::Two(user, "revoke"), method) => revoke(host, request, user, method).await,
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

/// Takes back the tokens of a user that were made before some time, says which those are,
/// or lets them count again.
async fn revoke<H: Host>(host: &H, request: &Request, user: &str, method: Method) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?.id;
    let name = sschat_rest::segment(user).map_err(|_| NO_USER)?;
    let subject = subject(store, tenant, &name).await?;
    let found = match method {
        Method::Post => {
            let wanted = sschat_rest::issued_before(&request.body, host.now())?;
            match revocation::revoke(store, tenant, subject, wanted, host.now()).await? {
                Change::Done => Some(wanted),
                Change::Gone => return Err(NO_USER),
                Change::TooMany => return Err(sschat_rest::too_many_revocations()),
            }
        }
        Method::Get => revocation::revoked(store, tenant, subject).await?,
        Method::Delete => {
            revocation::restore(store, tenant, subject).await?;
            None
        }
        _ => return Err(Refusal::MethodNotAllowed("GET, HEAD, POST, DELETE")),
    };
    Answer::ok(&Revoked {
        status: "ok",
        user: &name,
        issued_before: found.and_then(|found| found.issued_before),
    })
}

/// Whose tokens are meant: a registered user's, or, with the rule `open`, anybody's who may
/// be called so.
async fn subject<'a, S: Write>(
    store: &S,
    tenant: AppId,
    name: &'a str,
) -> Result<Subject<'a>, Refusal> {
    let id = name.parse::<UserId>().ok();
    if let Some(user) = id
        && tenant::user_exists(store, tenant, user).await?
    {
        return Ok(Subject::User(user));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@-".contains(&byte);
    let named = (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(allowed);
    if named && policy::chosen(store, tenant).await?.rule == Rule::Open {
        return Ok(Subject::Name(name));
    }
    Err(NO_USER)
}
