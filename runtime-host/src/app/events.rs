//! Where events to tenants' backends are kept.

use crate::config::Config;
use crate::events::{Events, Parts};
use crate::fetch::Fetcher;
use crate::manifest::settings::HistoryKind;
use crate::policy::Policy;
use anyhow::Context;
use sschat_history::{CommitSink, DurableHistory, History, MemoryHistory, Options, system_clock};
use std::path::Path;
use std::sync::Arc;

/// The folder of events within the state folder, where the history of rooms is elsewhere.
const FOLDER: &str = "events";

/// Memory for events that are nowhere else.
const MEMORY: u64 = 64 << 20;

/// Memory for events that are on the disk too.
const CACHED: u64 = 16 << 20;

/// Opens what keeps events: `history` where the host has one of its own, so that a message
/// and its event are made durable together.
pub(super) fn open(
    config: &Config,
    history: Option<Arc<dyn History>>,
    policy: &Arc<Policy>,
) -> anyhow::Result<Arc<Events>> {
    let own = history.is_none();
    let history = match history {
        Some(history) => history,
        None => alone(config.history.kind, &config.state_dir)?,
    };
    if !history.durable() {
        tracing::info!("events to backends are in memory: those left are lost when the host ends");
    }
    Ok(Events::new(Parts {
        wishes: Arc::clone(policy) as _,
        history,
        own,
        fetcher: Fetcher::new(config.private_webhooks),
        runtime: tokio::runtime::Handle::try_current().context("no runtime")?,
    }))
}

fn alone(kind: HistoryKind, state_dir: &Path) -> anyhow::Result<Arc<dyn History>> {
    match kind {
        HistoryKind::Durable => {
            let mut options = Options::new(state_dir.join(FOLDER));
            options.memory_bytes = CACHED;
            let opened = DurableHistory::open(options, Arc::new(Nobody));
            Ok(Arc::new(opened.context("the events of backends")?))
        }
        HistoryKind::Memory | HistoryKind::None => {
            Ok(Arc::new(MemoryHistory::new(MEMORY, system_clock())))
        }
    }
}

/// Nobody waits for an event to be durable where it is kept apart from messages.
struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[u64]) {}

    fn abandoned(&self, _: &[u64]) {}
}
