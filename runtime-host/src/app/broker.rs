//! The broker: one host's own, or that of several hosts on the Redis that holds the state.

use super::history;
use super::terms::HistoryTerms;
use crate::broker::memory::MemoryBroker;
use crate::broker::redis::{LEASE, RedisBroker, Settings};
use crate::broker::{Broker, Channels, Keeping, Retention};
use crate::config::{Config, HistorySettings};
use crate::manifest::settings::{BrokerKind, HistoryKind, HostRole};
use crate::metrics::history::HistoryFigures;
use crate::node::Post;
use crate::policy::Policy;
use anyhow::{Context, anyhow, bail};
use std::sync::Arc;
use std::time::Duration;

/// What Redis keeps of a room where sessions get no history: so that hosts that were cut off
/// for a moment find what they missed.
const GAPS: Retention = Retention {
    count: 1_000,
    bytes: 4 << 20,
    age: Duration::from_secs(60),
};

/// Why there is no broker on Redis.
pub(crate) const NO_REDIS: &str =
    "--broker redis needs the state on Redis: name one in the runtime configuration";

/// Which broker it is, where `state` is the URL of the Redis that holds the state, if one does.
pub(crate) fn kind(
    wanted: Option<BrokerKind>,
    state: Option<&str>,
) -> Result<Option<&str>, &'static str> {
    match (wanted, state) {
        (Some(BrokerKind::Memory), _) | (None, None) => Ok(None),
        (_, Some(url)) => Ok(Some(url)),
        (Some(BrokerKind::Redis), None) => Err(NO_REDIS),
    }
}

/// Why a broker elsewhere makes no sense.
const NO_STATE: &str = "--broker-url needs a state that all hosts share, and --broker redis: name a \
                        Redis in the runtime configuration";

/// Why a host that leaves work to others does not start.
const ALONE: &str =
    "--role api and --role realtime need other hosts: name a Redis in the runtime configuration";

/// Where the broker's Redis is, if it has one.
fn place<'a>(config: &'a Config, state: Option<&'a str>) -> anyhow::Result<Option<&'a str>> {
    let url = kind(config.broker, state).map_err(|reason| anyhow!(reason))?;
    match (&config.broker_url, url) {
        (Some(_), None) => bail!(NO_STATE),
        (elsewhere, url) => Ok(elsewhere.as_deref().or(url)),
    }
}

/// What keeps the history of rooms, where that is this host's own.
pub(super) type Kept = Option<Keeping<Post>>;

/// Opens what keeps the history, unless that is Redis.
pub(super) fn keeping(
    config: &Config,
    state: Option<&str>,
    post: &Post,
    counted: &Arc<HistoryFigures>,
    policy: &Arc<Policy>,
) -> anyhow::Result<Kept> {
    match place(config, state)? {
        None => history::open(&config.history, &config.state_dir, post, counted, policy),
        Some(_) => Ok(None),
    }
}

/// Opens the broker.
pub(super) fn open(
    config: &Config,
    state: Option<&str>,
    (post, channels): (Post, Arc<Channels>),
    keeping: Kept,
    policy: &Arc<Policy>,
) -> anyhow::Result<Arc<dyn Broker>> {
    let Some(url) = place(config, state)? else {
        if config.role != HostRole::All {
            bail!(ALONE);
        }
        if state.is_some() {
            tracing::warn!("other hosts on this Redis hear nothing of what is said here");
        }
        let mut broker = MemoryBroker::new(post);
        if let Some(keeping) = keeping {
            broker = broker.with_history(keeping);
        }
        return Ok(Arc::new(broker));
    };
    tracing::info!("{}", describe(&config.history));
    let kept = Retention {
        count: config.history.size,
        age: config.history.age,
        ..Retention::default()
    };
    let history = config.history.kind != HistoryKind::None;
    let settings = Settings {
        url: url.to_owned(),
        host: post.host().into(),
        retention: if history { kept } else { GAPS },
        history,
    };
    let broker = RedisBroker::open(&settings, post, channels);
    let broker = broker
        .map_err(|reason| anyhow!(reason))
        .context("the broker")?
        .with_terms(Arc::new(HistoryTerms::new(Arc::clone(policy), kept)));
    Ok(Arc::new(broker))
}

/// The broker on Redis in a sentence.
pub(crate) fn describe(settings: &HistorySettings) -> String {
    let (size, age) = (settings.size, settings.age);
    let kept = match settings.kind {
        HistoryKind::None => "rooms keep no history".to_owned(),
        HistoryKind::Memory | HistoryKind::Durable => format!(
            "rooms keep up to {size} publications for {age:?} there, as safe as its appendonly \
             and appendfsync make them"
        ),
    };
    format!(
        "publications and presence reach all hosts on this Redis; a host that dies is noticed \
         within {LEASE:?}; {kept}"
    )
}
