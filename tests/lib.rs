//! What the black-box tests stand on: the real binary as a child process, a
//! plain HTTP client, a terminal, a WebSocket client that shares no code with the host, raw
//! frames for those it would refuse to send, tokens, a browser, and a Redis of one's own.
//!
//! Absent on purpose: anything of the host's own code. These tests know the
//! contract (README, `DESIGN`'s tables, RFC 6455) and the binary, nothing else.

// A failed expectation is how a test answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod app;
pub mod body;
pub mod browser;
pub mod certificates;
pub mod chat;
pub mod cluster;
pub mod command;
pub mod deadline;
pub mod host;
pub mod keys;
pub mod policy;
pub mod raw;
pub mod redis;
pub mod relay;
pub mod rest;
pub mod schema;
pub mod sentinel;
pub mod token;
pub mod webhook;

pub use app::App;
pub use body::Body;
pub use certificates::Certificates;
pub use chat::Chat;
pub use cluster::Cluster;
pub use command::Terminal;
pub use deadline::within;
pub use host::{Host, Options};
pub use raw::{Frame, RawSocket};
pub use redis::Redis;
pub use relay::{Relay, Way};
pub use rest::{Answer, Rest};
pub use sentinel::Sentinel;
pub use webhook::{EventStream, Receiver};
