//! Where each record lies.
//!
//! All records of a tenant share the prefix `{tenant}/`. Pointers and the queue of
//! unfinished removals belong to no tenant and lie under `index/`. Ids can't hold
//! a `/`, so no two kinds of record can meet.

use crate::id::{AppId, KeyDigest, RoomId, UserId};
use std::fmt::Display;

/// The pointer from an API key to its tenant.
#[must_use]
pub fn key_pointer(digest: &KeyDigest) -> String {
    format!("index/key/{digest}")
}

/// The pointer from a user to its tenant.
#[must_use]
pub fn user_pointer(user: UserId) -> String {
    format!("index/user/{user}")
}

/// The tenant's own record.
#[must_use]
pub fn app(tenant: AppId) -> String {
    format!("{tenant}/app")
}

/// Where the removal of the tenant stands in the queue, from before its record is
/// deleted until nothing is left of it.
#[must_use]
pub fn doom(tenant: AppId) -> String {
    format!("{tenant}/doom")
}

/// As [`doom`], of a room or a user.
pub(crate) fn doom_of(tenant: AppId, id: impl Display) -> String {
    format!("{tenant}/doom/{id}")
}

/// A room's record.
#[must_use]
pub fn room(tenant: AppId, room: RoomId) -> String {
    format!("{tenant}/room/{room}")
}

/// A user's record.
#[must_use]
pub fn user(tenant: AppId, user: UserId) -> String {
    format!("{tenant}/user/{user}")
}

/// The entry of a pair: the truth about a membership.
#[must_use]
pub fn member(tenant: AppId, room: RoomId, user: UserId) -> String {
    format!("{tenant}/member/{room}/{user}")
}

/// The built-in rule that the tenant chose.
#[must_use]
pub fn policy(tenant: AppId) -> String {
    format!("{tenant}/policy")
}

/// The component that is asked.
#[must_use]
pub fn active_policy(tenant: AppId) -> String {
    format!("{tenant}/policy/active")
}

/// The component that runs beside it.
#[must_use]
pub fn candidate_policy(tenant: AppId) -> String {
    format!("{tenant}/policy/candidate")
}

/// The configuration of the tenant's policy: JSON text, and no record.
#[must_use]
pub fn policy_config(tenant: AppId) -> String {
    format!("{tenant}/policy/config")
}

/// A part of an uploaded component.
#[must_use]
pub fn component_chunk(tenant: AppId, upload: u64, chunk: u64) -> String {
    format!("{tenant}/policy/component/{upload}/{chunk}")
}

/// How many uploads a tenant ever began: the number of the last one.
pub(crate) fn uploads(tenant: AppId) -> String {
    format!("{tenant}/policy/uploads")
}

/// The number up to which no upload is left to clean up.
pub(crate) fn uploads_settled(tenant: AppId) -> String {
    format!("{tenant}/policy/uploads/settled")
}

/// What became of an upload; there from before its first chunk until its last is gone.
pub(crate) fn upload(tenant: AppId, number: u64) -> String {
    format!("{tenant}/policy/upload/{number}")
}

/// Who decides about an upload: the one who makes it, or one who discards it.
pub(crate) fn upload_claim(tenant: AppId, number: u64) -> String {
    format!("{tenant}/policy/upload/{number}/claim")
}

/// The queue of unfinished removals, of all tenants.
pub(crate) const DOOMED: &str = "index/doomed";

/// Base of the roster of a tenant's rooms.
pub(crate) fn tenant_rooms(tenant: AppId) -> String {
    format!("{tenant}/rooms")
}

/// Base of the roster of a tenant's users.
pub(crate) fn tenant_users(tenant: AppId) -> String {
    format!("{tenant}/users")
}

/// Base of the roster of a room's members.
pub(crate) fn room_members(tenant: AppId, room: RoomId) -> String {
    format!("{tenant}/members/{room}")
}

/// Base of the roster of a user's rooms.
pub(crate) fn user_rooms(tenant: AppId, user: UserId) -> String {
    format!("{tenant}/joined/{user}")
}
