//! What the sessions of the Centrifuge protocol share on a shard.

use super::filters::Filters;
use crate::hub::ConnectionKey;
use crate::policy::memo::Watcher;
use sschat_protocol::centrifuge::session::{Millis, Settings};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

/// What the sessions of this protocol share on a shard.
pub(in crate::node) struct Clients {
    pub(super) settings: Settings,
    start: Instant,
    /// Alarms, the next first. A session has one that counts: see `Client::alarm`.
    pub(super) alarms: BinaryHeap<Reverse<(Millis, ConnectionKey)>>,
    /// Who catches up with which channel.
    pub(super) catching_up: HashMap<u64, Vec<Watcher>>,
    /// The serial number of who last did.
    pub(super) caught: u64,
    /// Those who are to be answered once nothing is in doubt any more.
    pub(super) in_doubt: Vec<Watcher>,
    /// The last publication of the channels that somebody hears as differences.
    pub(super) previous: HashMap<u64, Box<str>>,
    /// Which publications clients want, where not all.
    pub(in crate::node) filters: Filters,
    /// Where replies are encoded before their frame's header can be.
    pub(super) replies: Vec<u8>,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            start: Instant::now(),
            alarms: BinaryHeap::new(),
            catching_up: HashMap::new(),
            caught: 0,
            in_doubt: Vec::new(),
            previous: HashMap::new(),
            filters: Filters::default(),
            replies: Vec::new(),
        }
    }
}

impl Clients {
    pub(in crate::node) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(in crate::node) fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as Millis
    }
}
