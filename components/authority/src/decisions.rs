//! The decisions, over any store and clock. Who a login is, is in [`crate::login`].
//!
//! A tenant's rule is read together with what else a decision reads, and only where
//! the answer may depend on it.

use crate::name::Name;
use crate::pass;
use sschat_domain::access::{self, Components};
use sschat_domain::events::{self, Events};
use sschat_domain::membership::Pair;
use sschat_domain::record::{Component, Rule, Secret};
use sschat_domain::settings::History;
use sschat_domain::{ApiKey, AppId, Error, Page, Read, RoomId, key, tenant};

pub use crate::login::{Credential, Login, log_in};
pub use crate::pass::{Joined, Pass};

/// The longest name of a room that the rule `open` accepts, in bytes: as long as Centrifugo's.
pub const ROOM_LIMIT: usize = 255;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub tenant: AppId,
    /// The user.
    pub user: Name,
}

/// What a tenant uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// The component that is asked.
    pub active: Option<Stored>,
    /// The component that runs beside it.
    pub candidate: Option<Stored>,
    /// The key of the configuration.
    pub configuration: String,
}

/// A server that tells public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyServer {
    /// Where it tells them.
    pub url: String,
    /// The key at which what it told is kept.
    pub keep_at: String,
}

/// An uploaded component, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The SHA-256 digest of the bytes, in hex.
    pub digest: String,
    /// The keys of its parts, in their order.
    pub chunks: Vec<String>,
}

pub(crate) const UNKNOWN_USER: Refusal = refusal("unknown_user", "There is no such user.");
pub(crate) const NOT_A_MEMBER: Refusal =
    refusal("not_a_member", "The user is not a member of that room.");
const NOT_VISIBLE: Refusal = refusal("not_visible", "The two users share no room.");
const UNKNOWN_KEY: Refusal = refusal("unknown_key", "There is no such API key.");
const UNKNOWN_APP: Refusal = refusal("unknown_app", "There is no such app.");
const NO_KEY_SERVER: Refusal = refusal("no_key_server", "The app names no key server.");
const NO_EVENTS: Refusal = refusal("no_events", "The app wants to be told nothing.");
const UNKNOWN_ROOM: Refusal = refusal("unknown_room", "There is no such room.");

/// One page of the rooms that `who` is subscribed to.
///
/// # Errors
///
/// Why it is refused.
pub async fn rooms<S: Read>(
    store: &S,
    who: &Identity,
    cursor: Option<&str>,
) -> Result<Page<RoomId>, Refusal> {
    if let Name::Id(user) = who.user {
        let page = access::rooms(store, who.tenant, user, cursor).await?;
        return page.ok_or(UNKNOWN_USER);
    }
    if !access::is_open(store, who.tenant).await? {
        return Err(UNKNOWN_USER);
    }
    Ok(Page {
        ids: Vec::new(),
        next: None,
    })
}

/// Whether `who` may hear `room`: a member, or, with the rule `open`, anybody; or whoever
/// presents a token for it.
///
/// # Errors
///
/// Why it is refused.
pub async fn may_join<S: Read>(
    store: &S,
    clock: &impl Clock,
    who: &Identity,
    room: &str,
    pass: Option<Pass<'_>>,
) -> Result<Joined, Refusal> {
    match pass {
        Some(pass) => pass::admits(store, clock, who, room, pass).await,
        None => may_enter(store, who, room)
            .await
            .map(|()| Joined::default()),
    }
}

/// Whether `who` may publish in `room`: where it may hear.
///
/// # Errors
///
/// Why it is refused.
pub async fn may_publish<S: Read>(store: &S, who: &Identity, room: &str) -> Result<(), Refusal> {
    may_enter(store, who, room).await
}

/// The rooms by which `who` may see the presence of `user`; none are named for
/// `who` itself, and with the rule `open`.
///
/// # Errors
///
/// Why it is refused.
pub async fn may_see<S: Read>(
    store: &S,
    who: &Identity,
    user: &str,
) -> Result<Vec<RoomId>, Refusal> {
    let other = if user.is_empty() {
        Name::ANONYMOUS
    } else {
        Name::parse(user).ok_or(NOT_VISIBLE)?
    };
    if other == who.user {
        let standing = access::standing(store, who.tenant, other.id()).await?;
        let counts = standing.registered || standing.rule == Rule::Open;
        let visible = standing.app.is_some() && counts;
        return visible.then(Vec::new).ok_or(NOT_VISIBLE);
    }
    if let (Some(one), Some(other)) = (who.user.id(), other.id()) {
        let rooms = access::shared_rooms(store, who.tenant, one, other).await?;
        return rooms.ok_or(NOT_VISIBLE);
    }
    let open = access::is_open(store, who.tenant).await?;
    open.then(Vec::new).ok_or(NOT_VISIBLE)
}

