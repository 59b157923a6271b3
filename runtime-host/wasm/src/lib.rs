//! Everything WebAssembly: engines, components, and what the host offers to them.
//!
//! This module owns compilation and its cache on disk ([`engine`]), the instances
//! that answer REST requests ([`rest`]), the threads that ask `authority`
//! ([`authority`]) and tenants' policies ([`policy`]), and one file per imported interface. It knows no route and no
//! record. Apart from `policy`, nothing else in the host names `wasmtime`.
//!
//! What a REST component can import, and what of it does anything:
//!
//! | import | here |
//! |---|---|
//! | `wasi:cli` 0.2, 0.3 | `environment` from the manifest, stdout and stderr into the log, no stdin, no arguments |
//! | `wasi:clocks`, `wasi:random` 0.2, 0.3 | the host's |
//! | `wasi:filesystem` 0.2, 0.3 | no folder is open |
//! | `wasi:sockets` 0.2, 0.3 | connecting where `allowed_outbound_hosts` has an entry for any scheme; never listening |
//! | `wasi:http` 0.2, 0.3 (client) | where `allowed_outbound_hosts` allows it, else `HTTP-request-denied` |
//! | `spin:key-value@3.0.0` | complete; a label that is not granted is `access-denied` |
//! | `wasi:keyvalue@0.2.0-draft2` store, atomics, batch | complete, compare-and-swap included |
//! | `spin:variables@3.0.0` | the component's own variables |
//!
//! It exports `wasi:http/handler@0.3` or `wasi:http/incoming-handler@0.2`. The authority
//! and tenants' policies import what their worlds in `sschat:policy` say, and of WASI 0.2
//! what std asks for, inert ([`inert`]).

pub mod authority;
mod bindings;
pub mod calls;
pub mod engine;
mod guest;
mod handler;
mod inert;
mod keyvalue;
mod logs;
pub mod outbound;
pub mod policy;
pub mod rest;
mod spin_key_value;
mod variables;
mod wasi_keyvalue;

pub use variables::is_valid_name;

/// Log targets that tell, below warnings, what crosses an import: paths and headers, and
/// with them API keys. Generated bindings do it in spans of the target `wit-bindgen`.
pub const CROSSING_TARGETS: [&str; 2] = ["wasmtime_wasi", "wit-bindgen"];
