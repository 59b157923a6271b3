//! Where each record lies.
//!
//! All records of a tenant share the prefix `{tenant}/`. Pointers and the queue of
//! unfinished removals belong to no tenant and lie under `index/`. Ids can't hold
//! a `/`, so no two kinds of record can meet.

use crate::id::{AppId, KeyDigest, RoomId, UserId};

/// Room for every key of rooms, users and members, so that none is moved while it grows.
const USUAL: usize = 128;

/// What a key is made of.
pub(crate) trait Part {
    /// Appends itself, in ASCII.
    fn write(&self, key: &mut Vec<u8>);
}

impl Part for &str {
    fn write(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self.as_bytes());
    }
}

impl Part for u64 {
    fn write(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self.to_string().as_bytes());
    }
}

/// Joins parts. Keys are most of what a decision computes, and in wasm the formatting
/// machinery takes several times as long.
macro_rules! join {
    ($($part:expr),+) => {{
        let mut key = Vec::with_capacity(USUAL);
        $(Part::write(&$part, &mut key);)+
        // Every part is ASCII.
        String::from_utf8(key).unwrap_or_default()
    }};
}

/// The pointer from an API key to its tenant.
#[must_use]
pub fn key_pointer(digest: &KeyDigest) -> String {
    join!("index/key/", *digest)
}

/// The pointer from a user to its tenant.
#[must_use]
pub fn user_pointer(user: UserId) -> String {
    join!("index/user/", user)
}

/// The tenant's own record.
#[must_use]
pub fn app(tenant: AppId) -> String {
    join!(tenant, "/app")
}

/// Where the removal of the tenant stands in the queue, from before its record is
/// deleted until nothing is left of it.
#[must_use]
pub fn doom(tenant: AppId) -> String {
    join!(tenant, "/doom")
}

/// As [`doom`], of a room or a user.
pub(crate) fn doom_of(tenant: AppId, id: impl Part) -> String {
    join!(tenant, "/doom/", id)
}

/// A room's record.
#[must_use]
pub fn room(tenant: AppId, room: RoomId) -> String {
    join!(tenant, "/room/", room)
}

/// A user's record.
#[must_use]
pub fn user(tenant: AppId, user: UserId) -> String {
    join!(tenant, "/user/", user)
}

/// The entry of a pair: the truth about a membership.
#[must_use]
pub fn member(tenant: AppId, room: RoomId, user: UserId) -> String {
    join!(tenant, "/member/", room, "/", user)
}

/// The built-in rule that the tenant chose.
#[must_use]
pub fn policy(tenant: AppId) -> String {
    join!(tenant, "/policy")
}

/// The component that is asked.
#[must_use]
pub fn active_policy(tenant: AppId) -> String {
    join!(tenant, "/policy/active")
}

/// The component that runs beside it.
#[must_use]
pub fn candidate_policy(tenant: AppId) -> String {
    join!(tenant, "/policy/candidate")
}

/// The configuration of the tenant's policy: JSON text, and no record.
#[must_use]
pub fn policy_config(tenant: AppId) -> String {
    join!(tenant, "/policy/config")
}

/// A place for a secret that signs tokens; they are used in turn.
pub(crate) fn secret(tenant: AppId, place: u64) -> String {
    join!(tenant, "/secret/", place)
}

/// How often the tenant's secret was rotated.
pub(crate) fn rotations(tenant: AppId) -> String {
    join!(tenant, "/secrets")
}

/// What the tenant wants of tokens.
#[must_use]
pub fn tokens(tenant: AppId) -> String {
    join!(tenant, "/tokens")
}

/// What the tenant's backend wants to be told.
#[must_use]
pub fn events(tenant: AppId) -> String {
    join!(tenant, "/events")
}

/// What signs the events that the tenant's backend is told.
#[must_use]
pub fn event_secrets(tenant: AppId) -> String {
    join!(tenant, "/events/secrets")
}

/// What the tenant's key server told: its address in a line, then JSON text. No record.
#[must_use]
pub fn key_set(tenant: AppId) -> String {
    join!(tenant, "/tokens/keys")
}

/// A part of an uploaded component.
#[must_use]
pub fn component_chunk(tenant: AppId, upload: u64, chunk: u64) -> String {
    join!(tenant, "/policy/component/", upload, "/", chunk)
}

/// How many uploads a tenant ever began: the number of the last one.
pub(crate) fn uploads(tenant: AppId) -> String {
    join!(tenant, "/policy/uploads")
}

/// The number up to which no upload is left to clean up.
pub(crate) fn uploads_settled(tenant: AppId) -> String {
    join!(tenant, "/policy/uploads/settled")
}

/// What became of an upload; there from before its first chunk until its last is gone.
pub(crate) fn upload(tenant: AppId, number: u64) -> String {
    join!(tenant, "/policy/upload/", number)
}

/// Who decides about an upload: the one who makes it, or one who discards it.
pub(crate) fn upload_claim(tenant: AppId, number: u64) -> String {
    join!(tenant, "/policy/upload/", number, "/claim")
}

/// The queue of unfinished removals, of all tenants.
pub(crate) const DOOMED: &str = "index/doomed";

/// Base of the roster of a tenant's rooms.
pub(crate) fn tenant_rooms(tenant: AppId) -> String {
    join!(tenant, "/rooms")
}

/// Base of the roster of a tenant's users.
pub(crate) fn tenant_users(tenant: AppId) -> String {
    join!(tenant, "/users")
}

/// Base of the roster of a room's members.
pub(crate) fn room_members(tenant: AppId, room: RoomId) -> String {
    join!(tenant, "/members/", room)
}

/// Base of the roster of a user's rooms.
pub(crate) fn user_rooms(tenant: AppId, user: UserId) -> String {
    join!(tenant, "/joined/", user)
}
