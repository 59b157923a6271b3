//! What was said in a channel, for a client that hears it.

use super::recovery::kept;
use super::{Done, Until};
use crate::broker::{Broker, Channel, Epoch, Page, Position, Query, Unread};
use crate::hub::ConnectionKey;
use crate::node::{Command, Sessions};
use crate::policy::memo::Watcher;
use crate::socket::Turn;
use sschat_history::HistoryError;
use sschat_protocol::centrifuge::{Failure, History, Reply};
use std::sync::Arc;

/// The most publications of one answer.
const PUBLICATIONS: usize = 4_096;

/// What was read for a command.
pub struct Shelf {
    channel: Arc<Channel>,
    /// The command's id.
    id: u32,
    page: Result<Page, Unread>,
}

impl Sessions {
    /// Reads what was said in a channel, for those who hear it.
    pub(super) fn history(
        &mut self,
        key: ConnectionKey,
        (id, asked): (u32, &History<'_>),
        out: &mut Vec<u8>,
    ) -> Done {
        let Some(session) = self.session(key) else {
            return Done::Next;
        };
        let watcher = session.watcher;
        let Some(place) = session.place(&asked.channel) else {
            return self.refused(key, id, &Failure::PERMISSION_DENIED, out);
        };
        let channel = Arc::clone(&place.channel);
        let (node, shard) = (Arc::clone(&self.node), self.shard);
        if !node.broker.keeps_history() {
            return self.refused(key, id, &Failure::NOT_AVAILABLE, out);
        }
        let since = asked.since.as_ref();
        let since = since.map(|since| (Box::from(&*since.epoch), since.offset));
        let limit = usize::try_from(asked.limit).unwrap_or(PUBLICATIONS);
        let query = Query {
            since: None,
            limit: limit.min(PUBLICATIONS),
            reverse: asked.reverse,
        };
        self.node.runtime.spawn(async move {
            let page = read(&*node.broker, &channel, since, query).await;
            let shelf = Box::new(Shelf { channel, id, page });
            node.post.tell(shard, Command::Read(watcher, shelf));
        });
        Done::Wait(Until::Answer)
    }

    /// The history was read that a client asked for.
    pub(in crate::node) fn history_read(
        &mut self,
        watcher: Watcher,
        shelf: Box<Shelf>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(key) = self.find(watcher)
            && let Some(client) = self.client(key)
        {
            client.page = Some(shelf);
            self.answer_what_is_known(key, turn);
        }
    }

    /// Answers a client that waits for history, if it still hears the channel.
    pub(super) fn answer_history(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        let budget = self.node.settings.recovery_bytes;
        let Some(shelf) = self.client(key).and_then(|client| client.page.take()) else {
            return;
        };
        let Shelf { channel, id, page } = *shelf;
        let session = self.session(key);
        let hears = session.is_some_and(|it| it.place(&channel.room).is_some());
        let answer = match page {
            _ if !hears => Err(Failure::PERMISSION_DENIED),
            Ok(page) => {
                let payloads = page.publications.iter().map(|it| it.payload.len());
                match payloads.sum::<usize>() > budget {
                    true => Err(too_much()),
                    false => Ok(page),
                }
            }
            Err(unread) => Err(failure(&unread)),
        };
        self.say(key, turn, |session, _, _, out| match &answer {
            Err(failure) => session.refused(id, failure, out),
            Ok(page) => {
                let publications: Vec<_> = page.publications.iter().map(|it| kept(it)).collect();
                let epoch = page.top.epoch.to_string();
                let reply = Reply::History {
                    publications: &publications,
                    epoch: &epoch,
                    offset: page.top.offset,
                };
                session.replied(id, &reply, out);
            }
        });
        self.go_on_after(key, Until::Answer, turn);
    }
}

async fn read(
    broker: &dyn Broker,
    channel: &Arc<Channel>,
    since: Option<(Box<str>, u64)>,
    query: Query,
) -> Result<Page, Unread> {
    let Some((epoch, offset)) = since else {
        return broker.history(channel, query).await;
    };
    let epoch = match epoch.parse::<Epoch>() {
        Ok(epoch) => epoch,
        Err(_) if epoch.is_empty() => broker.history(channel, Query::default()).await?.top.epoch,
        Err(_) => return Err(HistoryError::WrongEpoch.into()),
    };
    let since = Some(Position { epoch, offset });
    broker.history(channel, Query { since, ..query }).await
}

fn failure(unread: &Unread) -> Failure {
    match unread {
        Unread::NotKept => Failure::NOT_AVAILABLE,
        Unread::History(HistoryError::WrongEpoch) => Failure::UNRECOVERABLE_POSITION,
        Unread::History(error) => {
            tracing::warn!(%error, "history was not read");
            Failure::INTERNAL
        }
    }
}

fn too_much() -> Failure {
    let message = "too many bytes for one answer: ask for fewer publications";
    Failure {
        message: message.into(),
        ..Failure::LIMIT_EXCEEDED
    }
}
