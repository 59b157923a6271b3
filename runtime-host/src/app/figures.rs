//! What `/metrics` tells, gathered from the parts of the host when it is asked for.

use crate::broker::Broker;
use crate::events::Events;
use crate::http::metrics::Figures;
use crate::metrics::history::HistoryFigures;
use crate::metrics::process;
use crate::metrics::tally::Figure;
use crate::metrics::text::Text;
use crate::node::Sessions;
use crate::policy::Policy;
use crate::socket::Shards;
use crate::store::latency::Latency;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the figures are.
pub(super) struct Sources {
    pub(super) shards: Arc<Shards<Sessions>>,
    pub(super) policy: Arc<Policy>,
    /// By label.
    pub(super) commits: Vec<(String, Arc<Latency>)>,
    pub(super) history: Arc<HistoryFigures>,
    pub(super) events: Arc<Events>,
    pub(super) broker: Arc<dyn Broker>,
}

impl Sources {
    /// Writes all of it.
    pub(super) fn figures(self) -> Figures {
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = started.map_or(0, |since| since.as_secs());
        Arc::new(move |text| {
            let version = env!("CARGO_PKG_VERSION");
            text.gauge("sschat_build_info", "The version that runs.")
                .sample(&[("version", version)], 1);
            self.shards(text);
            self.decisions(text);
            self.store(text);
            self.history.write(text);
            self.events(text);
            let help = "How long what is said to all hosts takes to come back, or has been awaited \
                        in vain; 0 for one that is alone.";
            text.gauge("sschat_broker_lag_seconds", help)
                .value(self.broker.lag().unwrap_or_default().as_secs_f64());
            usage(text, started);
        })
    }

    fn shards(&self, text: &mut Text) {
        let names: Vec<String> = (0..self.shards.published().count())
            .map(|at| at.to_string())
            .collect();
        let help = "Open WebSockets, and responses that do not end.";
        let mut metric = text.gauge("sschat_connections", help);
        for (shard, count) in names.iter().zip(self.shards.connections_by_shard()) {
            metric.sample(&[("shard", shard)], count);
        }
        let mut show = |name: &'static str, figure, help| {
            let mut metric = match name.ends_with("_total") {
                true => text.counter(name, help),
                false => text.gauge(name, help),
            };
            for (shard, published) in names.iter().zip(self.shards.published()) {
                metric.sample(&[("shard", shard)], published.get(figure));
            }
        };
        use Figure::{
            Deliveries, Publications, QueuedBytes, ReceivedBytes, Rooms, SentBytes, Sessions,
            SlowConsumers,
        };
        show(
            "sschat_sessions",
            Sessions,
            "Connections that are logged in.",
        );
        show(
            "sschat_rooms",
            Rooms,
            "Rooms that somebody hears, once for each shard that has a member.",
        );
        show(
            "sschat_queue_bytes",
            QueuedBytes,
            "Bytes that sockets have not taken yet.",
        );
        show(
            "sschat_publications_total",
            Publications,
            "Messages of members that were accepted.",
        );
        show(
            "sschat_deliveries_total",
            Deliveries,
            "Publications times the members that each was for.",
        );
        show(
            "sschat_received_bytes_total",
            ReceivedBytes,
            "Bytes read from WebSockets.",
        );
        show(
            "sschat_sent_bytes_total",
            SentBytes,
            "Bytes that WebSockets took.",
        );
        show(
            "sschat_slow_consumer_closes_total",
            SlowConsumers,
            "Connections closed because they fell behind.",
        );
    }

    fn decisions(&self, text: &mut Text) {
        let counters = &self.policy.counters;
        let held = self.shards.published();
        let held: u64 = held.map(|published| published.get(Figure::Held)).sum();
        let recalled = counters.recalled.load(Ordering::Relaxed);
        let computed = counters.computed.load(Ordering::Relaxed);
        let help = "Decisions, by where the verdict came from: held by the session, remembered, \
                    or computed by components.";
        text.counter("sschat_decisions_total", help)
            .sample(&[("source", "session")], held)
            .sample(&[("source", "memo")], recalled)
            .sample(&[("source", "component")], computed);
        let help = "Decisions that could not be made, by reason; the caller was refused.";
        let mut metric = text.counter("sschat_decision_failures_total", help);
        for (reason, count) in counters.failures() {
            metric.sample(&[("reason", reason)], count);
        }
        let help = "How long decisions took that were computed.";
        text.histogram("sschat_decision_seconds", help)
            .latency(&[], &counters.latency);
    }

    fn events(&self, text: &mut Text) {
        let figures = &self.events.figures;
        let help = "Events that webhooks have not taken yet.";
        text.gauge("sschat_events_pending", help)
            .value(self.events.pending());
        let mut show = |name, counter: &AtomicU64, help| {
            text.counter(name, help)
                .value(counter.load(Ordering::Relaxed));
        };
        show(
            "sschat_events_kept_total",
            &figures.kept,
            "Events that were kept for tenants' backends.",
        );
        show(
            "sschat_events_delivered_total",
            &figures.delivered,
            "Events that webhooks took.",
        );
        show(
            "sschat_event_posts_failed_total",
            &figures.failed,
            "Posts of events that webhooks did not take; they are tried again.",
        );
        show(
            "sschat_events_dropped_total",
            &figures.dropped,
            "Events that could not be kept, or were gone before their webhook took them.",
        );
    }

    fn store(&self, text: &mut Text) {
        let help = "How long commits took that made changes durable.";
        let mut metric = text.histogram("sschat_store_commit_seconds", help);
        for (label, latency) in &self.commits {
            metric.latency(&[("store", label)], latency);
        }
    }
}

/// What the process uses, under the names that every exporter gives them.
fn usage(text: &mut Text, started: u64) {
    let usage = process::read();
    if let Some(resident) = usage.resident {
        text.gauge("process_resident_memory_bytes", "Resident memory.")
            .value(resident);
    }
    if let Some(processor) = usage.processor {
        let help = "User and system processor time.";
        text.counter("process_cpu_seconds_total", help)
            .value(processor.as_secs_f64());
    }
    if let Some(descriptors) = usage.descriptors {
        text.gauge("process_open_fds", "Open files and sockets.")
            .value(descriptors);
    }
    let help = "When the process began, in seconds since the Unix epoch.";
    text.gauge("process_start_time_seconds", help)
        .value(started);
}
