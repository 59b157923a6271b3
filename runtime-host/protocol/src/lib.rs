//! SSChat's wire formats: bytes to [`websocket::Event`]s to commands, and answers back to bytes.
//!
//! This crate owns everything that a peer can put on a socket and everything that SSChat puts there: RFC 6455 framing
//! ([`websocket`]), the close codes ([`close`]), the protocol of `/websocket/polling` ([`seed`]) and that of the
//! Centrifuge client SDKs with its session state machine ([`centrifuge`]), which also goes over plain HTTP ([`streaming`]).
//!
//! Absent on purpose: sockets, clocks, tasks and locks (the shards own those), and any opinion on who may do what (that
//! is the node's and the policy's). Everything here is a function of its arguments, so that it can be tested byte by byte.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod centrifuge;
pub mod close;
pub mod nesting;
pub mod seed;
pub mod streaming;
mod text;
pub mod websocket;
