//! The host's own `policy/fence.rs`, with a model checker's primitives in the place of the
//! standard library's: each schedule of a few threads is run step by step, thousands of
//! them, at random and by priorities that are changed at a few places (PCT).
//!
//! The crate does not depend on the host: it compiles that one file. Memory is ordered
//! sequentially here; that every load and store is ordered as it has to be is argued in
//! the file itself.

#[cfg(test)]
#[path = "../../../runtime-host/src/policy/fence.rs"]
#[allow(unreachable_pub, reason = "within the host it can be reached")]
mod fence;

#[cfg(test)]
mod sync;

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests;
