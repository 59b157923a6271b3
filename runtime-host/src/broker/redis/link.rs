//! The connections to Redis, which live and die together: two to each primary.
//!
//! Where a primary of a cluster is lost, or a slot moved, all are made anew, and every room is read from where it was.

use super::node::{Hear, Node, Scripts};
use super::places::Places;
use super::slots::Map;
use futures::future::try_join_all;
use redis::{Arg, Client, Cmd, RedisError, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long Redis may take to answer anything. Longer, and it is taken for gone.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Codes of refusals after which other connections are made: it is not, or not yet, the
/// Redis to talk to, or it has forgotten the scripts.
const MISPLACED: [&str; 8] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "NOSCRIPT",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
];

/// Connections to the same Redis or cluster.
pub(super) struct Link {
    /// Unlike that of every other link of this broker.
    pub(super) number: u64,
    pub(super) scripts: Scripts,
    /// The first of them.
    first: Node,
    /// The others of a cluster.
    others: Vec<Node>,
    /// Which keeps what, where there are several.
    map: Option<Map>,
    broken: watch::Sender<bool>,
}

/// Why a call has no answer.
pub(super) enum Failed {
    /// The link is gone: nobody knows whether the call took effect.
    Cut,
    /// Redis refuses it; it took no effect.
    Refused(String),
}

impl Link {
    /// Connects and has Redis learn the scripts.
    pub(super) async fn open(
        places: &Places,
        number: u64,
        hear: Hear,
    ) -> Result<Arc<Self>, String> {
        let mut failed = String::new();
        for place in &places.0 {
            let client = match place.client().await {
                Ok(client) => client,
                Err(reason) => {
                    failed = reason;
                    continue;
                }
            };
            match Self::open_at(&client, number, &hear).await {
                Ok(link) => return Ok(Arc::new(link)),
                Err(reason) => failed = reason,
            }
        }
        Err(failed)
    }

    async fn open_at(client: &Client, number: u64, hear: &Hear) -> Result<Self, String> {
        let (broken, _) = watch::channel(false);
        let first = Node::open(client, hear, &broken).await?;
        let Some(slots) = first.slots().await else {
            return Ok(Self {
                number,
                scripts: first.learn().await?,
                first,
                others: Vec::new(),
                map: None,
                broken,
            });
        };
        drop(first);
        let (broken, _) = watch::channel(false);
        let map = Map::read(&slots, sschat_redis::host(client))?;
        let primaries = map.primaries.iter().map(async |(host, port)| {
            let client = sschat_redis::elsewhere(client, host, *port)?;
            let node = Node::open(&client, hear, &broken).await;
            let node = node.map_err(|reason| format!("{host}:{port}: {reason}"))?;
            let scripts = node.learn().await?;
            Ok::<_, String>((node, scripts))
        });
        let mut nodes = try_join_all(primaries).await?.into_iter();
        let (first, scripts) = nodes.next().ok_or("the cluster has no primary")?;
        Ok(Self {
            number,
            scripts,
            first,
            others: nodes.map(|(node, _)| node).collect(),
            map: Some(map),
            broken,
        })
    }

    /// The Redis that keeps a key; without one, that by which hosts meet.
    fn node(&self, key: Option<&[u8]>) -> &Node {
        let owner = self.map.as_ref().map_or(0, |map| map.owner(key));
        let other = owner
            .checked_sub(1)
            .and_then(|index| self.others.get(index));
        other.unwrap_or(&self.first)
    }

    /// Runs one command, where its key is.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, Failed> {
        let node = self.node(key_of(command));
        self.until_broken(node.call(command)).await
    }

    /// Hears a channel from when this ends.
    pub(super) async fn hear(&self, how: &str, channel: &str) -> Result<(), Failed> {
        let mut command = redis::cmd(how);
        command.arg(channel);
        // What is sent to a sharded channel stays where its slot is; what is sent to another is counted where it is sent.
        let sharded = how != "SUBSCRIBE";
        let node = self.node(sharded.then_some(channel.as_bytes()));
        self.until_broken(node.hear(&command)).await.map(|_| ())
    }

    /// Ends once everything was heard that Redis had sent before. Fails where that takes
    /// longer than [`ANSWER_TIMEOUT`].
    pub(super) async fn prove(&self) -> Result<(), Failed> {
        let all = std::iter::once(&self.first).chain(&self.others);
        let proving = self.until_broken(try_join_all(all.map(Node::prove)));
        match tokio::time::timeout(ANSWER_TIMEOUT, proving).await {
            Ok(proven) => proven.map(|_| ()),
            Err(_) => {
                self.break_off();
                Err(Failed::Cut)
            }
        }
    }

    /// Gives the link up; calls that wait fail.
    pub(super) fn break_off(&self) {
        self.broken.send_replace(true);
    }

    /// Waits for the end of the link.
    pub(super) async fn broken(&self) {
        // It can't fail: the sender is here.
        let _ = self.broken.subscribe().wait_for(|broken| *broken).await;
    }

    async fn until_broken<T>(
        &self,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Failed> {
        let result = tokio::select! {
            biased;
            result = call => result,
            () = self.broken() => return Err(Failed::Cut),
        };
        result.map_err(|error| {
            let misplaced = error.code().is_some_and(|code| MISPLACED.contains(&code));
            if error.is_unrecoverable_error() || misplaced {
                self.break_off();
                return Failed::Cut;
            }
            Failed::Refused(error.to_string())
        })
    }
}

/// The key or sharded channel that says which Redis of a cluster a command is for.
fn key_of(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word),
        _ => None,
    });
    match words.next()? {
        b"PUBLISH" => None,
        // The script and the number of keys stand before the first.
        b"EVALSHA" => words.nth(2),
        _ => words.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn a_command_goes_where_its_key_is() {
        let of = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            key_of(&command).map(<[u8]>::to_vec)
        };
        assert_eq!(
            of(&["EVALSHA", "abc", "2", "k", "l", "v"]),
            Some(b"k".to_vec())
        );
        assert_eq!(of(&["DEL", "k", "l"]), Some(b"k".to_vec()));
        assert_eq!(of(&["SPUBLISH", "room", "x"]), Some(b"room".to_vec()));
        assert_eq!(of(&["PUBLISH", "all", "x"]), None);
        assert_eq!(of(&["PING"]), None);
    }
}
