//! Who comes into rooms and leaves them, told to the hosts that hear those rooms: by the room's own channel, and only
//! while some other host has sessions that want to know.

use super::Shared;
use super::calls::Keys;
use crate::broker::{Channel, Mail, Visit};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Those that wait to be told, at most: the ones beyond are not.
const WAITING_LIMIT: usize = 16_384;

/// Told by one batch.
const AT_ONCE: usize = 256;

/// A message about who came begins with this, one about who left with that; publications begin otherwise.
const CAME: u8 = b'+';
const LEFT: u8 = b'-';

/// How a message goes on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told<'a> {
    /// The host where it happened.
    #[serde(rename = "h")]
    host: u64,
    #[serde(rename = "u", borrow)]
    user: Cow<'a, str>,
    #[serde(rename = "c", borrow)]
    client: Cow<'a, str>,
    #[serde(rename = "i", borrow, default, skip_serializing_if = "Option::is_none")]
    info: Option<Cow<'a, str>>,
}

/// What is to be told, and of which channel of Redis.
type Waiting = (String, Vec<u8>);

/// Those that wait.
pub(super) struct Visits {
    queue: mpsc::Sender<Waiting>,
}

impl Visits {
    /// None yet; and what takes them.
    pub(super) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (queue, queued) = mpsc::channel(WAITING_LIMIT);
        (Self { queue }, queued)
    }
}

fn write(host: u64, visit: &Visit) -> Vec<u8> {
    let told = Told {
        host,
        user: Cow::Borrowed(&visit.user),
        client: Cow::Borrowed(&visit.client),
        info: visit.info.as_deref().map(Cow::Borrowed),
    };
    let mut message = vec![if visit.came { CAME } else { LEFT }];
    // It is made of texts and numbers: that always succeeds.
    let _ = serde_json::to_writer(&mut message, &told);
    message
}

/// Who came or left, and at which host; `None` where the message is about something else.
fn read(message: &[u8]) -> Option<(u64, Visit)> {
    let (kind, rest) = message.split_first()?;
    let came = match *kind {
        CAME => true,
        LEFT => false,
        _ => return None,
    };
    let told: Told<'_> = serde_json::from_slice(rest).ok()?;
    let visit = Visit {
        user: told.user.into(),
        client: told.client.into(),
        info: told.info.map(Into::into),
        came,
    };
    Some((told.host, visit))
}

impl<M: Mail> Shared<M> {
    /// Has other hosts told.
    pub(super) fn visits(&self, channel: &Channel, visit: &Visit) {
        let keys = Keys::of(&channel.tenant, &channel.room);
        let waiting = (keys.channel().to_owned(), write(self.host, visit));
        if self.visits.queue.try_send(waiting).is_err() {
            tracing::debug!("too many come and go for all hosts to be told");
        }
    }

    /// Tells them, in their order.
    pub(super) async fn tell_visits(self: Arc<Self>, mut queued: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        while queued.recv_many(&mut batch, AT_ONCE).await > 0 {
            let link = self.link.borrow().clone();
            let commands: Vec<_> = batch
                .drain(..)
                .map(|(channel, message)| {
                    let mut command = redis::cmd("SPUBLISH");
                    command.arg(channel).arg(message);
                    command
                })
                .collect();
            // Without a connection nobody would hear it.
            if let Some(link) = link {
                let calls = commands.iter().map(|command| link.call(command));
                let failed = join_all(calls)
                    .await
                    .iter()
                    .filter(|it| it.is_err())
                    .count();
                if failed > 0 {
                    tracing::debug!(failed, "other hosts were not told who came and went");
                }
            }
        }
    }

    /// Takes in what a room's channel says, where it is about who came or left.
    pub(super) fn visited(&self, channel: &str, message: &[u8]) -> bool {
        let Some((host, visit)) = read(message) else {
            return false;
        };
        if host != self.host
            && let Some(channel) = self.rooms.named(channel)
        {
            self.mail.visited(&channel, visit);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        for (came, info) in [(true, Some(r#"{"a":"\u00e9\n"}"#)), (false, None)] {
            let visit = Visit {
                user: "u\"ser".into(),
                client: "c".into(),
                info: info.map(Into::into),
                came,
            };
            let message = write(u64::MAX, &visit);
            assert_eq!(read(&message), Some((u64::MAX, visit)));
        }
        for other in [&b""[..], b"+", b"-{}", b"1f 1 1 1\n", b"+{\"h\":-1}"] {
            assert_eq!(read(other), None);
        }
    }
}
