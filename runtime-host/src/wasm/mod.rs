//! Everything WebAssembly: engines, components, and what the host offers to them.
//!
//! This module owns compilation and its cache on disk ([`engine`]), the instances
//! that answer REST requests ([`rest`]), the threads that ask `authority`
//! ([`authority`]), and one file per imported interface. It knows no route and no
//! record. Apart from `policy`, nothing else in the host names `wasmtime`.

pub mod authority;
mod bindings;
pub mod engine;
mod guest;
mod handler;
mod keyvalue;
mod logs;
pub mod outbound;
pub mod rest;
mod spin_key_value;
mod variables;
mod wasi_keyvalue;
