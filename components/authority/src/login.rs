//! Who a login is.

use crate::decisions::{Clock, Identity, Refusal, UNKNOWN_USER, refusal};
use crate::name::Name;
use crate::token::{self, Unverified};
use sschat_domain::access::{self, Standing};
use sschat_domain::record::{App, Rule};
use sschat_domain::{AppId, Read};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub who: Identity,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: Option<u64>,
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
    let Credential { app, user, token } = presented;
    match (token, app, user) {
        (Some(token), app, user) => by_token(store, clock, app, token, user).await,
        (None, Some(app), Some(user)) => by_name(store, app, user).await,
        (None, None, Some(user)) => by_pointer(store, user).await,
        (None, Some(app), None) => anonymously(store, app).await,
        (None, None, None) => Err(NO_CREDENTIAL),
    }
}

/// The original protocol's way: whoever knows the id of a user is that user, unless
/// the app wants tokens. Where no app is named only a registered user leads to one,
/// whatever that app's rule is.
async fn by_pointer<S: Read>(store: &S, user: &str) -> Result<Login, Refusal> {
    let user = user.parse().map_err(|_| UNKNOWN_USER)?;
    let tenant = access::tenant_of_user(store, user).await?;
    let tenant = tenant.ok_or(UNKNOWN_USER)?;
    let (Some(app), true) = access::app_and_user(store, tenant, user).await? else {
        return Err(UNKNOWN_USER);
    };
    without_token(&app, tenant, Name::Id(user))
}

/// As [`by_pointer`]; with the rule `open` any name will do.
async fn by_name<S: Read>(store: &S, app: &str, user: &str) -> Result<Login, Refusal> {
    let user = Name::parse(user).ok_or(UNKNOWN_USER)?;
    let tenant = app.parse().map_err(|_| UNKNOWN_USER)?;
    let standing = access::standing(store, tenant, user.id()).await?;
    match standing.app {
        Some(app) if standing.registered || standing.rule == Rule::Open => {
            without_token(&app, tenant, user)
        }
        _ => Err(UNKNOWN_USER),
    }
}

/// Without any name, which the rule `open` allows.
async fn anonymously<S: Read>(store: &S, app: &str) -> Result<Login, Refusal> {
    let tenant = app.parse().map_err(|_| NO_CREDENTIAL)?;
    let standing = access::standing(store, tenant, None).await?;
    match standing.app {
        Some(app) if standing.rule == Rule::Open => without_token(&app, tenant, Name::ANONYMOUS),
        _ => Err(NO_CREDENTIAL),
    }
}

fn without_token(app: &App, tenant: AppId, user: Name) -> Result<Login, Refusal> {
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
    let subject = unverified.claims.subject().ok_or(token::INVALID)?;
    let standing = access::standing(store, tenant, subject.id()).await?;
    let Standing {
        app: Some(app),
        registered,
        rule,
    } = standing
    else {
        return Err(token::INVALID);
    };
    verify(&unverified, &app)?;
    if rule != Rule::Open && subject.id().is_none() {
        return Err(token::INVALID);
    }
    let expires = unverified.claims.check_times(clock)?;
    let repeated = user.is_none_or(|user| Name::parse(user).as_ref() == Some(&subject));
    if !(registered || rule == Rule::Open) || !repeated {
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
