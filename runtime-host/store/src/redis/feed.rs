//! The change feed: connects, listens, proves, doubts, and connects again.

use super::link::{Hear, Link, pulse};
use super::shared::{SPACE, Shared};
use super::{BEAT_INTERVAL, BEAT_PREFIX, LEASE};
use crate::Change;
use redis::{PushInfo, PushKind, Value};
use sschat_redis::Place;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a beat may take before the link is given up. Longer than the lease: a Redis that
/// was slow has forgotten nothing, and connecting anew would not make it faster.
const GIVE_UP: Duration = Duration::from_secs(3);

/// The first and the longest wait before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Keeps a link for as long as the runtime lasts. `first` hears how the first one went.
pub(super) async fn supervise(
    shared: Arc<Shared>,
    place: Place,
    first: SyncSender<Result<(), String>>,
) {
    let mut first = Some(first);
    let host = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let (mut number, mut wait) = (0_u64, RETRY.0);
    loop {
        number += 1;
        let name = format!("{host}.{number}");
        let ended = follow(&shared, &place, &name, &mut first).await;
        if shared.is_closed() {
            return;
        }
        let reason = match ended {
            Ended::Never(reason) => {
                if let Some(first) = first.take() {
                    let _ = first.send(Err(reason));
                    return;
                }
                reason
            }
            Ended::After(reason) => {
                wait = RETRY.0;
                shared.cut();
                tracing::warn!(redis = %shared.address, reason, "the change feed is lost");
                reason
            }
        };
        tracing::debug!(redis = %shared.address, reason, "connecting again");
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Half of `wait` to all of it, so that hosts that lost Redis together come back one by one.
fn jittered(wait: Duration) -> Duration {
    let chance = RandomState::new().hash_one(()) % 1_000;
    wait / 2 + wait * (chance as u32) / 2_000
}

/// How a link ended.
enum Ended {
    /// Before its feed was proven.
    Never(String),
    After(String),
}

/// Makes a link and lives with it to its end.
async fn follow(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
    first: &mut Option<SyncSender<Result<(), String>>>,
) -> Ended {
    let (heard, hearing) = watch::channel(0_u64);
    let hear = hear(Arc::clone(shared), pulse(name), heard);
    let opening = async {
        let client = place.client().await?;
        Link::open(&client, &shared.prefixes, name, hear).await
    };
    let link = match tokio::time::timeout(2 * GIVE_UP, opening).await {
        Ok(Ok(link)) => link,
        Ok(Err(reason)) => return Ended::Never(reason),
        Err(_) => return Ended::Never("it does not answer".to_owned()),
    };
    let mut proven = false;
    let reason = prove(shared, &link, hearing, &mut proven, first).await;
    link.break_off();
    if proven {
        Ended::After(reason)
    } else {
        Ended::Never(reason)
    }
}

/// What is done with what a feed says, whose beats are told of `pulse`. Runs where the feed
/// is read, in its order.
fn hear(shared: Arc<Shared>, pulse: String, heard: watch::Sender<u64>) -> Hear {
    Arc::new(move |push: PushInfo| {
        if push.kind != PushKind::Invalidate {
            return;
        }
        let Some(Value::Array(keys)) = push.data.into_iter().next() else {
            tracing::warn!(redis = %shared.address, "the state was flushed");
            shared.lose();
            return;
        };
        let mut beat = false;
        let mut changed = Vec::with_capacity(keys.len());
        for key in keys {
            let Value::BulkString(key) = key else {
                continue;
            };
            // No key of the state is anything but text.
            let Ok(key) = String::from_utf8(key) else {
                continue;
            };
            if !key.starts_with(BEAT_PREFIX) {
                changed.push(key);
            } else if key == pulse {
                beat = true;
            }
        }
        if !changed.is_empty() {
            shared
                .cache
                .invalidate(SPACE, changed.iter().map(String::as_str));
            // Nobody here waits for the barriers: it is not ours to acknowledge.
            shared.listeners.tell(&Change::Keys(changed.into()));
        }
        if beat {
            heard.send_modify(|beats| *beats += 1);
        }
    })
}

/// Proves the feed again and again. Returns why that ended.
async fn prove(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    mut heard: watch::Receiver<u64>,
    proven: &mut bool,
    first: &mut Option<SyncSender<Result<(), String>>>,
) -> String {
    let mut doubted = true;
    loop {
        let beat = shared.lease.beat();
        let sent = Instant::now();
        // One beat at a time, and each is told once: the next one heard is this one.
        let before = *heard.borrow_and_update();
        let mut asked = std::pin::pin!(link.beat());
        let mut answered = false;
        let give_up = tokio::time::sleep_until((sent + GIVE_UP).into());
        let mut give_up = std::pin::pin!(give_up);
        loop {
            let lapse = tokio::time::sleep_until(shared.lease.until().into());
            tokio::select! {
                biased;
                changed = heard.wait_for(|beats| *beats > before) => match changed {
                    Ok(_) => break,
                    Err(_) => return "the feed ended".to_owned(),
                },
                () = link.broken() => return "the connection ended".to_owned(),
                done = &mut asked, if !answered => match done {
                    Ok(()) => answered = true,
                    Err(error) => return error.to_string(),
                },
                () = lapse, if !doubted => {
                    doubted = true;
                    tracing::warn!(redis = %shared.address, "the change feed is in doubt");
                    shared.doubt();
                },
                () = &mut give_up => return "nothing comes by the feed".to_owned(),
            }
        }
        if sent.elapsed() >= LEASE {
            // So late that it proves nothing of now. All is in order again, it seems.
            continue;
        }
        // A process that was stopped finds the proof and the end of the lease together.
        if doubted || !shared.lease.holds() {
            shared.regain(link, beat, sent);
            (*proven, doubted) = (true, false);
        } else {
            shared.lease.renew(beat, sent, LEASE);
        }
        if let Some(first) = first.take() {
            let _ = first.send(Ok(()));
        }
        tokio::select! {
            () = link.broken() => return "the connection ended".to_owned(),
            () = tokio::time::sleep(BEAT_INTERVAL) => {}
        }
    }
}
