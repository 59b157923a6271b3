//! Who is online where: this host's own users, and a mirror of the other hosts'.
//!
//! Pure: takes what happens here and what hosts say, gives who came online or went offline
//! as seen from here. Every host comes to the same view by itself, and tells its own
//! sessions alone, so that nobody is told anything twice.
//!
//! A host numbers its words. Who misses one reads everything anew; until then what was
//! known of that host stands.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Rooms of a user that other hosts are told, at most: those of any more are not told that
/// the user came or went.
pub(super) const ROOMS_LIMIT: usize = 256;

/// A tenant's user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct User {
    #[serde(rename = "t")]
    pub(super) tenant: Box<str>,
    #[serde(rename = "u")]
    pub(super) user: Box<str>,
}

/// The rooms that a user is heard in.
pub(super) type Rooms = Box<[Box<str>]>;

/// A user's first session at a host came, or the last one went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    #[serde(flatten)]
    pub(super) who: User,
    #[serde(rename = "o")]
    pub(super) online: bool,
    #[serde(rename = "r")]
    pub(super) rooms: Rooms,
}

/// What a host says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Word {
    /// Which one.
    pub(super) host: u64,
    /// Its number: one more than before where there are changes.
    pub(super) number: u64,
    /// What changed since the number before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<Change>,
    /// Everything changed: read it anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) anew: bool,
    /// It wants to hear from all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) asks: bool,
    /// Sessions there want to hear who comes and goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) listens: bool,
    /// It ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ends: bool,
}

/// What follows from a host's word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Who came online or went offline, as seen from here.
    pub(super) changes: Vec<Change>,
    /// All users of that host are to be read.
    pub(super) read: bool,
}

struct Peer {
    heard: Instant,
    /// Sessions there want to hear who comes and goes.
    listens: bool,
    /// Up to which of its words `users` is true; `None` before it was read.
    number: Option<u64>,
    /// The latest of its words.
    latest: u64,
    reading: bool,
    users: HashMap<User, Rooms>,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Mirror {
    here: HashMap<User, Here>,
    peers: HashMap<u64, Peer>,
    /// At how many other hosts a user is.
    elsewhere: HashMap<User, u32>,
}

struct Here {
    sessions: u32,
    rooms: Rooms,
}

impl Mirror {
    /// A session of this host began. Whether it is the user's first here, and whether the
    /// user was offline everywhere.
    pub(super) fn arrived(&mut self, who: &User, rooms: &Rooms) -> (bool, bool) {
        let here = self.here.entry(who.clone()).or_insert_with(|| Here {
            sessions: 0,
            rooms: rooms.clone(),
        });
        here.sessions += 1;
        here.rooms = rooms.clone();
        let first = here.sessions == 1;
        (first, first && !self.elsewhere.contains_key(who))
    }

    /// One ended. Whether it was the user's last here, and whether the user is offline
    /// everywhere now.
    pub(super) fn departed(&mut self, who: &User) -> (bool, bool) {
        let Some(here) = self.here.get_mut(who) else {
            return (false, false);
        };
        here.sessions -= 1;
        if here.sessions > 0 {
            return (false, false);
        }
        self.here.remove(who);
        (true, !self.elsewhere.contains_key(who))
    }

    pub(super) fn online(&self, who: &User) -> bool {
        self.here.contains_key(who) || self.elsewhere.contains_key(who)
    }

    /// The tenant's users at this host, and their sessions.
    pub(super) fn population(&self, tenant: &str) -> (usize, usize) {
        let of_tenant = self.here.iter().filter(|(who, _)| *who.tenant == *tenant);
        let sessions = of_tenant.map(|(_, here)| here.sessions as usize);
        sessions.fold((0, 0), |(users, sum), sessions| (users + 1, sum + sessions))
    }

    /// This host's users and where they are heard.
    pub(super) fn here(&self) -> Vec<(User, Rooms)> {
        let here = self.here.iter();
        here.map(|(who, here)| (who.clone(), here.rooms.clone()))
            .collect()
    }

