//! SSChat's host: the library behind the binary `sschat`.

pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod manifest;
pub mod store;
pub mod wasm;
