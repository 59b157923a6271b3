//! SSChat's host. See ARCHITECTURE.md for the picture.

pub mod broker;
pub mod hub;
pub mod node;
pub mod policy;
pub mod socket;
pub mod store;
pub mod wasm;
