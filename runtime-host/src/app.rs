//! The one file that chooses implementations and joins the parts into a host.

mod broker;
mod dev;
mod doors;
mod events;
mod figures;
mod history;
mod join;
mod stores;
mod terms;

use crate::broker::Broker;
use crate::cli::{COMPILE, RuntimeArgs};
use crate::config::Config;
use crate::desk::PolicyDesk;
use crate::events::Events;
use crate::feed::EventFeed;
use crate::fetch::Fetcher;
use crate::http::{Bound, Mount, Parts, Server};
use crate::manifest::Manifest;
use crate::manifest::runtime::RuntimeConfig;
use crate::manifest::settings::HostRole;
use crate::manifest::variables::Values;
use crate::mount;
use crate::node::Sessions;
use crate::policy::Policy;
use crate::policy::keys::KeyServers;
use crate::policy::tenants::Tenants;
use crate::socket::Shards;
use crate::store::Store;
use crate::wasm::authority::AuthorityPool;
use crate::wasm::engine::{EngineSettings, Engines};
use crate::wasm::policy::{PolicyPool, Workshop};
use anyhow::{Context, bail};
use doors::{Door, SideDoor};
use join::{Joined, join};
use sschat_history::History;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stores::OpenStores;

/// The folder of compiled code within the state folder.
const CACHE: &str = "cache";

/// How many bytes of verdicts are remembered: some hundred thousand.
const MEMO: u64 = 256 << 20;

/// The bound of messages and queues of the debug endpoints: what the biggest case of the
/// Autobahn suite takes, several times.
const WIDE: usize = 64 << 20;

pub(crate) use broker::{describe as describe_broker, kind as broker_kind};
pub(crate) use history::describe as describe_history;

/// What is said where sockets would have nobody to ask.
pub(crate) const NO_AUTHORITY: &str =
    "no component has the role \"authority\" in its table tool.sschat";

/// A host, ready to serve.
pub struct App {
    name: String,
    /// What is printed of the app of those who name none.
    dev_app: String,
    server: Arc<Server>,
    stores: OpenStores,
    shards: Arc<Shards<Sessions>>,
    policy: Arc<Policy>,
    state: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    history: Option<Arc<dyn History>>,
    events: Arc<Events>,
}

impl App {
    /// Opens the stores, compiles the components and joins the parts.
    pub async fn build(
        manifest: &Manifest,
        config: &Config,
        runtime: &RuntimeArgs,
        values: &Values,
    ) -> anyhow::Result<Self> {
        let runtime = read_runtime(runtime)?;
        make_folder(&config.state_dir)?;
        let engines = Engines::new(&EngineSettings {
            cache: Some(config.state_dir.join(CACHE)),
            instances: mount::pool_size(manifest, &config.rest),
        })?;
        let stores = OpenStores::open(&runtime, reads(manifest))?;
        let (mounts, elsewhere) = mounted(manifest, config, (&engines, &stores), values)?;
        let dev_app = dev::open(config, (manifest, &mounts), values).await?;
        let authority = open_authority(manifest, &engines)?;
        let label = authority.label.clone();
        let state = stores.of(&label)?;
        let policy = open_policy(authority, &engines, config, &state)?;
        let desk = PolicyDesk::new(&policy, dev::alias(config, dev_app.as_ref()));
        let Joined {
            shards,
            backend,
            broker,
            history,
            events,
            counted,
            post,
            others,
        } = join(&policy, &label, (config, dev_app.as_ref()), &stores)?;
        let figures = figures::Sources {
            shards: Arc::clone(&shards),
            policy: Arc::clone(&policy),
            commits: stores.commit_latencies(),
            history: counted,
            events: Arc::clone(&events),
            broker: Arc::clone(&broker),
        };
        let server = Server::new(Parts {
            routes: mount::routes(manifest, &mounts),
            mounts,
            elsewhere,
            sockets: config.role != HostRole::Api,
            limits: config.http.clone(),
            origins: config.origins.clone(),
            compression: config.compression,
            adopt: Arc::new(Door(Arc::clone(&shards))),
            relay: Arc::new(SideDoor { post, others }),
            debug_endpoints: config.debug_endpoints,
            readiness: stores.readiness(),
            desk: Arc::new(desk),
            figures: figures.figures(),
            local_metrics: config.metrics_listen.is_none(),
            backend,
            feed: Arc::new(EventFeed(Arc::clone(&events))),
        })?;
        Ok(Self {
            name: manifest.name.clone(),
            dev_app: dev::shown(config, dev_app),
            server: Arc::new(server),
            stores,
            shards,
            policy,
            state,
            broker,
            history,
            events,
        })
    }

    /// Where its decisions come from.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// The store that decisions are made over.
    pub(crate) fn state(&self) -> Arc<dyn Store> {
        Arc::clone(&self.state)
    }

