//! SSChat's host: the library behind the binary `sschat`.

pub mod store;
pub mod wasm;
