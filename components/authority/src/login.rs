//! Who a login is.

use crate::claims::{Claims, Common, INVALID};
use crate::decisions::{Clock, Identity, Refusal, UNKNOWN_USER, refusal};
use crate::name::Name;
use crate::proof::verify;
use sschat_domain::access;
use sschat_domain::record::{App, Rule};
use sschat_domain::settings::{Limits, Settings};
use sschat_domain::{AppId, Read};
use sschat_jws::Unverified;

/// What a connection presents to log in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credential<'a> {
    /// The app that the connection names.
    pub app: Option<&'a str>,
    /// The app that is meant where neither the connection nor the token names one.
    pub fallback: Option<&'a str>,
    /// A bare user id.
    pub user: Option<&'a str>,
    /// A token; where it is given, `user` may only repeat its `sub`.
    pub token: Option<&'a str>,
}

/// An accepted login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub who: Identity,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// What is shown of it to others: JSON.
    pub info: Option<String>,
    /// The rooms that the token names. Each is asked about like one that a session
    /// names itself.
    pub channels: Vec<String>,
    /// What the tenant holds its sessions to.
    pub limits: Limits,
}

const TOKEN_REQUIRED: Refusal = refusal(
    "token_required",
    "This app takes signed tokens only, not bare user ids.",
);
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
    let Credential {
        app,
        fallback,
        user,
        token,
    } = presented;
    if let Some(token) = token {
        return by_token(store, clock, (app, fallback), token, user).await;
    }
    match (app.or(fallback), user) {
        (Some(app), Some(user)) => by_name(store, app, user).await,
        (None, Some(user)) => by_pointer(store, user).await,
        (Some(app), None) => anonymously(store, app).await,
        (None, None) => Err(NO_CREDENTIAL),
    }
}

/// The original protocol's way: whoever knows the id of a user is that user, unless
/// the app wants tokens. Where no app is named only a registered user leads to one,
/// whatever that app's rule is.
async fn by_pointer<S: Read>(store: &S, user: &str) -> Result<Login, Refusal> {
    let user = user.parse().map_err(|_| UNKNOWN_USER)?;
    let tenant = access::tenant_of_user(store, user).await?;
    let tenant = tenant.ok_or(UNKNOWN_USER)?;
    let (standing, settings) = access::reception(store, tenant, Some(user)).await?;
    let (Some(app), true) = (standing.app, standing.registered) else {
        return Err(UNKNOWN_USER);
    };
    without_token((&app, settings), tenant, Name::Id(user))
}

/// As [`by_pointer`]; with the rule `open` any name will do.
async fn by_name<S: Read>(store: &S, app: &str, user: &str) -> Result<Login, Refusal> {
    let user = Name::parse(user).ok_or(UNKNOWN_USER)?;
    let tenant = app.parse().map_err(|_| UNKNOWN_USER)?;
    let (standing, settings) = access::reception(store, tenant, user.id()).await?;
    match standing.app {
        Some(app) if standing.registered || standing.rule == Rule::Open => {
            without_token((&app, settings), tenant, user)
        }
        _ => Err(UNKNOWN_USER),
    }
}

/// Without any name, which the rule `open` allows.
async fn anonymously<S: Read>(store: &S, app: &str) -> Result<Login, Refusal> {
    let tenant = app.parse().map_err(|_| NO_CREDENTIAL)?;
    let (standing, settings) = access::reception(store, tenant, None).await?;
    match standing.app {
        Some(app) if standing.rule == Rule::Open => {
            without_token((&app, settings), tenant, Name::ANONYMOUS)
        }
        _ => Err(NO_CREDENTIAL),
    }
}

fn without_token(
    (app, settings): (&App, Settings),
    tenant: AppId,
    user: Name,
) -> Result<Login, Refusal> {
    if settings.require_token.unwrap_or(app.require_token) {
        return Err(TOKEN_REQUIRED);
    }
    let who = Identity { tenant, user };
    Ok(Login {
        who,
        expires: None,
        info: None,
        channels: Vec::new(),
        limits: settings.limits,
    })
}

async fn by_token<S: Read>(
    store: &S,
    clock: &impl Clock,
    (app, fallback): (Option<&str>, Option<&str>),
    token: &str,
    user: Option<&str>,
) -> Result<Login, Refusal> {
    let unverified = Unverified::parse(token)?;
    let (claims, common): (Claims, Common) = (unverified.claims()?, unverified.claims()?);
    // What the token says is used to find the secret, and believed only once
    // that secret has verified it.
    let tenant = token_tenant(&claims, app, fallback)?;
    let subject = common.subject().ok_or(INVALID)?;
    let bearing = access::bearing(store, tenant, common.about(&subject)).await?;
    let bearing = bearing.ok_or(INVALID)?;
    verify(store, tenant, &unverified, &bearing).await?;
    let open = bearing.rule == Rule::Open;
    if !open && subject.id().is_none() {
        return Err(INVALID);
    }
    let expires = common.check(&bearing, clock)?;
    let repeated = user.is_none_or(|user| Name::parse(user).as_ref() == Some(&subject));
    if !(bearing.registered || open) || !repeated {
        return Err(UNKNOWN_USER);
    }
    let who = Identity {
        tenant,
        user: subject,
    };
    let info = common.info.as_ref().map(|info| info.get().to_owned());
    Ok(Login {
        who,
        expires,
        info,
        channels: claims.channels()?,
        limits: bearing.settings.limits,
    })
}

/// The tenant: what the connection names and what the token claims must agree.
fn token_tenant(
    claims: &Claims,
    app: Option<&str>,
    fallback: Option<&str>,
) -> Result<AppId, Refusal> {
    let claimed = claims.app.as_deref();
    match (app, claimed) {
        (Some(app), Some(claimed)) if app != claimed => Err(INVALID),
        _ => {
            let tenant = app.or(claimed).or(fallback).ok_or(INVALID)?;
            tenant.parse().map_err(|_| INVALID)
        }
    }
}
