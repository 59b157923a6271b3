//! What logins, tokens and rooms are held against: the tenant's rule, secrets, revocations
//! and settings, each in one batch.

use super::{Values, rule};
use crate::id::{AppId, RoomId, TokenDigest, UserId};
use crate::key;
use crate::kv::{Error, Read};
use crate::record::{App, Rule, Secret, decode_at};
use crate::revocation::{Revoked, Subject};
use crate::settings::{RoomSettings, Settings};
use crate::signing::{self, Tokens};

/// What a login is judged by.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The tenant's record, if it exists.
    pub app: Option<App>,
    /// Whether the tenant has the user; not so where none was asked for.
    pub registered: bool,
    /// The tenant's rule.
    pub rule: Rule,
}

/// What a token is judged by.
#[derive(Debug, Clone)]
pub struct Bearing {
    /// The tenant's record.
    pub app: App,
    /// Whether the tenant has the user; not so where none was asked for.
    pub registered: bool,
    /// The tenant's rule.
    pub rule: Rule,
    /// The secrets that count.
    pub secrets: Vec<Secret>,
    /// What else the tenant wants of tokens.
    pub tokens: Tokens,
    /// What the tenant chose for its sessions.
    pub settings: Settings,
    /// Whether the token with this `jti` was revoked.
    pub revoked: bool,
    /// Tokens that were made before this second of the Unix epoch were revoked.
    pub issued_before: Option<u64>,
}

/// Whom a token is about, and which one it is.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The user, where it has the form of a registered one.
    pub user: Option<UserId>,
    /// What the user is called: letters, digits and `_.:@-`, or nothing.
    pub name: &'a str,
    /// The token's `jti`.
    pub jti: Option<&'a str>,
}

/// The tenant's record and rule, and whether it has this user; `user` is `None` for a name
/// that no registered user can have.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn standing<S: Read>(
    store: &S,
    tenant: AppId,
    user: Option<UserId>,
) -> Result<Standing, Error> {
    let mut keys = vec![key::app(tenant), key::policy(tenant)];
    keys.extend(user.map(|user| key::user(tenant, user)));
    let values = Values::read(store, &keys).await?;
    Ok(Standing {
        app: decode_at(&keys[0], values.get(0))?,
        registered: values.get(2).is_some(),
        rule: rule(&keys[1], values.get(1))?,
    })
}

/// As [`standing`], with what the tenant chose for its sessions.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn reception<S: Read>(
    store: &S,
    tenant: AppId,
    user: Option<UserId>,
) -> Result<(Standing, Settings), Error> {
    let mut keys = vec![key::app(tenant), key::policy(tenant), key::settings(tenant)];
    keys.extend(user.map(|user| key::user(tenant, user)));
    let values = Values::read(store, &keys).await?;
    let settings: Option<Settings> = decode_at(&keys[2], values.get(2))?;
    let standing = Standing {
        app: decode_at(&keys[0], values.get(0))?,
        registered: values.get(3).is_some(),
        rule: rule(&keys[1], values.get(1))?,
    };
    Ok((standing, settings.unwrap_or_default()))
}

/// What holds in a room of the tenant, whether or not there is such a room: the tenant's
/// settings and, where it has a record, the room's. `None` where the tenant does not exist.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn terms<S: Read>(
    store: &S,
    tenant: AppId,
    room: Option<RoomId>,
) -> Result<Option<(Settings, RoomSettings)>, Error> {
    let mut keys = vec![key::app(tenant), key::settings(tenant)];
    keys.extend(room.map(|room| key::room_settings(tenant, room)));
    let values = Values::read(store, &keys).await?;
    if values.get(0).is_none() {
        return Ok(None);
    }
    let settings: Option<Settings> = decode_at(&keys[1], values.get(1))?;
    let of_room: Option<RoomSettings> = match keys.get(2) {
        Some(key) => decode_at(key, values.get(2))?,
        None => None,
    };
    Ok(Some((
        settings.unwrap_or_default(),
        of_room.unwrap_or_default(),
    )))
}

/// What a token is judged by, or `None` where the tenant does not exist.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn bearing<S: Read>(
    store: &S,
    tenant: AppId,
    about: About<'_>,
) -> Result<Option<Bearing>, Error> {
    let mut keys = vec![
        key::app(tenant),
        key::policy(tenant),
        key::tokens(tenant),
        key::settings(tenant),
        Subject::All.key(tenant),
        about.user.map_or_else(
            || Subject::Name(about.name).key(tenant),
            |user| Subject::User(user).key(tenant),
        ),
    ];
    keys.extend(signing::secret_keys(tenant));
    let places = 6..keys.len();
    keys.extend(about.user.map(|user| key::user(tenant, user)));
    let jti = about.jti.map(TokenDigest::of);
    let token = keys.len();
    keys.extend(jti.map(|jti| Subject::Token(jti).key(tenant)));
    let values = Values::read(store, &keys).await?;
    let Some(app) = decode_at::<App>(&keys[0], values.get(0))? else {
        return Ok(None);
    };
    let tokens: Option<Tokens> = decode_at(&keys[2], values.get(2))?;
    let settings: Option<Settings> = decode_at(&keys[3], values.get(3))?;
    let mut issued_before = None;
    for (at, key) in keys.iter().enumerate().take(6).skip(4) {
        let revoked: Option<Revoked> = decode_at(key, values.get(at))?;
        issued_before = issued_before.max(revoked.and_then(|revoked| revoked.issued_before));
    }
    Ok(Some(Bearing {
        registered: about.user.is_some() && values.get(places.end).is_some(),
        rule: rule(&keys[1], values.get(1))?,
        secrets: match values.0.get(places.clone()) {
            Some(values) => signing::valid(&app, &keys[places], values)?,
            None => Vec::new(),
        },
        tokens: tokens.unwrap_or_default(),
        settings: settings.unwrap_or_default(),
        revoked: values.get(token).is_some(),
        issued_before,
        app,
    }))
}
