//! SSChat's host: what `sschat up` runs. ARCHITECTURE.md has the picture.

pub mod app;
mod backend;
pub mod bench;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
mod desk;
mod digest;
pub mod events;
mod feed;
mod fetch;
pub mod http;
pub mod hub;
pub mod manifest;
pub mod metrics;
mod mount;
pub mod node;
pub mod peers;
pub mod policy;
pub mod socket;
mod stdout;

pub use sschat_store as store;
pub use sschat_wasm as wasm;