/// The tenant whose management key this is.
///
/// # Errors
///
/// Why it is refused.
pub async fn tenant_of_key<S: Read>(store: &S, api_key: &str) -> Result<AppId, Refusal> {
    let api_key: ApiKey = api_key.parse().map_err(|_| UNKNOWN_KEY)?;
    let found = tenant::authenticate(store, &api_key).await?;
    found.map(|found| found.id).ok_or(UNKNOWN_KEY)
}

/// Whether the tenant has this room; with the rule `open`, any name is one.
///
/// # Errors
///
/// Why it is refused.
pub async fn has_room<S: Read>(store: &S, tenant: &str, room: &str) -> Result<(), Refusal> {
    let tenant: AppId = tenant.parse().map_err(|_| UNKNOWN_APP)?;
    let has = match room.parse() {
        Ok(room) => access::has_room(store, tenant, room).await?,
        Err(_) => names_a_room(room) && access::is_open(store, tenant).await?,
    };
    if has { Ok(()) } else { Err(UNKNOWN_ROOM) }
}

/// What holds in a room of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Bytes of a message at most.
    pub message_size: Option<u32>,
    /// How much of it is kept.
    pub history: History,
}

/// What holds in a room of the tenant: of the room's and the key's settings the room's count.
///
/// # Errors
///
/// Where there is no such tenant.
pub async fn terms_of<S: Read>(store: &S, tenant: &str, room: &str) -> Result<Terms, Refusal> {
    let tenant: AppId = tenant.parse().map_err(|_| UNKNOWN_APP)?;
    let found = access::terms(store, tenant, room.parse().ok()).await?;
    let (settings, of_room) = found.ok_or(UNKNOWN_APP)?;
    let (history, room) = (settings.history, of_room.history);
    Ok(Terms {
        message_size: settings.limits.message_size,
        history: History {
            size: room.size.or(history.size),
            age: room.age.or(history.age),
        },
    })
}

/// Where the tenant's key server tells its public keys, and at which key they are kept.
///
/// # Errors
///
/// Where it has none.
pub async fn keys_of<S: Read>(store: &S, tenant: &str) -> Result<KeyServer, Refusal> {
    let tenant: AppId = tenant.parse().map_err(|_| UNKNOWN_APP)?;
    let url = access::key_server(store, tenant).await?;
    Ok(KeyServer {
        url: url.ok_or(NO_KEY_SERVER)?,
        keep_at: key::key_set(tenant),
    })
}

/// What the tenant's backend wants to be told, and the secrets that sign it.
///
/// # Errors
///
/// Where it wants nothing.
pub async fn events_of<S: Read>(store: &S, tenant: &str) -> Result<(Events, Vec<Secret>), Refusal> {
    let tenant: AppId = tenant.parse().map_err(|_| UNKNOWN_APP)?;
    events::in_effect(store, tenant).await?.ok_or(NO_EVENTS)
}

/// What the tenant uploaded.
///
/// # Errors
///
/// Why it is refused.
pub async fn policies_of<S: Read>(store: &S, tenant: &str) -> Result<Policies, Refusal> {
    let tenant: AppId = tenant.parse().map_err(|_| UNKNOWN_APP)?;
    let found = access::components(store, tenant).await?;
    let Components { active, candidate } = found.ok_or(UNKNOWN_APP)?;
    let stored = |component: Component| Stored {
        digest: component.digest.to_string(),
        chunks: (0..component.chunks)
            .map(|chunk| key::component_chunk(tenant, component.upload, chunk))
            .collect(),
    };
    Ok(Policies {
        active: active.map(stored),
        candidate: candidate.map(stored),
        configuration: key::policy_config(tenant),
    })
}

impl Identity {
    /// The identity of this tenant and user, as a login named them.
    ///
    /// # Errors
    ///
    /// Where either is none.
    pub fn parse(tenant: &str, user: &str) -> Result<Self, Refusal> {
        let name = if user.is_empty() {
            Name::ANONYMOUS
        } else {
            Name::parse(user).ok_or(UNKNOWN_USER)?
        };
        Ok(Self {
            tenant: tenant.parse().map_err(|_| UNKNOWN_USER)?,
            user: name,
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

/// A room that does not exist, or is another tenant's, is one that `who` is not a
/// member of. With the rule `open` a room need not exist.
async fn may_enter<S: Read>(store: &S, who: &Identity, room: &str) -> Result<(), Refusal> {
    let allowed = match (room.parse(), who.user.id()) {
        (Ok(room), Some(user)) => {
            let tenant = who.tenant;
            access::may_enter(store, Pair { tenant, room, user }).await?
        }
        _ => names_a_room(room) && access::is_open(store, who.tenant).await?,
    };
    if allowed { Ok(()) } else { Err(NOT_A_MEMBER) }
}

/// Whether a room may be called so: printable ASCII without spaces.
pub(crate) fn names_a_room(text: &str) -> bool {
    (1..=ROOM_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
