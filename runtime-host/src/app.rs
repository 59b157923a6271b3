//! The one file that chooses implementations and joins the parts into a host.

use crate::cli::RuntimeArgs;
use crate::config::Config;
use crate::http::upgrade::{Adopt, Upgraded};
use crate::http::{Bound, Mount, Parts, Readiness, Server};
use crate::manifest::runtime::{RuntimeConfig, StoreConfig};
use crate::manifest::variables::Values;
use crate::manifest::{Component, Manifest, Role};
use crate::store::Store;
use crate::store::sqlite::SqliteStores;
use crate::wasm::engine::{EngineSettings, Engines};
use crate::wasm::outbound::AllowedHosts;
use crate::wasm::rest::{Grants, RestComponent, RestLimits, Stores};
use anyhow::{Context, bail};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The folder of compiled code within the state folder.
const CACHE: &str = "cache";

/// A host, ready to serve.
pub struct App {
    name: String,
    server: Arc<Server>,
    stores: OpenStores,
}

impl App {
    /// Opens the stores, compiles the components and joins the parts.
    pub fn build(
        manifest: &Manifest,
        config: &Config,
        runtime: &RuntimeArgs,
        values: &Values,
    ) -> anyhow::Result<Self> {
        let runtime = read_runtime(runtime)?;
        let state_dir = &config.state_dir;
        std::fs::create_dir_all(state_dir).with_context(|| {
            let folder = state_dir.display();
            format!("the state folder {folder} cannot be made; choose another with --state-dir")
        })?;
        let rest = rest_components(manifest).count();
        let engines = Engines::new(&EngineSettings {
            cache: Some(state_dir.join(CACHE)),
            instances: pool_size(rest, &config.rest),
        })?;
        let stores = OpenStores::open(&runtime)?;
        let mounts = mount_all(manifest, config.rest, &engines, &stores, values)?;
        let server = Server::new(Parts {
            routes: routes(manifest, &mounts),
            mounts,
            limits: config.http.clone(),
            origins: config.origins.clone(),
            adopt: Arc::new(NoSockets),
            debug_endpoints: config.debug_endpoints,
            readiness: stores.readiness(),
        })?;
        Ok(Self {
            name: manifest.name.clone(),
            server: Arc::new(server),
            stores,
        })
    }

    /// What is printed once the host listens.
    pub fn banner(&self, address: SocketAddr) -> String {
        use std::fmt::Write;
        let mut banner = format!(
            "{} is served by sschat {}\n\n  Page       http://{address}/\n",
            self.name,
            env!("CARGO_PKG_VERSION"),
        );
        let _ = writeln!(banner, "  WebSocket  ws://{address}/websocket/polling");
        for (component, routes) in self.server.routes() {
            for route in routes {
                let _ = writeln!(banner, "  {component:<10} http://{address}{route}");
            }
        }
        banner
    }

    /// Serves until `stop` resolves, then ends in order.
    pub async fn serve(self, bound: Bound, stop: impl Future<Output = ()>, drain: Duration) {
        self.server.start_sweeps();
        let left = bound.serve(self.server.clone(), stop, drain).await;
        if left > 0 {
            tracing::warn!(connections = left, "connections did not end in time");
        }
        self.stores.close();
    }
}

/// The key-value stores of the application, by label.
struct OpenStores {
    /// By database file, for two labels may share one.
    databases: HashMap<PathBuf, SqliteStores>,
    labels: Stores,
}

impl OpenStores {
    fn open(runtime: &RuntimeConfig) -> anyhow::Result<Self> {
        let mut databases: HashMap<PathBuf, SqliteStores> = HashMap::new();
        let mut labels = Stores::new();
        for (label, store) in &runtime.stores {
            match store {
                StoreConfig::Sqlite { path } => {
                    if !databases.contains_key(path) {
                        databases.insert(path.clone(), SqliteStores::open(path)?);
                    }
                    if let Some(database) = databases.get(path) {
                        labels.insert(label.clone(), database.space(label));
                    }
                }
                StoreConfig::Redis { .. } => {
                    bail!("key_value_store.{label}: the type redis is not built in yet; use spin")
                }
            }
        }
        Ok(Self { databases, labels })
    }

    fn readiness(&self) -> Readiness {
        let stores: Vec<Arc<dyn Store>> = self.labels.values().cloned().collect();
        Arc::new(move || {
            let stores = stores.clone();
            Box::pin(async move {
                for store in &stores {
                    let read = store.get("readiness").await;
                    read.map_err(|error| error.to_string())?;
                }
                Ok(())
            })
        })
    }

    fn close(&self) {
        for database in self.databases.values() {
            database.close();
        }
    }
}

/// Refuses WebSockets: there is nobody yet to serve them.
struct NoSockets;

impl Adopt for NoSockets {
    fn adopt(&self, upgraded: Upgraded) {
        tracing::debug!(remote = %upgraded.remote, "no one serves WebSockets");
    }
}

