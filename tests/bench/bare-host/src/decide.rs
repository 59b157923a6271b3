//! One decision of SSChat's own authority, with nothing around it: wasmtime, its WASI, and
//! a hash map of the five records that the decision reads.
//!
//! What `sschat bench decide` takes longer for the same call, SSChat's limits, time budget,
//! log and store cost. Absent on purpose: all of these.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, bail};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

#[allow(missing_docs, unreachable_pub, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "sschat:policy/authority",
    });
}

use bindings::Authority;
use bindings::sschat::policy::{clock, state, types};

/// How long each kind of call is repeated.
const WHILE: Duration = Duration::from_secs(2);

const TENANT: &str = "app_00000000000040008000000000000001";
const ROOM: &str = "room_00000000000040008000000000000002";
const USER: &str = "user_00000000000040008000000000000003";

struct Host {
    records: Arc<HashMap<String, Vec<u8>>>,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for Host {}

impl state::Host for Host {
    fn get_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, state::Error> {
        Ok(keys
            .iter()
            .map(|key| self.records.get(key).cloned())
            .collect())
    }
}

impl clock::Host for Host {
    fn now(&mut self) -> u64 {
        0
    }
}

/// Measures, and prints the median of each kind of call.
pub(super) fn run(folder: &Path) -> wasmtime::Result<()> {
    let mut config = Config::new();
    config.concurrency_support(false);
    config.wasm_component_model_async(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(
        PoolingAllocationConfig::new(),
    ));
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, folder.join("sschat_authority.wasm"))?;
    let mut linker = Linker::<Host>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    Authority::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    let pre = bindings::AuthorityPre::new(linker.instantiate_pre(&component)?)?;
    let records = Arc::new(records());
    let fresh = || -> wasmtime::Result<(Store<Host>, Authority)> {
        let host = Host {
            records: Arc::clone(&records),
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&engine, host);
        let instance = pre.instantiate(&mut store)?;
        Ok((store, instance))
    };
    let (mut store, instance) = fresh()?;
    print("call, instance reused", || ask(&mut store, &instance))?;
    print("call, fresh instance", || {
        let (mut store, instance) = fresh()?;
        ask(&mut store, &instance)
    })
}

fn ask(store: &mut Store<Host>, instance: &Authority) -> wasmtime::Result<()> {
    let who = types::Identity {
        tenant: TENANT.to_owned(),
        user: USER.to_owned(),
    };
    let decisions = instance.sschat_policy_decisions();
    match decisions.call_may_publish(store, &who, ROOM)? {
        Ok(()) => Ok(()),
        Err(refusal) => bail!("refused: {}", refusal.reason),
    }
}

/// The records of a room with one member, in the format of the components.
fn records() -> HashMap<String, Vec<u8>> {
    let named = r#"{"v":1,"slot":1}"#;
    let app = format!(
        r#"{{"v":1,"key":"{}","secrets":["{}"]}}"#,
        "0".repeat(64),
        "0".repeat(64)
    );
    let entry = r#"{"v":1,"active":true,"member_slot":1,"room_slot":1}"#;
    [
        (format!("{TENANT}/app"), app.as_str()),
        (format!("{TENANT}/room/{ROOM}"), named),
        (format!("{TENANT}/user/{USER}"), named),
        (format!("{TENANT}/member/{ROOM}/{USER}"), entry),
    ]
    .into_iter()
    .map(|(key, value)| (key, value.as_bytes().to_vec()))
    .collect()
}

fn print(name: &str, mut call: impl FnMut() -> wasmtime::Result<()>) -> wasmtime::Result<()> {
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < WHILE {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{name}: p50 {:.3} µs", median.as_nanos() as f64 / 1_000.0);
    Ok(())
}
