//! The instances of one component: the least that the handler of `wasmtime-wasi-http`
//! asks for. Nothing expires.

use crate::keyvalue::{self, Map, Variables, View};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wasmtime::component::{Component, GuestTaskId, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks, p3};

/// How often an instance is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reuse {
    pub(crate) total: usize,
    pub(crate) concurrent: usize,
}

/// What all instances of one component share.
pub(crate) struct Handler {
    engine: Engine,
    pre: p3::bindings::ServicePre<Guest>,
    map: Arc<Map>,
    reuse: Reuse,
}

/// The data of one instance's store.
pub(crate) struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    map: Arc<Map>,
}

impl Guest {
    fn key_value(&mut self) -> View<'_> {
        View {
            table: &mut self.table,
            map: &self.map,
        }
    }

    fn variables(&mut self) -> Variables {
        Variables
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
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: default_hooks(),
        }
    }
}

impl Handler {
    pub(crate) fn new(
        engine: &Engine,
        component: &Component,
        map: &Arc<Map>,
        reuse: Reuse,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::<Guest>::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        keyvalue::link(&mut linker, Guest::key_value, Guest::variables)?;
        Ok(Self {
            engine: engine.clone(),
            pre: p3::bindings::ServicePre::new(linker.instantiate_pre(component)?)?,
            map: map.clone(),
            reuse,
        })
    }
}

impl HandlerState for Handler {
    type StoreData = Guest;
    type WorkerExpiration = Never;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Never, Reuse>> {
        let guest = Guest {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            map: self.map.clone(),
        };
        let mut store = Store::new(&self.engine, guest);
        let proxy = ProxyPre::P3(self.pre.clone())
            .instantiate_async(&mut store)
            .await?;
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Never,
            state: self.reuse,
        })
    }
}

impl WorkerState for Reuse {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.total {
            ShouldAccept::Never
        } else if concurrent >= self.concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            eprintln!("an instance ended: {error:?}");
        }
        drop(store);
    }
}

/// No instance ends before its time.
pub(crate) struct Never;

impl WorkerExpiration for Never {
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>, _: WorkerStatus, _: Instant) -> Poll<()> {
        Poll::Pending
    }
}
