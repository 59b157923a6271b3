//! What hosts ask each other: what only the host of a session knows, or can do to it.
//!
//! Who asks has made sure that it may be asked. Absent on purpose: how it travels ([`crate::broker::peers`]), and what
//! the answers are made from.

mod pattern;

pub(crate) use pattern::matches;

use crate::broker::peers::{Peers, Silence};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most rooms that one host names.
pub const ROOMS_LIMIT: usize = 100_000;

/// The most sessions in a room that one host names.
pub const PRESENT_LIMIT: usize = 20_000;

/// Something to be done to the sessions of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// The tenant's public id.
    pub tenant: Box<str>,
    /// The user.
    pub user: Box<str>,
    /// One connection alone.
    pub client: Option<Box<str>>,
    /// Connections that are not meant.
    pub spared: Vec<Box<str>>,
    /// What is done.
    pub act: Act,
}

/// What is done to sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// They end with this close code and reason.
    Disconnect(u16, Box<str>),
    /// They hear a room from now on, if the tenant's rule lets them.
    Subscribe(Box<str>),
    /// They hear a room no more, unless they are its members.
    Unsubscribe(Box<str>),
}

/// A session that hears a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Its user.
    pub user: Box<str>,
    /// The name of its connection.
    pub client: Box<str>,
    /// What its token says of it: JSON.
    pub info: Option<Box<str>>,
}

/// How much of a tenant is on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The host's name.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// For how many seconds it runs.
    pub uptime: u64,
    /// How long what it says to all hosts takes to come back to it, or since when it has been awaited in vain: in
    /// microseconds. Nothing where hosts hear nothing of each other.
    #[serde(default)]
    pub lag: Option<u64>,
    /// The tenant's sessions.
    pub sessions: usize,
    /// Users with a session.
    pub users: usize,
    /// Rooms that somebody hears.
    pub rooms: usize,
    /// By how many sessions they are heard, added up.
    pub subscriptions: u64,
    /// The rooms that were asked for, and how many sessions hear each: up to [`ROOMS_LIMIT`].
    pub named: Vec<(Box<str>, u32)>,
    /// Whether there are more.
    pub more: bool,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// The session has it, or will once it may go on.
    Taken,
    /// There is no such session.
    Unknown,
    /// Too much waits for the session already.
    Crowded,
}

/// A question to another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Do this. [`Answer::Done`].
    Act(Errand),
    /// Who hears a room? [`Answer::Present`].
    Present { tenant: Box<str>, room: Box<str> },
    /// How much of a tenant is there, and which rooms whose names fit a pattern? [`Answer::Standing`].
    Standing {
        tenant: Box<str>,
        pattern: Option<Box<str>>,
    },
    /// Take a frame, in Base64, to the session with a ticket. [`Answer::Fate`].
    Say { ticket: Box<str>, frame: String },
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done; whether some of the sessions hear the room as members, and go on to.
    Done { members: bool },
    /// Who hears a room.
    Present(Vec<Present>),
    /// How much there is.
    Standing(Standing),
    /// What became of a frame.
    Fate(Fate),
    /// There is more than can be told.
    TooMuch,
    /// It could not be done: why, for people.
    Failed(String),
}

impl Question {
    /// What a host was asked, if it understands that.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The frame that a question brings.
    pub(crate) fn frame(frame: &str) -> Option<Bytes> {
        BASE64_STANDARD.decode(frame).ok().map(Bytes::from)
    }

    fn write(&self) -> Bytes {
        // It is made of texts and numbers: that always succeeds.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl Answer {
    /// For the host that asked.
    pub(crate) fn write(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Why not all hosts have done it, or have said what they know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Apart {
    /// Some could not be asked, or said nothing.
    #[error("{0} of the other hosts did not answer; try again")]
    Unheard(usize),
    /// It is too much.
    #[error("another host has more of it than it can tell")]
    TooMuch,
    /// One could not do it.
    #[error("another host: {0}")]
    Failed(String),
}

/// The other hosts.
#[derive(Clone)]
pub(crate) struct Others(Arc<dyn Peers>);

impl Others {
    /// Those that a broker reaches.
    pub(crate) fn new(peers: Arc<dyn Peers>) -> Self {
        Self(peers)
    }

    /// Has it done everywhere. Whether some sessions hear the room as members, and go on to.
    pub(crate) async fn run(&self, errand: Errand) -> Result<bool, Apart> {
        // A host that is out of reach may have such sessions.
        let answers = self.ask(&Question::Act(errand), true).await?;
        let members = |answer: &Answer| matches!(answer, Answer::Done { members: true });
        Ok(answers.iter().any(members))
    }

    /// Who hears a room anywhere else.
    pub(crate) async fn present(&self, tenant: &str, room: &str) -> Result<Vec<Present>, Apart> {
        let question = Question::Present {
            tenant: tenant.into(),
            room: room.into(),
        };
        let answers = self.ask(&question, false).await?.into_iter();
        let lists = answers.filter_map(|answer| match answer {
            Answer::Present(list) => Some(list),
            _ => None,
        });
        Ok(lists.flatten().collect())
    }

    /// How much of a tenant is at each of the others, and which rooms.
    pub(crate) async fn standing(
        &self,
        tenant: &str,
        pattern: Option<&str>,
    ) -> Result<Vec<Standing>, Apart> {
        let question = Question::Standing {
            tenant: tenant.into(),
            pattern: pattern.map(Into::into),
        };
        let answers = self.ask(&question, false).await?.into_iter();
        let standings = answers.filter_map(|answer| match answer {
            Answer::Standing(standing) => Some(standing),
            _ => None,
        });
        Ok(standings.collect())
    }

    /// Takes a frame to a session of another host; `None` where there is no such host, or it says nothing.
    pub(crate) async fn say(&self, host: &str, ticket: &str, frame: &[u8]) -> Option<Fate> {
        let question = Question::Say {
            ticket: ticket.into(),
            frame: BASE64_STANDARD.encode(frame),
        };
        let answer = self.0.ask(host, question.write()).await;
        match answer.map(|answer| serde_json::from_slice(&answer)) {
            Ok(Ok(Answer::Fate(fate))) => Some(fate),
            // It may have it already: the client is not to say it twice.
            Err(Silence::Silent) | Ok(_) => Some(Fate::Unknown),
            Err(Silence::Absent) => None,
        }
    }

    /// Asks all of them; `everywhere`: those, too, that were there a moment ago.
    async fn ask(&self, question: &Question, everywhere: bool) -> Result<Vec<Answer>, Apart> {
        let heard = self.0.ask_all(question.write()).await;
        let mut unheard = heard.silent;
        if everywhere {
            unheard += heard.absent;
        }
        let mut answers = Vec::with_capacity(heard.answers.len());
        for answer in heard.answers {
            // A host that only begins has no sessions yet.
            if answer.is_empty() {
                continue;
            }
            match serde_json::from_slice(&answer) {
                Ok(Answer::TooMuch) => return Err(Apart::TooMuch),
                Ok(Answer::Failed(why)) => return Err(Apart::Failed(why)),
                Ok(answer) => answers.push(answer),
                // Of another version, perhaps.
                Err(_) => unheard += 1,
            }
        }
        match unheard {
            0 => Ok(answers),
            unheard => Err(Apart::Unheard(unheard)),
        }
    }
}
