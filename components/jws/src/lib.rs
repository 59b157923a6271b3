//! JSON Web Signatures in their compact form (RFC 7515): what a token says, and whether a
//! key signed it.
//!
//! A key is of one kind, and verifies by the algorithms of that kind alone, whatever a
//! token's header says; so no public key is ever taken for a secret. Signing is absent on
//! purpose, and so are the clock and what claims mean: see the authority.

mod keys;
mod token;

pub use keys::{BadKey, Key, parse_pem};
pub use token::{Malformed, TOKEN_LIMIT, Unverified};
