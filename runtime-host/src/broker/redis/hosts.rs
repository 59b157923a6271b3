//! What hosts tell each other: who is online at each of them, and that it is there still.
//!
//! Every host has a hash of its users in Redis that expires without it, and says by the
//! channel of all hosts what changes in it, both in one step. One that is not heard of for
//! a lease is gone, and its users with it. Silence counts only where it is proven that
//! everything said was heard.

use super::link::{Failed, Link};
use super::presence::{Change, Heard, Mirror, ROOMS_LIMIT, Rooms, User, Word};
use super::{Shared, locked};
use crate::broker::{Channel, Mail};
use redis::{Cmd, Value};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The channel of all hosts.
pub(super) const CONTROL: &str = "sschat-hosts";

/// Within this time the users of a host that is gone are offline everywhere.
pub const LEASE: Duration = Duration::from_secs(10);

/// How often a host says that it is there.
const BEAT: Duration = Duration::from_secs(2);

/// How often the connection is proven and silence is looked for.
pub(super) const PROOF: Duration = Duration::from_millis(500);

/// The silence after which a host is gone: so much less than the lease as it may take to
/// notice.
const SILENCE: Duration = Duration::from_secs(9);

/// How long Redis keeps the users of a host that says nothing.
const EXPIRY: u64 = 3 * LEASE.as_millis() as u64;

/// Changes of one word, at most: some hundred microseconds of Redis' time.
const CHANGES: usize = 512;

/// Changes that wait for Redis. More, and everything is told anew instead.
const WAITING_LIMIT: usize = 65_536;

/// Presence, and what of it other hosts are yet to be told.
#[derive(Default)]
pub(super) struct Presence {
    pub(super) inner: Mutex<Inner>,
    /// There is something to say.
    more: Notify,
    /// Sessions of this host that want to hear who comes and goes.
    listening: AtomicUsize,
    /// Whether some of other hosts do.
    listened: AtomicBool,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) mirror: Mirror,
    changes: Vec<Change>,
    /// Everything has to be told anew.
    anew: bool,
    /// Somebody asked whether this host is there.
    asked: bool,
    /// Of the last word.
    number: u64,
}

impl Presence {
    fn tell(&self, inner: &mut Inner, change: Change) {
        if inner.changes.len() >= WAITING_LIMIT {
            inner.changes.clear();
            inner.anew = true;
        }
        inner.changes.push(change);
        self.more.notify_one();
    }

    pub(super) fn arrived(&self, who: User, channels: &[Arc<Channel>]) -> bool {
        let rooms = names(channels);
        let mut inner = locked(&self.inner);
        let (first, online) = inner.mirror.arrived(&who, &rooms);
        if first {
            let change = Change {
                who,
                online: true,
                rooms,
            };
            self.tell(&mut inner, change);
        }
        online
    }

    pub(super) fn departed(&self, who: User, channels: &[Arc<Channel>]) -> bool {
        let rooms = names(channels);
        let mut inner = locked(&self.inner);
        let (last, offline) = inner.mirror.departed(&who);
        if last {
            let change = Change {
                who,
                online: false,
                rooms,
            };
            self.tell(&mut inner, change);
        }
        offline
    }

    pub(super) fn online(&self, who: &User) -> bool {
        locked(&self.inner).mirror.online(who)
    }

    pub(super) fn population(&self, tenant: &str) -> (usize, usize) {
        locked(&self.inner).mirror.population(tenant)
    }

    fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0
    }

    /// One more session of this host wants to hear who comes and goes, or one less.
    pub(super) fn listens(&self, more: bool) {
        if !more {
            self.listening.fetch_sub(1, Ordering::Relaxed);
        } else if self.listening.fetch_add(1, Ordering::Relaxed) == 0 {
            locked(&self.inner).asked = true;
            self.more.notify_one();
        }
    }

    /// Whether sessions of other hosts want to.
    pub(super) fn is_listened(&self) -> bool {
        self.listened.load(Ordering::Relaxed)
    }

    fn note_listened(&self, inner: &Inner) {
        self.listened
            .store(inner.mirror.is_listened(), Ordering::Relaxed);
    }

    /// The other hosts that are heard of.
    pub(super) fn peers(&self) -> usize {
        locked(&self.inner).mirror.peers()
    }
}

fn names(channels: &[Arc<Channel>]) -> Rooms {
    let channels = channels.iter().take(ROOMS_LIMIT);
    channels.map(|channel| channel.room.clone()).collect()
}

pub(super) fn keys(host: u64) -> (String, String) {
    let base = format!("sschat-host/{{{host:016x}}}");
    (format!("{base}/users"), format!("{base}/number"))
}

/// The call that says `word` after `before`, with what changes in the host's hash.
fn tell(
    link: &Link,
    word: Option<&Word>,
    changes: &[Change],
    anew: bool,
    of: (u64, u64, u64),
) -> Cmd {
    let (host, before, number) = of;
    let (users, last) = keys(host);
    let mut command = redis::cmd("EVALSHA");
    command.arg(&link.scripts.tell).arg(2).arg(users).arg(last);
    command.arg(u8::from(anew)).arg(before).arg(number);
    command.arg(EXPIRY).arg(CONTROL);
    // It is made of texts and numbers: that always succeeds.
    let message = word.and_then(|word| serde_json::to_vec(word).ok());
    command.arg(message.unwrap_or_default());
    for change in changes {
        command.arg(serde_json::to_vec(&change.who).unwrap_or_default());
        match change.online {
            true => command.arg(serde_json::to_vec(&change.rooms).unwrap_or_default()),
            false => command.arg(""),
        };
    }
    command
}

