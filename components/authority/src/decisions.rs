//! The decisions, over any store and clock.

use crate::token::{self, Unverified};
use sschat_domain::membership::Pair;
use sschat_domain::record::App;
use sschat_domain::{AppId, Error, Page, Read, RoomId, UserId, access};

/// The time, read only where a decision depends on it.
pub trait Clock {
    /// Seconds since the Unix epoch.
    fn now(&self) -> u64;
}

/// A reasoned no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs: lower-case words joined by `_`.
    pub code: &'static str,
    /// A sentence for people.
    pub reason: &'static str,
}

/// An authenticated user of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: AppId,
    /// The user.
    pub user: UserId,
}

/// What a connection presents to log in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credential<'a> {
    /// The app that the connection names.
    pub app: Option<&'a str>,
    /// A bare user id.
    pub user: Option<&'a str>,
    /// A token; where it is given, `user` may only repeat its `sub`.
    pub token: Option<&'a str>,
}

/// An accepted login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub who: Identity,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: Option<u64>,
}

const UNKNOWN_USER: Refusal = refusal("unknown_user", "There is no such user.");
const TOKEN_REQUIRED: Refusal = refusal(
    "token_required",
    "This app takes signed tokens only, not bare user ids.",
);
const NOT_A_MEMBER: Refusal = refusal("not_a_member", "The user is not a member of that room.");
const NOT_VISIBLE: Refusal = refusal("not_visible", "The two users share no room.");
const NO_CREDENTIAL: Refusal = refusal("no_credential", "A user id or a token is needed.");

/// Who a login is.
///
/// # Errors
///
/// Why it is refused.
pub async fn log_in<S: Read>(
    store: &S,
    clock: &impl Clock,
    presented: Credential<'_>,
) -> Result<Login, Refusal> {
    match (presented.token, presented.user) {
        (Some(token), user) => by_token(store, clock, presented.app, token, user).await,
        (None, Some(user)) => by_user(store, presented.app, user).await,
        (None, None) => Err(NO_CREDENTIAL),
    }
}

/// One page of the rooms that `who` is subscribed to.
///
/// # Errors
///
/// Why it is refused.
pub async fn rooms<S: Read>(
    store: &S,
    who: Identity,
    cursor: Option<&str>,
) -> Result<Page<RoomId>, Refusal> {
    let page = access::rooms(store, who.tenant, who.user, cursor).await?;
    page.ok_or(UNKNOWN_USER)
}

/// Whether `who` may publish in `room`. A room that does not exist, or is another
/// tenant's, is one that `who` is not a member of.
///
/// # Errors
///
/// Why it is refused.
pub async fn may_publish<S: Read>(store: &S, who: Identity, room: &str) -> Result<(), Refusal> {
    let pair = Pair {
        tenant: who.tenant,
        room: room.parse().map_err(|_| NOT_A_MEMBER)?,
        user: who.user,
    };
    if access::is_member(store, pair).await? {
        return Ok(());
    }
    Err(NOT_A_MEMBER)
}

/// Whether `who` may see the presence of `user`: its own, or of one it shares a
/// room with.
///
/// # Errors
///
/// Why it is refused.
pub async fn may_see<S: Read>(store: &S, who: Identity, user: &str) -> Result<(), Refusal> {
    let user: UserId = user.parse().map_err(|_| NOT_VISIBLE)?;
    let visible = if user == who.user {
        let (app, exists) = access::app_and_user(store, who.tenant, user).await?;
        app.is_some() && exists
    } else {
        access::share_a_room(store, who.tenant, who.user, user).await?
    };
    if visible { Ok(()) } else { Err(NOT_VISIBLE) }
}

impl Identity {
    /// The identity of these two ids.
    ///
    /// # Errors
    ///
    /// Where either is no id.
    pub fn parse(tenant: &str, user: &str) -> Result<Self, Refusal> {
        Ok(Self {
            tenant: tenant.parse().map_err(|_| UNKNOWN_USER)?,
            user: user.parse().map_err(|_| UNKNOWN_USER)?,
        })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(_) => refusal("store_unavailable", "The store can't be reached now."),
            Error::Limit => refusal("limit", "The decision reads more than one decision may."),
            Error::Record { .. } => refusal(
                "unreadable_record",
                "A stored record can't be read by this version.",
            ),
            Error::Cursor => refusal("invalid_cursor", "That is no cursor of this listing."),
        }
    }
}

pub(crate) const fn refusal(code: &'static str, reason: &'static str) -> Refusal {
    Refusal { code, reason }
}

/// The original protocol's way: whoever knows the id of a user is that user, unless
/// the app wants tokens.
async fn by_user<S: Read>(store: &S, app: Option<&str>, user: &str) -> Result<Login, Refusal> {
    let user: UserId = user.parse().map_err(|_| UNKNOWN_USER)?;
    let tenant = match app {
        Some(app) => app.parse().map_err(|_| UNKNOWN_USER)?,
        None => {
            let tenant = access::tenant_of_user(store, user).await?;
            tenant.ok_or(UNKNOWN_USER)?
        }
    };
    let (Some(app), true) = access::app_and_user(store, tenant, user).await? else {
        return Err(UNKNOWN_USER);
    };
    if app.require_token {
        return Err(TOKEN_REQUIRED);
    }
    let who = Identity { tenant, user };
    Ok(Login { who, expires: None })
}

async fn by_token<S: Read>(
    store: &S,
    clock: &impl Clock,
    app: Option<&str>,
    token: &str,
    user: Option<&str>,
) -> Result<Login, Refusal> {
    let unverified = Unverified::parse(token)?;
    // What the token says is used to find the secret, and believed only once
    // that secret has verified it.
    let tenant = token_tenant(&unverified, app)?;
    let subject = unverified.claims.subject();
    let subject = subject.ok_or(token::INVALID)?;
    let (app, exists) = access::app_and_user(store, tenant, subject).await?;
    let app = app.ok_or(token::INVALID)?;
    verify(&unverified, &app)?;
    let expires = unverified.claims.check_times(clock)?;
    let repeated = user.is_none_or(|user| user.parse() == Ok(subject));
    if !exists || !repeated {
        return Err(UNKNOWN_USER);
    }
    let who = Identity {
        tenant,
        user: subject,
    };
    Ok(Login { who, expires })
}

/// The tenant: what the connection names and what the token claims must agree.
fn token_tenant(unverified: &Unverified<'_>, app: Option<&str>) -> Result<AppId, Refusal> {
    let claimed = unverified.claims.app.as_deref();
    match (app, claimed) {
        (Some(app), Some(claimed)) if app != claimed => Err(token::INVALID),
        (Some(app), _) | (None, Some(app)) => app.parse().map_err(|_| token::INVALID),
        (None, None) => Err(token::INVALID),
    }
}

fn verify(unverified: &Unverified<'_>, app: &App) -> Result<(), Refusal> {
    let secrets = &app.secrets;
    let verified = secrets
        .iter()
        .any(|secret| unverified.signed_with(secret.expose().as_bytes()));
    if verified {
        Ok(())
    } else {
        Err(token::INVALID)
    }
}
