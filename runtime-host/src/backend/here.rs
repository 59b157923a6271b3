//! What is done and known on this host alone; other hosts ask for it, too.

use super::{RoomBackend, declined};
use crate::broker::peers::Answering;
use crate::http::policies::Declined;
use crate::node;
use crate::peers::{
    Act, Answer, Errand, Fate, PRESENT_LIMIT, Present, Question, ROOMS_LIMIT, Standing, matches,
};
use crate::policy::answer;
use crate::policy::trace::Occasion;
use crate::wasm::authority::{self, Identity};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

impl RoomBackend {
    /// Does it to the sessions of this host. Whether some hear the room as members, and go on to.
    pub(super) async fn act_here(&self, errand: &Errand) -> Result<bool, Declined> {
        let tenant = &errand.tenant;
        let act = match &errand.act {
            Act::Disconnect(code, reason) => node::Act::Disconnect {
                code: *code,
                reason: reason.clone(),
            },
            Act::Subscribe(room) => {
                let identity = Identity {
                    tenant: tenant.to_string(),
                    user: errand.user.to_string(),
                };
                let question = authority::Question::MayJoin(identity, room.to_string(), None);
                let decided = self.policy.decide(question, &Occasion::default()).await?;
                if let Some(answer::Answer::No(refusal)) = decided.answer() {
                    return Err(declined(StatusCode::FORBIDDEN, "denied", &refusal.reason));
                }
                let channel = self.channels.get(tenant, room);
                // A room is heard once all hosts' publications come here.
                if let Some(attended) = self.broker.attend(&[Arc::clone(&channel)]) {
                    attended.await;
                }
                node::Act::Subscribe(channel, decided)
            }
            Act::Unsubscribe(room) => node::Act::Unsubscribe(room.clone()),
        };
        let whose = node::Whose {
            tenant: tenant.clone(),
            user: errand.user.clone(),
            client: errand.client.clone(),
            spared: errand.spared.clone(),
        };
        Ok(self.post.run(whose, act).await.members)
    }

    /// Who hears a room here.
    pub(super) async fn present_here(&self, tenant: &str, room: &str) -> Vec<Present> {
        let Some(channel) = self.channels.known(tenant, room) else {
            return Vec::new();
        };
        let present = self.post.who_hears(&channel).await.into_iter();
        present.map(Present::from).collect()
    }

    /// How much of a tenant is here, and which rooms whose names fit the pattern.
    pub(super) fn standing_here(&self, tenant: &str, pattern: Option<&str>) -> Standing {
        let (users, sessions) = self.broker.population(tenant);
        let lag = self.broker.lag();
        let mut standing = Standing {
            host: self.post.host().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed().as_secs(),
            lag: lag.map(|lag| u64::try_from(lag.as_micros()).unwrap_or(u64::MAX)),
            sessions,
            users,
            ..Standing::default()
        };
        for channel in self.channels.of(tenant) {
            let members = channel.members.load(Ordering::Relaxed);
            if members == 0 {
                continue;
            }
            standing.rooms += 1;
            standing.subscriptions += u64::from(members);
            let fits = |it: &str| matches(it.as_bytes(), channel.room.as_bytes());
            if pattern.is_some_and(fits) {
                if standing.named.len() < ROOMS_LIMIT {
                    standing.named.push((channel.room.clone(), members));
                } else {
                    standing.more = true;
                }
            }
        }
        standing
    }

    async fn answer_other(&self, question: Question) -> Answer {
        match question {
            Question::Act(errand) => match self.act_here(&errand).await {
                Ok(members) => Answer::Done { members },
                Err(declined) => Answer::Failed(declined.msg),
            },
            Question::Present { tenant, room } => {
                let members = self.channels.known(&tenant, &room).map_or(0, |channel| {
                    channel.members.load(Ordering::Relaxed) as usize
                });
                if members > PRESENT_LIMIT {
                    return Answer::TooMuch;
                }
                Answer::Present(self.present_here(&tenant, &room).await)
            }
            Question::Standing { tenant, pattern } => {
                Answer::Standing(self.standing_here(&tenant, pattern.as_deref()))
            }
            Question::Say { ticket, frame } => match Question::frame(&frame) {
                Some(frame) => Answer::Fate(self.post.say(&ticket, frame).await),
                None => Answer::Fate(Fate::Unknown),
            },
        }
    }
}

/// Answers the other hosts, while there is a backend.
pub(crate) struct AtHome(pub(crate) Weak<RoomBackend>);

impl Answering for AtHome {
    fn answer(&self, question: Bytes) -> BoxFuture<'static, Bytes> {
        let Some(backend) = self.0.upgrade() else {
            return std::future::ready(Bytes::new()).boxed();
        };
        async move {
            let answer = match Question::read(&question) {
                Some(question) => backend.answer_other(question).await,
                None => Answer::Failed("it does not know the question".to_owned()),
            };
            answer.write()
        }
        .boxed()
    }
}

impl From<node::Present> for Present {
    fn from(present: node::Present) -> Self {
        Self {
            user: (&*present.user).into(),
            client: (&*present.client).into(),
            info: present.info.as_deref().map(Into::into),
        }
    }
}