impl<M: Mail> Shared<M> {
    /// Says over a new link who is here, and then what changes, until the link ends.
    pub(super) async fn talk(self: &Arc<Self>, link: &Arc<Link>) -> Result<(), Failed> {
        self.listen(link).await?;
        link.hear("SUBSCRIBE", CONTROL).await?;
        locked(&self.presence.inner).mirror.excuse(Instant::now());
        self.tell_anew(link).await?;
        let mut beat = Instant::now();
        let mut proof = tokio::time::interval(PROOF);
        loop {
            tokio::select! {
                () = link.broken() => return Err(Failed::Cut),
                () = self.presence.more.notified() => {}
                _ = proof.tick() => {
                    let asked = Instant::now();
                    link.prove().await?;
                    self.pulse.proven(asked);
                    let gone = {
                        let mut inner = locked(&self.presence.inner);
                        let gone = inner.mirror.expire(asked, SILENCE);
                        self.presence.note_listened(&inner);
                        gone
                    };
                    self.announce(gone);
                }
            }
            let due = beat.elapsed() >= BEAT;
            if self.say(link, due).await? {
                beat = Instant::now();
            }
        }
    }

    /// Says what changed; or that the host is there, where that is due or asked for.
    /// Whether anything was said.
    async fn say(self: &Arc<Self>, link: &Arc<Link>, due: bool) -> Result<bool, Failed> {
        let mut said = false;
        loop {
            let anew = locked(&self.presence.inner).anew;
            if anew {
                self.tell_anew(link).await?;
                return Ok(true);
            }
            let (changes, before, number) = {
                let mut inner = locked(&self.presence.inner);
                let count = inner.changes.len().min(CHANGES);
                let asked = std::mem::take(&mut inner.asked);
                if count == 0 && (said || !(due || asked)) {
                    return Ok(said);
                }
                let changes: Vec<Change> = inner.changes.drain(..count).collect();
                let before = inner.number;
                inner.number += u64::from(count > 0);
                (changes, before, inner.number)
            };
            let word = Word {
                host: self.host,
                number,
                changes,
                anew: false,
                asks: false,
                listens: self.presence.is_listening(),
                ends: false,
            };
            let of = (self.host, before, number);
            let command = tell(link, Some(&word), &word.changes, false, of);
            let answer = self.ask(link, &command).await?;
            if answer != Value::Int(1) {
                locked(&self.presence.inner).anew = true;
            }
            said = true;
        }
    }

    /// Tells everything anew.
    async fn tell_anew(self: &Arc<Self>, link: &Arc<Link>) -> Result<(), Failed> {
        let (here, mut number) = {
            let mut inner = locked(&self.presence.inner);
            inner.changes.clear();
            inner.anew = false;
            (inner.mirror.here(), inner.number)
        };
        let here = here.into_iter().map(|(who, rooms)| Change {
            who,
            online: true,
            rooms,
        });
        let here: Vec<Change> = here.collect();
        let mut parts: Vec<&[Change]> = here.chunks(CHANGES).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let before = number;
            number += 1;
            locked(&self.presence.inner).number = number;
            let word = Word {
                host: self.host,
                number,
                changes: Vec::new(),
                anew: true,
                asks: true,
                listens: self.presence.is_listening(),
                ends: false,
            };
            let word = (index == last).then_some(&word);
            let of = (self.host, before, number);
            let command = tell(link, word, part, index == 0, of);
            if self.ask(link, &command).await? != Value::Int(1) {
                locked(&self.presence.inner).anew = true;
            }
        }
        Ok(())
    }

    async fn ask(&self, link: &Link, command: &Cmd) -> Result<Value, Failed> {
        let answer = link.call(command).await;
        if let Err(Failed::Refused(reason)) = &answer {
            tracing::error!(redis = %self.address, reason, "presence can't be told");
        }
        answer
    }

    /// Says that this host ends.
    pub(super) async fn farewell(&self, link: &Link) {
        let word = Word {
            host: self.host,
            number: 0,
            changes: Vec::new(),
            anew: false,
            asks: false,
            listens: false,
            ends: true,
        };
        // Where it can't be said, the lease says so.
        let command = tell(link, Some(&word), &[], true, (self.host, 0, 0));
        let _ = self.ask(link, &command).await;
    }

    /// A word of a host, perhaps of this one.
    pub(super) fn word(self: &Arc<Self>, message: &[u8]) {
        let Ok(word) = serde_json::from_slice::<Word>(message) else {
            tracing::warn!(redis = %self.address, "a word that nobody understands");
            return;
        };
        if word.host == self.host {
            return;
        }
        let host = word.host;
        let heard = {
            let mut inner = locked(&self.presence.inner);
            if word.asks {
                inner.asked = true;
                self.presence.more.notify_one();
            }
            let heard = inner.mirror.heard(word, Instant::now());
            self.presence.note_listened(&inner);
            heard
        };
        self.follow(host, heard);
    }

    fn follow(self: &Arc<Self>, host: u64, heard: Heard) {
        self.announce(heard.changes);
        if heard.read {
            let shared = Arc::clone(self);
            self.runtime
                .spawn(async move { shared.read_users(host).await });
        }
    }

    /// Tells the sessions of this host who came and went elsewhere.
    pub(super) fn announce(&self, changes: Vec<Change>) {
        for change in changes {
            let tenant = &change.who.tenant;
            let rooms = change.rooms.iter();
            let channels: Vec<_> = rooms
                .filter_map(|room| self.channels.known(tenant, room))
                .collect();
            if !channels.is_empty() {
                let user = &change.who.user;
                self.mail.elsewhere(user, change.online, channels);
            }
        }
    }
}
