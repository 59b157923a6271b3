//! The data model of SSChat: ids, records, the key layout and the membership roster.
//!
//! This crate owns what the stored bytes mean and in which order they are written,
//! so that every component agrees. It is generic over a small key-value trait
//! ([`kv`]) and uses get, exists, set, delete, set-many, delete-many and increment
//! alone, which every backend does correctly. Absent on purpose: I/O, the clock,
//! randomness, HTTP and any SDK; callers pass random bytes in.
//!
//! - [`id`]: the public names of tenants, rooms and users, and API keys.
//! - [`key`]: where each record lies.
//! - [`record`]: what a value holds, with a version.
//! - [`roster`]: one relation: slots, their reuse, and listing by cursor.
//! - [`membership`]: rooms ↔ users.
//! - [`tenant`]: registration, authentication, creation of rooms and users.
//! - [`policy`]: the rule and the components that a tenant chose.
//! - [`signing`]: the secrets and public keys that user tokens are held against.
//! - [`events`]: what a tenant's backend wants to be told.
//! - [`upload`]: how such a component gets in.
//! - [`removal`]: deletion in bounded steps that survive a crash.
//! - [`access`]: read-only questions of the authority, with batched reads.

pub mod access;
mod doomed;
pub mod events;
pub mod id;
pub mod key;
pub mod kv;
pub mod membership;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod policy;
pub mod record;
pub mod removal;
mod ring;
pub mod roster;
mod settle;
pub mod signing;
pub mod tenant;
pub mod upload;

pub use id::{ApiKey, AppId, RoomId, UserId};
pub use kv::{Error, Read, Write};
pub use roster::Page;

#[cfg(test)]
mod tests;