    /// Another host said something.
    pub(super) fn heard(&mut self, word: Word, now: Instant) -> Heard {
        let mut heard = Heard::default();
        if word.ends {
            heard.changes = self.forget(word.host);
            return heard;
        }
        let peer = self.peers.entry(word.host).or_insert_with(|| Peer {
            heard: now,
            listens: false,
            number: None,
            latest: 0,
            reading: false,
            users: HashMap::new(),
        });
        (peer.heard, peer.listens) = (now, word.listens);
        peer.latest = word.number;
        let before = word
            .number
            .wrapping_sub(u64::from(!word.changes.is_empty()));
        if word.anew || peer.reading || peer.number != Some(before) {
            heard.read = !std::mem::replace(&mut peer.reading, true);
            return heard;
        }
        peer.number = Some(word.number);
        for change in word.changes {
            heard.changes.extend(self.apply(word.host, change));
        }
        heard
    }

    /// All users of a host were read, as of its word of this number; `None`: it could not
    /// be read. Says whether they have to be read again.
    pub(super) fn read(&mut self, host: u64, read: Option<(u64, HashMap<User, Rooms>)>) -> Heard {
        let mut heard = Heard::default();
        let Some(peer) = self.peers.get_mut(&host) else {
            return heard;
        };
        let Some((number, users)) = read else {
            // Its next word has it read again.
            (peer.reading, peer.number) = (false, None);
            return heard;
        };
        heard.read = number < peer.latest;
        (peer.reading, peer.number) = (heard.read, Some(number));
        let gone = peer
            .users
            .iter()
            .filter(|(who, _)| !users.contains_key(who));
        let gone: Vec<_> = gone
            .map(|(who, rooms)| (who.clone(), rooms.clone()))
            .collect();
        for (who, rooms) in gone {
            let change = Change {
                who,
                online: false,
                rooms,
            };
            heard.changes.extend(self.apply(host, change));
        }
        for (who, rooms) in users {
            let change = Change {
                who,
                online: true,
                rooms,
            };
            heard.changes.extend(self.apply(host, change));
        }
        heard
    }

    /// Hosts that were not heard of since `lease` before `now` are gone, and their users.
    pub(super) fn expire(&mut self, now: Instant, lease: Duration) -> Vec<Change> {
        let late = |peer: &Peer| now.saturating_duration_since(peer.heard) > lease;
        let late = self.peers.iter().filter(|(_, peer)| late(peer));
        let late: Vec<u64> = late.map(|(host, _)| *host).collect();
        late.into_iter()
            .flat_map(|host| self.forget(host))
            .collect()
    }

    /// The connection was lost and is back: every host may be heard anew before it counts
    /// as gone.
    pub(super) fn excuse(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.heard = now;
            (peer.number, peer.reading) = (None, false);
        }
    }

    /// Whether sessions of other hosts want to hear who comes and goes.
    pub(super) fn is_listened(&self) -> bool {
        self.peers.values().any(|peer| peer.listens)
    }

    /// The other hosts that are heard of.
    pub(super) fn peers(&self) -> usize {
        self.peers.len()
    }

    fn forget(&mut self, host: u64) -> Vec<Change> {
        let users = self.peers.get(&host).map(|peer| peer.users.clone());
        let gone = users.into_iter().flatten();
        let gone: Vec<_> = gone
            .filter_map(|(who, rooms)| {
                let change = Change {
                    who,
                    online: false,
                    rooms,
                };
                self.apply(host, change)
            })
            .collect();
        self.peers.remove(&host);
        gone
    }

    /// Notes that a user came to another host or left it. Gives it back where the user was
    /// offline, or is now.
    fn apply(&mut self, host: u64, change: Change) -> Option<Change> {
        let users = &mut self.peers.get_mut(&host)?.users;
        let who = change.who.clone();
        if change.online {
            if users.insert(who.clone(), change.rooms.clone()).is_some() {
                return None;
            }
            let hosts = self.elsewhere.entry(who.clone()).or_insert(0);
            *hosts += 1;
            return (*hosts == 1 && !self.here.contains_key(&who)).then_some(change);
        }
        users.remove(&who)?;
        let hosts = self.elsewhere.get_mut(&who)?;
        *hosts -= 1;
        if *hosts > 0 {
            return None;
        }
        self.elsewhere.remove(&who);
        (!self.here.contains_key(&who)).then_some(change)
    }
}

#[cfg(test)]
mod tests;
