//! What clients say by requests of their own, because their connection carries nothing but what they are told.
//!
//! Such a session has a *ticket*, told to its client alone: where the session is, and a secret. A frame that comes with it
//! goes to the session's shard, in the order of its requests, and is handed over there like one from a socket.
//!
//! Absent on purpose: HTTP ([`crate::http`]), and sessions of other hosts.

use super::{Command, Post, Sessions};
use crate::hub::ConnectionKey;
use crate::peers::Fate;
use crate::socket::{Fed, Turn};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Digits of a ticket that say which shard it is.
const SHARD: usize = 2;

/// Digits of a ticket that say which of its connections it is.
const CONNECTION: usize = 8;

/// Digits of a ticket that nobody can guess.
const SECRET: usize = 32;

/// How long a shard may take to say what became of a frame: many times as long as it stands still when what it knows is
/// in doubt.
const PATIENCE: Duration = Duration::from_secs(5);

/// A frame on its way to its session.
pub struct Said {
    connection: ConnectionKey,
    secret: Uuid,
    frame: Bytes,
    fate: oneshot::Sender<Fate>,
}

/// A ticket, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticket {
    shard: usize,
    connection: ConnectionKey,
    secret: Uuid,
}

impl Ticket {
    fn show(self) -> String {
        let Self {
            shard,
            connection,
            secret,
        } = self;
        let (shard_width, width) = (SHARD, CONNECTION);
        let secret = secret.simple();
        format!("{shard:0shard_width$x}{connection:0width$x}{secret}")
    }

    fn read(text: &str) -> Option<Self> {
        let digits = text.len() == SHARD + CONNECTION + SECRET
            && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (place, secret) = text
            .split_at_checked(SHARD + CONNECTION)
            .filter(|_| digits)?;
        Some(Self {
            shard: usize::from_str_radix(&place[..SHARD], 16).ok()?,
            connection: ConnectionKey::from_str_radix(&place[SHARD..], 16).ok()?,
            secret: Uuid::try_parse(secret).ok()?,
        })
    }
}

/// Whether two secrets are the same, in a time that does not tell how much of them is.
fn same(one: Uuid, other: Uuid) -> bool {
    let pairs = one.as_bytes().iter().zip(other.as_bytes());
    let differences = pairs.fold(0, |sum, (one, other)| sum | (one ^ other));
    std::hint::black_box(differences) == 0
}

impl Post {
    /// The name of this host, which sessions with a ticket know.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Takes a frame to the session with this ticket.
    pub(crate) async fn say(&self, ticket: &str, frame: Bytes) -> Fate {
        let Some(ticket) = Ticket::read(ticket) else {
            return Fate::Unknown;
        };
        let (fate, told) = oneshot::channel();
        let said = Said {
            connection: ticket.connection,
            secret: ticket.secret,
            frame,
            fate,
        };
        self.tell(ticket.shard, Command::Said(Box::new(said)));
        // A host that ends takes no more letters, and there may be no such shard.
        let told = tokio::time::timeout(PATIENCE, told).await;
        told.ok().and_then(Result::ok).unwrap_or(Fate::Unknown)
    }
}

impl Sessions {
    /// What the client of a session is to show with what it says, where that comes apart from its connection.
    pub(super) fn ticket(&mut self, key: ConnectionKey) -> Option<String> {
        let ticket = Ticket {
            shard: self.shard,
            connection: key,
            secret: self.apart(key)?,
        };
        Some(ticket.show())
    }

    /// A frame came for a session.
    pub(super) fn said_apart(&mut self, said: Said, turn: &mut Turn<'_>) {
        let key = said.connection;
        let known = self.apart(key).filter(|it| same(*it, said.secret));
        let fate = match known.map(|_| turn.feed(key, said.frame)) {
            Some(Fed::Taken) => Fate::Taken,
            Some(Fed::Crowded) => Fate::Crowded,
            Some(Fed::Closed) | None => Fate::Unknown,
        };
        // Who asked may have gone.
        let _ = said.fate.send(fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_shown() {
        for (shard, connection) in [(0, 0), (255, 0x00FF_FFFF), (3, ConnectionKey::MAX)] {
            let secret = Uuid::new_v4();
            let ticket = Ticket {
                shard,
                connection,
                secret,
            };
            assert_eq!(Ticket::read(&ticket.show()), Some(ticket));
        }
    }

    #[test]
    fn what_is_no_ticket_is_none() {
        let good = "0000000001".to_owned() + &"a".repeat(SECRET);
        assert!(Ticket::read(&good).is_some());
        let signed = good.replacen("00", "+0", 1);
        let wide = "é".repeat(good.len() / 2);
        for bad in ["", &good[1..], &format!("{good}0"), &signed, &wide] {
            assert_eq!(Ticket::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_the_same_only_if_every_bit_is() {
        let secret = Uuid::new_v4();
        assert!(same(secret, secret));
        for bit in 0..128 {
            let other = Uuid::from_u128(secret.as_u128() ^ (1 << bit));
            assert!(!same(secret, other), "{bit}");
        }
    }
}