/// Everything that would keep `up` from serving.
pub fn check(manifest: &Manifest, runtime: &RuntimeArgs) -> Vec<String> {
    let mut findings = Vec::new();
    let runtime_config = match read_runtime(runtime) {
        Ok(config) => Some(config),
        Err(error) => {
            findings.push(format!("{error:#}"));
            None
        }
    };
    let environment = |name: &str| std::env::var(name).ok();
    let values = match Values::resolve(manifest, &runtime.variables, environment) {
        Ok(values) => Some(values),
        Err(error) => {
            findings.push(error.to_string());
            None
        }
    };
    let settings = EngineSettings {
        cache: None,
        instances: 64,
    };
    let engines = match Engines::new(&settings) {
        Ok(engines) => engines,
        Err(error) => {
            findings.push(error.to_string());
            return findings;
        }
    };
    let place = |component: &Component| format!("{}:{}", manifest.file.display(), component.line);
    for (name, component) in &manifest.components {
        let values = values.as_ref();
        let stores = runtime_config.as_ref();
        if let Err(error) = check_component(name, component, &engines, stores, values) {
            findings.push(format!("{}: component.{name}: {error:#}", place(component)));
        }
    }
    findings
}

fn check_component(
    name: &str,
    component: &Component,
    engines: &Engines,
    runtime: Option<&RuntimeConfig>,
    values: Option<&Values>,
) -> anyhow::Result<()> {
    require_source(component)?;
    if let Some(runtime) = runtime {
        for label in &component.key_value_stores {
            if !runtime.stores.contains_key(label) {
                bail!(unknown_label(label));
            }
        }
    }
    let grants = match values {
        Some(values) => grants(name, component, Stores::new(), values)?,
        None => return Ok(()),
    };
    if component.role == Role::Authority {
        engines.compile_authority(&component.source)?;
        return Ok(());
    }
    let compiled = engines.compile_rest(&component.source)?;
    RestComponent::new(engines, &compiled, grants, RestLimits::default())?;
    Ok(())
}

fn read_runtime(runtime: &RuntimeArgs) -> anyhow::Result<RuntimeConfig> {
    let file = runtime.runtime_config_file.as_deref();
    let config = RuntimeConfig::read(file, &runtime.state_dir)?;
    for table in &config.ignored {
        tracing::warn!(
            table,
            "the runtime configuration has a table that is not used here"
        );
    }
    Ok(config)
}

fn rest_components(manifest: &Manifest) -> impl Iterator<Item = (&String, &Component)> {
    let rest = |(_, component): &(&String, &Component)| component.role == Role::Rest;
    manifest.components.iter().filter(rest)
}

/// Compiles and links all REST components, each on a thread of its own.
fn mount_all(
    manifest: &Manifest,
    limits: RestLimits,
    engines: &Engines,
    stores: &OpenStores,
    values: &Values,
) -> anyhow::Result<Vec<Mount>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = rest_components(manifest)
            .map(|(name, component)| {
                let mount = move || {
                    mount(name, component, limits, engines, stores, values)
                        .with_context(|| format!("component {name:?}"))
                };
                scope.spawn(mount)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(mounted) => mounted,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn mount(
    name: &str,
    component: &Component,
    limits: RestLimits,
    engines: &Engines,
    stores: &OpenStores,
    values: &Values,
) -> anyhow::Result<Mount> {
    require_source(component)?;
    let mut granted = Stores::new();
    for label in &component.key_value_stores {
        let Some(store) = stores.labels.get(label) else {
            bail!(unknown_label(label));
        };
        granted.insert(label.clone(), store.clone());
    }
    let grants = grants(name, component, granted, values)?;
    let compiled = engines.compile_rest(&component.source)?;
    Ok(Mount {
        name: name.to_owned(),
        component: RestComponent::new(engines, &compiled, grants, limits)?,
        sweep: component.sweep.clone(),
    })
}

fn grants(
    name: &str,
    component: &Component,
    stores: Stores,
    values: &Values,
) -> anyhow::Result<Grants> {
    let hosts = values.outbound_hosts(name, component)?;
    let environment = component.environment.clone();
    Ok(Grants {
        component: name.into(),
        stores,
        variables: values.of_component(name, component)?,
        environment: environment.into_iter().collect(),
        outbound: AllowedHosts::parse(hosts)?,
    })
}

fn require_source(component: &Component) -> anyhow::Result<()> {
    if component.source.is_file() {
        return Ok(());
    }
    let source = component.source.display();
    if component.build.is_some() {
        bail!("{source} is missing; run `sschat build`, or start with `sschat up --build`");
    }
    bail!("{source} is missing");
}

fn unknown_label(label: &str) -> String {
    format!("the store {label:?} is not configured; name it in the file of --runtime-config-file")
}

fn routes(manifest: &Manifest, mounts: &[Mount]) -> Vec<(String, usize)> {
    manifest
        .triggers
        .iter()
        .filter_map(|trigger| {
            let route = trigger.route.clone()?;
            let index = mounts.iter().position(|m| m.name == trigger.component)?;
            Some((route, index))
        })
        .collect()
}

/// Twice the instances that can work at once: the other half may be idle or ending.
fn pool_size(components: usize, limits: &RestLimits) -> u32 {
    u32::try_from(components.max(1) * limits.instances * 2).unwrap_or(u32::MAX)
}
