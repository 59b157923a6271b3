//! The end-to-end suites: real sockets against the real binary.
//!
//! One binary, for linking is what costs. Every test starts a host of its own, so
//! that all may run at once and none sees another's load or faults.

// A failed expectation is how a test answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asyncapi;
mod autobahn;
mod bad_input;
mod centrifuge;
mod codes;
mod command_line;
mod deploy;
mod events;
mod history;
mod hosts;
mod layering;
mod lifecycle;
mod live_changes;
mod metrics;
mod moving;
mod openapi;
mod packages;
mod page;
mod policies;
mod rest;
mod roles;
mod seed_protocol;
mod shared_state;
mod tls;
mod websocket;
