//! Joins policy, broker and shards.

use super::dev::DevApp;
use super::stores::OpenStores;
use super::{WIDE, broker, events};
use crate::backend::{AtHome, RoomBackend};
use crate::broker::{Broker, Channels};
use crate::config::{Config, SocketSettings};
use crate::events::Events;
use crate::http::rooms::Backend;
use crate::metrics::history::HistoryFigures;
use crate::node::{self, Node, Post, Reach, Sessions};
use crate::peers::Others;
use crate::policy::Policy;
use crate::policy::grants::Grants as StandingGrants;
use crate::socket::{self, Prepared, Shards};
use crate::store::ChangeListener;
use anyhow::Context;
use sschat_history::History;
use std::sync::Arc;
use std::time::Instant;

/// What policy, broker and shards are once they are joined.
pub(super) struct Joined {
    pub(super) shards: Arc<Shards<Sessions>>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) history: Option<Arc<dyn History>>,
    pub(super) events: Arc<Events>,
    pub(super) counted: Arc<HistoryFigures>,
    pub(super) post: Post,
    pub(super) others: Option<Others>,
}

/// Joins policy, broker and shards.
pub(super) fn join(
    policy: &Arc<Policy>,
    label: &str,
    (config, dev_app): (&Config, Option<&DevApp>),
    stores: &OpenStores,
) -> anyhow::Result<Joined> {
    let settings = &config.socket;
    let prepared = Prepared::new(settings.shards).context("cannot make event queues")?;
    let post = Post::new(prepared.handles());
    let counted = Arc::new(HistoryFigures::default());
    let state = stores.redis(label);
    let keeping = broker::keeping(config, state, &post, &counted, policy)?;
    let history = keeping.as_ref().map(|it| Arc::clone(&it.history));
    let events = events::open(config, history.clone(), policy)?;
    let channels = Channels::new(settings.shards).with_events(Arc::clone(&events));
    let channels = Arc::new(channels);
    let reach = Reach {
        post: post.clone(),
        channels: Arc::clone(&channels),
    };
    let grants = StandingGrants::start(Arc::clone(policy), Arc::new(reach));
    stores.listen(label, Arc::clone(&grants) as Arc<dyn ChangeListener>);
    // After the grants, by whom what was learned of a tenant ends.
    stores.listen(label, Arc::clone(&events) as Arc<dyn ChangeListener>);
    let joined = (post.clone(), Arc::clone(&channels));
    let told = post.clone();
    let broker = broker::open(config, state, joined, keeping, policy)?;
    let farewell = Arc::clone(&broker);
    let peers = broker.peers();
    let others = peers.clone().map(Others::new);
    let backend = Arc::new(RoomBackend {
        policy: Arc::clone(policy),
        broker: Arc::clone(&broker),
        channels: Arc::clone(&channels),
        post: post.clone(),
        events: Arc::clone(&events),
        limit: settings.message_limit,
        others: others.clone(),
        started: Instant::now(),
    });
    if let Some(peers) = peers {
        peers.answer_with(Box::new(AtHome(Arc::downgrade(&backend))));
    }
    let sessions = session_settings(config, dev_app);
    let node = Arc::new(Node::new(
        Arc::clone(policy),
        grants,
        broker,
        channels,
        post,
        sessions,
    ));
    let limits = socket_limits(settings);
    let shards = prepared
        .start(&limits, &config.pin_cores, move |shard| {
            Sessions::new(Arc::clone(&node), shard)
        })
        .context("cannot start the shards")?;
    Ok(Joined {
        shards: Arc::new(shards),
        backend,
        broker: farewell,
        history,
        events,
        counted,
        post: told,
        others,
    })
}

fn session_settings(config: &Config, dev_app: Option<&DevApp>) -> node::Settings {
    let settings = &config.socket;
    node::Settings {
        presence_limit: u32::try_from(settings.presence_limit).unwrap_or(u32::MAX),
        // An answer must leave room for what is said meanwhile.
        recovery_bytes: settings.queue_limit / 2,
        undecided: settings.undecided,
        fallback_app: dev_app.map(|app| app.app_id.clone()),
    }
}

fn socket_limits(settings: &SocketSettings) -> socket::Limits {
    socket::Limits {
        message: settings.message_limit,
        queue: settings.queue_limit,
        wide: WIDE,
        ping: settings.ping_interval,
        idle: settings.idle_timeout,
    }
}
