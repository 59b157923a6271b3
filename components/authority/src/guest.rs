//! The component's side of the WIT package: arguments in, verdicts out.

// The bindings are generated.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::mem_forget
)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "sschat:policy/authority",
    });
    use super::Authority;
    export!(Authority);
}

use crate::decisions::{self, Clock, Identity};
use bindings::exports::sschat::policy::decisions::Guest;
use bindings::sschat::policy::{clock, state, types};
use sschat_domain::events::Kind;
use sschat_domain::{Error, Read};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

struct Authority;

impl Guest for Authority {
    fn log_in(presented: types::Credential) -> Result<types::Login, types::Refusal> {
        let credential = decisions::Credential {
            app: presented.app.as_deref(),
            fallback: presented.fallback_app.as_deref(),
            user: presented.user.as_deref(),
            token: presented.token.as_deref(),
        };
        let login = run(decisions::log_in(&State, &HostClock, credential))?;
        Ok(types::Login {
            who: types::Identity {
                tenant: login.who.tenant.to_string(),
                user: login.who.user.to_string(),
            },
            expires: login.expires,
            info: login.info,
            channels: login.channels,
            limits: types::Limits {
                channels: login.limits.channels,
                message_size: login.limits.message_size,
                queue_size: login.limits.queue_size,
                channel_length: login.limits.channel_length,
                commands_per_second: login.limits.commands_per_second,
            },
        })
    }

    fn rooms(
        who: types::Identity,
        cursor: Option<String>,
    ) -> Result<types::RoomPage, types::Refusal> {
        let who = identity(&who)?;
        let page = run(decisions::rooms(&State, &who, cursor.as_deref()))?;
        Ok(types::RoomPage {
            rooms: page.ids.iter().map(ToString::to_string).collect(),
            next: page.next,
        })
    }

    fn may_join(
        who: types::Identity,
        room: String,
        pass: Option<types::Pass>,
    ) -> Result<types::Joined, types::Refusal> {
        let who = identity(&who)?;
        let pass = pass.as_ref().map(|pass| decisions::Pass {
            token: &pass.token,
            client: &pass.client,
        });
        let joined = run(decisions::may_join(&State, &HostClock, &who, &room, pass))?;
        Ok(types::Joined {
            expires: joined.expires,
        })
    }

    fn may_publish(who: types::Identity, room: String) -> Result<(), types::Refusal> {
        run(decisions::may_publish(&State, &identity(&who)?, &room))
    }

    fn may_see(who: types::Identity, user: String) -> Result<Vec<String>, types::Refusal> {
        let rooms = run(decisions::may_see(&State, &identity(&who)?, &user))?;
        Ok(rooms.iter().map(ToString::to_string).collect())
    }

    fn has_room(tenant: String, room: String) -> Result<(), types::Refusal> {
        run(decisions::has_room(&State, &tenant, &room))
    }

    fn terms_of(tenant: String, room: String) -> Result<types::Terms, types::Refusal> {
        let terms = run(decisions::terms_of(&State, &tenant, &room))?;
        Ok(types::Terms {
            message_size: terms.message_size,
            history_size: terms.history.size,
            history_age: terms.history.age,
        })
    }

    fn tenant_of_key(api_key: String) -> Result<String, types::Refusal> {
        let tenant = run(decisions::tenant_of_key(&State, &api_key))?;
        Ok(tenant.to_string())
    }

    fn keys_of(tenant: String) -> Result<types::KeyServer, types::Refusal> {
        let server = run(decisions::keys_of(&State, &tenant))?;
        Ok(types::KeyServer {
            url: server.url,
            keep_at: server.keep_at,
        })
    }

    fn events_of(tenant: String) -> Result<types::EventSettings, types::Refusal> {
        let (events, secrets) = run(decisions::events_of(&State, &tenant))?;
        let secrets = secrets.iter().map(|secret| secret.expose().to_owned());
        Ok(types::EventSettings {
            kinds: events
                .kinds
                .into_iter()
                .map(types::EventKind::from)
                .collect(),
            url: events.url,
            secrets: secrets.collect(),
        })
    }

    fn policies_of(tenant: String) -> Result<types::Policies, types::Refusal> {
        let policies = run(decisions::policies_of(&State, &tenant))?;
        Ok(types::Policies {
            active: policies.active.map(types::StoredPolicy::from),
            candidate: policies.candidate.map(types::StoredPolicy::from),
            configuration: policies.configuration,
        })
    }
}

impl From<Kind> for types::EventKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Connect => Self::Connect,
            Kind::Disconnect => Self::Disconnect,
            Kind::Join => Self::Join,
            Kind::Leave => Self::Leave,
            Kind::Occupied => Self::Occupied,
            Kind::Vacated => Self::Vacated,
            Kind::Published => Self::Published,
        }
    }
}

impl From<decisions::Stored> for types::StoredPolicy {
    fn from(stored: decisions::Stored) -> Self {
        Self {
            digest: stored.digest,
            chunks: stored.chunks,
        }
    }
}

/// The records, through the import that the host notes.
struct State;

impl Read for State {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut values = self.get_many(&[key.to_owned()]).await?;
        Ok(values.pop().flatten())
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        state::get_many(keys).map_err(|error| match error {
            state::Error::Store(text) => Error::Store(text),
            state::Error::Limit => Error::Limit,
        })
    }
}

struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> u64 {
        clock::now()
    }
}

fn identity(who: &types::Identity) -> Result<Identity, types::Refusal> {
    Identity::parse(&who.tenant, &who.user).map_err(types::Refusal::from)
}

impl From<decisions::Refusal> for types::Refusal {
    fn from(refusal: decisions::Refusal) -> Self {
        Self {
            code: refusal.code.to_owned(),
            reason: refusal.reason.to_owned(),
        }
    }
}

/// Runs a decision. The imports are synchronous, so no future ever waits.
fn run<T>(
    decision: impl Future<Output = Result<T, decisions::Refusal>>,
) -> Result<T, types::Refusal> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(decision).poll(&mut context) {
        Poll::Ready(verdict) => verdict.map_err(types::Refusal::from),
        Poll::Pending => Err(types::Refusal {
            code: "internal".to_owned(),
            reason: "A decision waited, which none may.".to_owned(),
        }),
    }
}
