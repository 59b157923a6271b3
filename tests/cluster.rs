//! A real Redis Cluster of a test's own: three primaries without replicas.
//!
//! Everything here blocks, as in [`crate::redis`].

use crate::redis::{Redis, Reply, free_port};
use std::time::{Duration, Instant};

/// How long the primaries may take to agree.
const PATIENCE: Duration = Duration::from_secs(30);

/// The slots of each.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// A running cluster. Dropping it kills all of it.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries.
    pub nodes: Vec<Redis>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::start()
    }
}

impl Cluster {
    /// Starts an empty cluster that writes everything to append-only files.
    pub fn start() -> Self {
        let mut nodes = Vec::new();
        let mut meetings = Vec::new();
        for slots in SLOTS {
            let bus = free_port().to_string();
            let node = Redis::start_with(&[
                "--appendonly",
                "yes",
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-port",
                &bus,
            ]);
            accepted(node.run(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]));
            meetings.push((node.port().to_string(), bus));
            nodes.push(node);
        }
        for (port, bus) in &meetings[1..] {
            accepted(nodes[0].run(&["CLUSTER", "MEET", "127.0.0.1", port, bus]));
        }
        let cluster = Self { nodes };
        cluster.agree();
        cluster
    }

    /// `redis://…` of two of them.
    pub fn urls(&self) -> String {
        format!("{},{}", self.nodes[0].url(), self.nodes[1].url())
    }

    /// The primary that has a key.
    pub fn owner(&self, key: &str) -> usize {
        let slot = self.slot(key).parse::<u16>().unwrap();
        let has = |(first, last): &(&str, &str)| {
            (first.parse::<u16>().unwrap()..=last.parse().unwrap()).contains(&slot)
        };
        SLOTS.iter().position(has).unwrap()
    }

    /// Moves the slot of a key, with all keys that are in it, from one to another.
    pub fn move_slot(&self, key: &str, from: usize, to: usize) {
        let slot = self.slot(key);
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let id = |node: &Redis| node.run(&["CLUSTER", "MYID"]).text();
        let (from, to) = (id(source), id(target));
        accepted(target.run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]));
        accepted(source.run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]));
        loop {
            let Reply::Array(Some(keys)) = source.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])
            else {
                panic!("no keys are told");
            };
            if keys.is_empty() {
                break;
            }
            let keys: Vec<_> = keys.iter().map(Reply::text).collect();
            let port = target.port().to_string();
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            command.extend(keys.iter().map(String::as_str));
            source.run(&command).text();
        }
        accepted(target.run(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]));
        accepted(source.run(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]));
    }

    /// Waits until all serve all slots.
    pub fn agree(&self) {
        let until = Instant::now() + PATIENCE;
        for node in &self.nodes {
            loop {
                let info = node.run(&["CLUSTER", "INFO"]).text();
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    break;
                }
                assert!(Instant::now() < until, "the cluster does not agree: {info}");
                // Takes so many milliseconds, for there are no replicas.
                node.run(&["WAIT", "1", "50"]);
            }
        }
    }

    fn slot(&self, key: &str) -> String {
        let slot = self.nodes[0].run(&["CLUSTER", "KEYSLOT", key]);
        slot.number().to_string()
    }
}

fn accepted(reply: Reply) {
    assert_eq!(reply, Reply::Status("OK".to_owned()));
}
