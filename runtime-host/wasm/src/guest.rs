//! What one instance of a REST component has: its resources, its limits and its grants.

use super::bindings::rest;
use super::engine::{
    CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT, REST_MEMORY_LIMIT, TABLE_ELEMENTS,
    TABLES_PER_COMPONENT,
};
use super::handler::Pace;
use super::keyvalue::{KeyValue, KeyValueView, Stores};
use super::logs::{Log, Source};
use super::outbound::{AllowedHosts, Outbound};
use super::variables::{Variables, VariablesView};
use super::wasi_keyvalue;
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Handles that one instance may hold at once: streams, bodies, opened stores.
const HANDLE_LIMIT: usize = 4_096;

/// Bytes of random numbers that one call may ask for.
const RANDOM_LIMIT: u64 = 1 << 20;

/// What the manifest grants a component. Everything else is refused.
#[derive(Clone)]
pub struct Grants {
    /// The component's name in the manifest.
    pub component: Arc<str>,
    /// Its stores by label.
    pub stores: Stores,
    /// Its variables, resolved.
    pub variables: HashMap<String, String>,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
    /// Where it may connect to.
    pub outbound: AllowedHosts,
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Variables and environment may hold secrets.
        f.debug_struct("Grants")
            .field("component", &self.component)
            .field("stores", &self.stores.keys())
            .finish_non_exhaustive()
    }
}

/// The data of one instance's store.
pub(super) struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    grants: Arc<Grants>,
    pub(super) limits: Limits,
    pub(super) pace: Pace,
}

impl Guest {
    pub(super) fn new(grants: &Arc<Grants>, log: &Arc<Log>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLE_LIMIT);
        let mut wasi = WasiCtx::builder();
        wasi.envs(&grants.environment)
            .max_random_size(RANDOM_LIMIT)
            .stdout(log.stream(Source::Stdout))
            .stderr(log.stream(Source::Stderr));
        if grants.outbound.allow_some_socket() {
            let allowed = grants.outbound.clone();
            wasi.allow_ip_name_lookup(true)
                .socket_addr_check(move |address, purpose| {
                    let allow = match purpose {
                        // Connecting binds to a port that the system chooses.
                        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => address.port() == 0,
                        SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
                        _ => allowed.allow_socket(&address),
                    };
                    Box::pin(async move { allow })
                });
        }
        Self {
            table,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound {
                component: grants.component.clone(),
                allowed: grants.outbound.clone(),
            },
            grants: grants.clone(),
            limits: Limits::new(REST_MEMORY_LIMIT),
            pace: Pace::default(),
        }
    }

    fn key_value(&mut self) -> KeyValueView<'_> {
        KeyValueView {
            table: &mut self.table,
            stores: &self.grants.stores,
        }
    }

    fn variables(&mut self) -> VariablesView<'_> {
        VariablesView(&self.grants.variables)
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Offers everything that a REST component with these grants may import.
pub(super) fn link(linker: &mut Linker<Guest>, grants: &Grants) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    rest::spin::key_value::key_value::add_to_linker::<_, KeyValue>(linker, Guest::key_value)?;
    rest::spin::variables::variables::add_to_linker::<_, Variables>(linker, Guest::variables)?;
    rest::wasi::keyvalue::store::add_to_linker::<_, KeyValue>(linker, Guest::key_value)?;
    rest::wasi::keyvalue::atomics::add_to_linker::<_, KeyValue>(linker, Guest::key_value)?;
    rest::wasi::keyvalue::batch::add_to_linker::<_, KeyValue>(linker, Guest::key_value)?;
    if grants.stores.values().all(|store| store.local().is_some()) {
        wasi_keyvalue::link_local(linker, Guest::key_value)?;
    }
    Ok(())
}

/// Bounds what an instance allocates: the sum of its linear memories and its tables, and how
/// many there are. The pool bounds numbers too, but there is not always a pool.
pub(super) struct Limits {
    memory_left: usize,
    refused: bool,
}

impl Limits {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory_left: memory,
            refused: false,
        }
    }

    /// Whether the component asked for more than it gets.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }
}

impl wasmtime::ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if more > self.memory_left || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.memory_left -= more;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) * size_of::<*const ()>();
        let fits = desired <= TABLE_ELEMENTS
            && more <= self.memory_left
            && maximum.is_none_or(|maximum| desired <= maximum);
        self.refused |= !fits;
        if fits {
            self.memory_left -= more;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_COMPONENT as usize
    }
}
