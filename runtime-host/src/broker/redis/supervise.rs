//! Connects, lives with the link to its end, and connects again.

use super::Shared;
use super::link::{ANSWER_TIMEOUT, Failed, Link};
use super::places::Places;
use crate::broker::Mail;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// The first and the longest wait before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Keeps a link for as long as the runtime lasts. `first` hears how the first one went.
pub(super) async fn supervise<M: Mail>(
    shared: Arc<Shared<M>>,
    places: Places,
    first: SyncSender<Result<(), String>>,
) {
    let mut first = Some(first);
    let (mut number, mut wait) = (0, RETRY.0);
    loop {
        number += 1;
        let opening = Link::open(&places, number, shared.ear());
        let opened = match tokio::time::timeout(2 * ANSWER_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(_) => Err("it does not answer".to_owned()),
        };
        match opened {
            Ok(link) => {
                wait = RETRY.0;
                if let Some(first) = first.take() {
                    let _ = first.send(Ok(()));
                }
                live(&shared, &link).await;
            }
            Err(reason) => {
                if let Some(first) = first.take() {
                    let _ = first.send(Err(reason));
                    return;
                }
                tracing::debug!(redis = %shared.address, reason, "not connected");
            }
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Lives with a link to its end.
async fn live<M: Mail>(shared: &Arc<Shared<M>>, link: &Arc<Link>) {
    // Before anything is published by this link: a room whose log lost its end gets
    // another epoch before it gets another publication.
    shared.subscribe_all(link);
    shared.link.send_replace(Some(Arc::clone(link)));
    // Rooms that came in between.
    shared.subscribe_all(link);
    let ended = shared.talk(link).await;
    link.break_off();
    shared.cut(link);
    let reason = match ended {
        Err(Failed::Refused(reason)) => reason,
        Ok(()) | Err(Failed::Cut) => "the connection ended".to_owned(),
    };
    tracing::warn!(redis = %shared.address, reason, "publications wait for Redis");
}

impl<M: Mail> Shared<M> {
    /// The link is gone.
    pub(super) fn cut(&self, link: &Link) {
        self.link.send_if_modified(|current| {
            let is = current.as_ref().is_some_and(|it| it.number == link.number);
            if is {
                *current = None;
            }
            is
        });
    }
}

/// Half of `wait` to all of it, so that hosts that lost Redis together come back one by one.
fn jittered(wait: Duration) -> Duration {
    let chance = super::calls::random() % 1_000;
    wait / 2 + wait * (chance as u32) / 2_000
}