    /// What is printed once the host listens.
    pub fn banner(&self, bound: &Bound) -> String {
        use std::fmt::Write;
        let (address, s) = (bound.address(), if bound.is_secure() { "s" } else { "" });
        let mut banner = format!(
            "{} is served by sschat {}\n\n  Page       http{s}://{address}/\n",
            self.name,
            env!("CARGO_PKG_VERSION"),
        );
        if self.server.has_sessions() {
            let _ = writeln!(banner, "  WebSocket  ws{s}://{address}/websocket/polling");
            let _ = writeln!(
                banner,
                "  SDKs       ws{s}://{address}/connection/websocket"
            );
        }
        for (component, routes) in self.server.routes() {
            for route in routes {
                let _ = writeln!(banner, "  {component:<10} http{s}://{address}{route}");
            }
        }
        banner.push_str(&self.dev_app);
        banner
    }

    /// Serves metrics there for as long as the runtime lives, the drain included.
    pub fn serve_metrics(&self, bound: Bound) {
        let server = Arc::clone(&self.server);
        tokio::spawn(bound.serve(server, std::future::pending(), Duration::ZERO));
    }

    /// Serves until `stop` resolves, then ends in order.
    pub async fn serve(self, bound: Bound, stop: impl Future<Output = ()>, drain: Duration) {
        self.server.start_sweeps();
        self.policy.start_refreshing();
        self.events.wake();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let events = Arc::clone(&self.events);
        let shards = Arc::clone(&self.shards);
        let drained = tokio::spawn(async move {
            let _ = begun.await;
            tokio::task::spawn_blocking(move || shards.drain(drain)).await
        });
        let stop = async {
            stop.await;
            events.end();
            let _ = begin.send(());
        };
        let left = bound.serve(self.server.clone(), stop, drain).await;
        if left > 0 {
            tracing::warn!(connections = left, "connections did not end in time");
        }
        if let Err(error) = drained.await {
            tracing::error!(%error, "the shards did not end in order");
        }
        self.broker.close().await;
        self.events.close().await;
        if let Some(history) = self.history
            && let Err(error) = history.close().await
        {
            tracing::error!(%error, "the history did not end in order");
        }
        self.stores.close();
    }
}

/// The components that this host serves, and the routes of those that others do.
fn mounted(
    manifest: &Manifest,
    config: &Config,
    (engines, stores): (&Engines, &OpenStores),
    values: &Values,
) -> anyhow::Result<(Vec<Mount>, Vec<String>)> {
    if config.role == HostRole::Realtime {
        return Ok((Vec::new(), mount::paths(manifest)));
    }
    let mounts = mount::mount_all(manifest, config.rest, engines, &stores.labels, values)?;
    Ok((mounts, Vec::new()))
}

fn make_folder(state_dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(state_dir).with_context(|| {
        let folder = state_dir.display();
        format!("the state folder {folder} cannot be made; choose another with --state-dir")
    })
}

/// What the keys begin with that decisions depend on.
fn reads(manifest: &Manifest) -> &[String] {
    let authority = manifest.authority();
    authority.map_or(&[], |(_, component)| &component.reads[..])
}

/// The authority, and the label of the store that it decides over.
struct Authority {
    pool: AuthorityPool,
    digest: String,
    label: String,
}

fn open_authority(manifest: &Manifest, engines: &Engines) -> anyhow::Result<Authority> {
    let (name, component) = manifest.authority().context(NO_AUTHORITY)?;
    mount::require_source(component)?;
    let label = match component.key_value_stores.as_slice() {
        [label] => label.clone(),
        _ => bail!("component {name:?}: the authority is to name one key_value_stores label"),
    };
    let compiled = engines
        .compile_authority(&component.source)
        .with_context(|| format!("component {name:?}"))?;
    let bytes = std::fs::read(&component.source)
        .with_context(|| format!("cannot read {}", component.source.display()))?;
    let reuse = component.reuse.covers(&bytes);
    if !reuse {
        tracing::info!("each call of the authority gets a fresh instance");
    }
    let pool = AuthorityPool::new(engines, &compiled, name, reuse)
        .with_context(|| format!("component {name:?}"))?;
    let digest = crate::digest::sha256(&bytes);
    Ok(Authority {
        pool,
        digest,
        label,
    })
}

/// Where decisions come from.
fn open_policy(
    authority: Authority,
    engines: &Engines,
    config: &Config,
    state: &Arc<dyn Store>,
) -> anyhow::Result<Arc<Policy>> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let workshop = Workshop::new(engines, program, &[COMPILE], config.state_dir.join(CACHE));
    let pool = PolicyPool::new().context("cannot start the threads for policies")?;
    let tenants = Tenants::new(pool, workshop, Arc::clone(state));
    let policy = Policy::new(authority.pool, tenants, Arc::clone(state), MEMO);
    let servers = KeyServers::new(Fetcher::new(config.private_key_servers));
    Ok(Arc::new(
        policy
            .with_authority_digest(authority.digest)
            .with_key_servers(servers),
    ))
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
