//! SSChat's host: the library behind the binary `sschat`.

pub mod manifest;
pub mod store;
pub mod wasm;
