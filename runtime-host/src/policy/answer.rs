//! What a decision comes to, once the authority and the tenant's policy were asked.

use crate::wasm::authority::{self, Identity, Question, Refusal};
use crate::wasm::policy::{Hook, Outcome, Ruling};
use std::sync::Arc;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::LogIn`].
    Login(Login),
    /// To [`Question::Rooms`] and [`Question::MayJoin`]: the rooms, and the cursor of the
    /// next page.
    Rooms(Vec<Heard>, Option<String>),
    /// To [`Question::MayPublish`], [`Question::MaySee`] and [`Question::HasRoom`].
    Yes,
    /// To [`Question::MayPublish`]: yes, with this payload in its place.
    Rewrite(Box<str>),
    /// To [`Question::TenantOfKey`].
    Tenant(String),
    /// To [`Question::KeysOf`].
    KeyServer(Box<authority::KeyServer>),
    /// To [`Question::EventsOf`].
    Events(Box<authority::EventSettings>),
    /// To [`Question::PoliciesOf`].
    Policies(Box<authority::Policies>),
    /// To any question.
    No(Refusal),
}

/// An accepted login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub who: Identity,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Whether the session may publish at all.
    pub may_publish: bool,
    /// What others are shown of it: JSON.
    pub info: Option<Arc<str>>,
    /// Rooms that its token names.
    pub channels: Arc<[String]>,
}

/// A room that a session hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its id.
    pub room: String,
    /// Whether the session may know who is online there.
    pub presence: bool,
    /// When that ends by itself, in seconds since the Unix epoch.
    pub expires: Option<u64>,
}

impl Answer {
    /// What is answered where the tenant has no policy of its own.
    pub(super) fn plain(answer: authority::Answer, question: &Question) -> Self {
        let all = |rooms: Vec<String>, next| {
            let heard = |room| Heard {
                room,
                presence: true,
                expires: None,
            };
            Self::Rooms(rooms.into_iter().map(heard).collect(), next)
        };
        match (answer, question) {
            (authority::Answer::Login(login), _) => Self::Login(Login {
                who: login.who,
                expires: login.expires,
                may_publish: true,
                info: login.info.map(Arc::from),
                channels: login.channels.into(),
            }),
            (authority::Answer::Rooms(rooms, next), _) => all(rooms, next),
            (authority::Answer::Joined(expires), Question::MayJoin(_, room, _)) => {
                let heard = Heard {
                    room: room.clone(),
                    presence: true,
                    expires,
                };
                Self::Rooms(vec![heard], None)
            }
            (authority::Answer::Events(settings), _) => Self::Events(Box::new(settings)),
            (authority::Answer::KeyServer(server), _) => Self::KeyServer(Box::new(server)),
            (
                authority::Answer::Yes
                | authority::Answer::Joined(_)
                | authority::Answer::Shared(_),
                _,
            ) => Self::Yes,
            (authority::Answer::Tenant(tenant), _) => Self::Tenant(tenant),
            (authority::Answer::Policies(policies), _) => Self::Policies(Box::new(policies)),
            (authority::Answer::No(refusal), _) => Self::No(refusal),
        }
    }

    /// The bytes of its strings.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Rooms(rooms, _) => rooms.iter().map(|heard| heard.room.len() + 32).sum(),
            Self::Rewrite(payload) => payload.len(),
            Self::Login(login) => {
                let info = login.info.as_deref().map_or(0, str::len);
                info + login
                    .channels
                    .iter()
                    .map(|room| room.len() + 24)
                    .sum::<usize>()
            }
            Self::Policies(policies) => policies
                .active
                .iter()
                .chain(&policies.candidate)
                .map(|stored| stored.chunks.len() * 160 + 64)
                .sum(),
            _ => 0,
        }
    }

    /// One word for it, for people and counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::No(_) => "deny",
            Self::Rewrite(_) => "rewrite",
            _ => "allow",
        }
    }
}

/// Whose policy is asked beside the authority, if anybody's.
pub(super) fn tenant_of<'a>(
    question: &'a Question,
    answer: &'a authority::Answer,
) -> Option<&'a str> {
    match answer {
        authority::Answer::No(_) => None,
        authority::Answer::Login(login) => Some(&login.who.tenant),
        _ => asker(question),
    }
}

/// The tenant of the user that a question is about, where it names one.
pub(super) fn asker(question: &Question) -> Option<&str> {
    match question {
        Question::Rooms(who, _)
        | Question::MayJoin(who, ..)
        | Question::MayPublish(who, _)
        | Question::MaySee(who, _) => Some(&who.tenant),
        // What a tenant's backend may do is no question for the tenant's policy.
        Question::LogIn(_)
        | Question::TenantOfKey(_)
        | Question::HasRoom(..)
        | Question::KeysOf(_)
        | Question::EventsOf(_)
        | Question::PoliciesOf(_) => None,
    }
}

/// What the policy is asked next about a question, given the answer so far; `None` once
/// there is nothing more to ask. `step` counts from 0.
pub(super) fn hook(
    question: &Question,
    plain: &authority::Answer,
    so_far: &Answer,
    step: usize,
) -> Option<Hook> {
    let rooms = |heard: &[Heard]| heard.iter().map(|heard| heard.room.clone()).collect();
    match (question, so_far, step) {
        (Question::LogIn(_), Answer::Login(login), 0) => Some(Hook::Login(login.who.clone())),
        (Question::Rooms(who, _) | Question::MayJoin(who, ..), Answer::Rooms(heard, _), 0)
            if !heard.is_empty() =>
        {
            Some(Hook::Join(who.clone(), rooms(heard)))
        }
        (Question::Rooms(who, _) | Question::MayJoin(who, ..), Answer::Rooms(heard, _), 1)
            if !heard.is_empty() =>
        {
            Some(Hook::Presence(who.clone(), rooms(heard)))
        }
        (Question::MayPublish(who, room), Answer::Yes, 0) => {
            Some(Hook::Publish(who.clone(), room.clone()))
        }
        (Question::MaySee(who, _), Answer::Yes, 0) => match plain {
            authority::Answer::Shared(rooms) if !rooms.is_empty() => {
                Some(Hook::Presence(who.clone(), rooms.clone()))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The answer after the policy's ruling on it.
pub(super) fn refine(question: &Question, so_far: Answer, hook: &Hook, ruling: Ruling) -> Answer {
    match (ruling.outcome, so_far, hook) {
        (Outcome::Deny(refusal), _, _) => Answer::No(refusal),
        (
            Outcome::Login {
                expires,
                may_publish,
            },
            Answer::Login(login),
            _,
        ) => Answer::Login(Login {
            expires: earlier(login.expires, expires),
            may_publish: login.may_publish && may_publish,
            ..login
        }),
        (Outcome::Each(each), Answer::Rooms(mut heard, next), Hook::Presence(..)) => {
            for (heard, refusal) in heard.iter_mut().zip(each) {
                heard.presence = refusal.is_none();
            }
            Answer::Rooms(heard, next)
        }
        (Outcome::Each(mut each), Answer::Rooms(heard, next), _) => {
            if let (Question::MayJoin(..), [refusal @ Some(_)]) = (question, &mut each[..])
                && let Some(refusal) = refusal.take()
            {
                return Answer::No(refusal);
            }
            let joined = heard.into_iter().zip(each);
            let joined = joined.filter(|(_, refusal)| refusal.is_none());
            Answer::Rooms(joined.map(|(heard, _)| heard).collect(), next)
        }
        // Seen where one of the shared rooms shows it.
        (Outcome::Each(each), _, _) => {
            if each.iter().any(Option::is_none) {
                return Answer::Yes;
            }
            each.into_iter()
                .flatten()
                .next()
                .map_or(Answer::Yes, Answer::No)
        }
        (Outcome::Rewrite(payload), _, _) => Answer::Rewrite(payload.into_boxed_str()),
        (Outcome::Allow | Outcome::Login { .. }, so_far, _) => so_far,
    }
}

/// The earlier of two ends, where there are any.
pub(super) fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
