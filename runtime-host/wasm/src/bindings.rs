//! Rust types and traits generated from the WIT packages in `/wit`.
//!
//! Three worlds, two sets of options:
//!
//! - [`rest`] holds what REST components import beside WASI. `spin:key-value` and
//!   `spin:variables` are asynchronous in WIT, so their functions get an `Accessor`
//!   and other calls of the instance go on meanwhile. `wasi:keyvalue` is synchronous
//!   in WIT: `async` lets the host wait for the store while the guest is suspended.
//!   Nothing is `trappable`: whatever goes wrong in a store is the component's to
//!   answer, never a reason to end it.
//! - [`authority`] and [`policy`] are called synchronously on threads of its own, where a call costs
//!   a microsecond because there is no fiber to switch to. Their imports are
//!   `trappable`: a limit ends the call. [`policy`] has the larger of the two worlds of policies; which of its
//!   exports a component has is found out when it is linked.
//!
//! The WASI interfaces are absent: `wasmtime-wasi` and `wasmtime-wasi-http` bring them.

#[allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from the WIT files, which carry the documentation"
)]
pub(super) mod rest {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "sschat:policy/rest-imports",
        imports: {
            "spin:key-value/key-value.[method]store.get-keys": trappable,
            "wasi:keyvalue": async,
        },
        with: {
            "spin:key-value/key-value.store": crate::keyvalue::OpenStore,
            "wasi:keyvalue/store.bucket": crate::keyvalue::OpenStore,
            "wasi:keyvalue/atomics.cas": crate::wasi_keyvalue::Cas,
        },
    });
}

#[allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from the WIT files, which carry the documentation"
)]
pub(super) mod authority {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "sschat:policy/authority",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

#[allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from the WIT files, which carry the documentation"
)]
pub(super) mod policy {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "sschat:policy/policy-with-calls",
        imports: { default: trappable },
    });
}
