//! The system's own rules: who a login is, which rooms it hears, where it may
//! speak and whose presence it may see.
//!
//! Every decision is a function of its arguments and of what it reads through two
//! imports, stored records and the clock, both of which the host notes; so a verdict
//! holds as long as nothing it read has changed. Nothing is kept from call to
//! call. The records are read by `sschat-domain`, the same code that writes them.
//! Absent on purpose: any write, any other import, any log line.

pub mod claims;
pub mod decisions;
#[cfg(target_family = "wasm")]
mod guest;
pub mod login;
pub mod name;
pub mod pass;
mod proof;

#[cfg(test)]
mod tests;
