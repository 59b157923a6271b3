//! Tokens for one room: the backend's signed word that a user may hear it, though no
//! member.

use crate::claims::{Common, INVALID, PassClaims};
use crate::decisions::{Clock, Identity, NOT_A_MEMBER, Refusal, UNKNOWN_USER, names_a_room};
use crate::proof::verify;
use sschat_domain::record::Rule;
use sschat_domain::{Read, access};
use sschat_jws::Unverified;

/// A token for one room, and by which connection it is presented.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The token.
    pub token: &'a str,
    /// The id of the connection.
    pub client: &'a str,
}

/// What was joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// When it ends, in seconds since the Unix epoch.
    pub expires: Option<u64>,
}

/// Whether the token lets its user hear the room. It must be about this user, this room
/// and this connection, and the room must exist.
pub(crate) async fn admits<S: Read>(
    store: &S,
    clock: &impl Clock,
    who: &Identity,
    room: &str,
    pass: Pass<'_>,
) -> Result<Joined, Refusal> {
    let token = Unverified::parse(pass.token)?;
    // What it says is believed only once it is verified.
    let (claims, common): (PassClaims, Common) = (token.claims()?, token.claims()?);
    let bearing = access::bearing(store, who.tenant, common.about(&who.user)).await?;
    let bearing = bearing.ok_or(UNKNOWN_USER)?;
    verify(store, who.tenant, &token, &bearing).await?;
    let client = claims.client.as_deref().filter(|client| !client.is_empty());
    let meant = client.is_none_or(|client| client == pass.client);
    if claims.channel != room || !common.is_about(&who.user) || !meant {
        return Err(INVALID);
    }
    let expires = common.check(&bearing, clock)?;
    let open = bearing.rule == Rule::Open;
    if !bearing.registered && !open {
        return Err(UNKNOWN_USER);
    }
    let exists = match room.parse() {
        Ok(room) => open || access::has_room(store, who.tenant, room).await?,
        Err(_) => open && names_a_room(room),
    };
    if !exists {
        return Err(NOT_A_MEMBER);
    }
    Ok(Joined { expires })
}
