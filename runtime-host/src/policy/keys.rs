//! Public keys that tenants' key servers tell: fetched when a token names one that is not
//! known yet, and again from time to time.
//!
//! What a server told is kept in the state, below the tenant, where the authority reads it
//! like everything else: so a change of the keys ends the verdicts that used them, on every
//! host, and a restart needs no server. The host looks at none of it. It stands behind the
//! address that it came from, so that an answer that was under way when the app named
//! another server is worth nothing.
//!
//! Absent on purpose: which tokens count. While a server can't be reached its last keys do.

use super::answer::Answer;
use super::trace::Occasion;
use super::{Policy, Undecided};
use crate::fetch::Fetcher;
use crate::wasm::authority::{Credential, KeyServer, Question};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// What the authority says where the key server may know more.
const UNKNOWN_KEY: &str = "unknown_signing_key";

/// A server is asked no more often than this, whatever tokens name: a forger names new keys
/// as fast as they like.
const PAUSE: Duration = Duration::from_secs(10);

/// How long after an answer a server is asked again, and how often that is looked at.
const FRESH: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_secs(30);

/// Servers asked at a time.
const AT_ONCE: usize = 16;

/// Tenants of which it is known when their server was asked. Past it, those that may be
/// asked again anyway are forgotten.
const TENANTS: usize = 10_000;

/// The servers that were asked.
pub struct KeyServers {
    fetcher: Fetcher,
    tenants: Mutex<HashMap<Box<str>, Arc<Asked>>>,
    permits: Semaphore,
}

/// When a tenant's server was asked, and how that went. One asks at a time.
#[derive(Default)]
struct Asked {
    last: tokio::sync::Mutex<Option<Last>>,
    /// Whether it is asked again from time to time.
    fresh: AtomicBool,
}

/// How the last question went.
struct Last {
    at: Instant,
    url: String,
    well: bool,
}

impl KeyServers {
    /// Servers that are asked by `fetcher`.
    pub fn new(fetcher: Fetcher) -> Self {
        Self {
            fetcher,
            tenants: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Asked>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tenants whose server was not asked for too long.
    fn stale(&self) -> Vec<Box<str>> {
        let is_stale = |asked: &Asked| {
            let fresh = asked.fresh.load(Ordering::Relaxed);
            let last = asked.last.try_lock();
            fresh && last.is_ok_and(|last| last.as_ref().is_none_or(|it| it.at.elapsed() > FRESH))
        };
        let tenants = self.tenants();
        let stale = tenants.iter().filter(|(_, asked)| is_stale(asked));
        stale.map(|(tenant, _)| tenant.clone()).collect()
    }

    fn of(&self, tenant: &str) -> Arc<Asked> {
        let mut tenants = self.tenants();
        if tenants.len() >= TENANTS {
            tenants.retain(|_, asked| match asked.last.try_lock() {
                Ok(last) => {
                    let lately = last.as_ref().is_some_and(|last| last.at.elapsed() < PAUSE);
                    lately || asked.fresh.load(Ordering::Relaxed)
                }
                Err(_) => true,
            });
        }
        Arc::clone(tenants.entry(tenant.into()).or_default())
    }
}

impl Policy {
    /// Whether what the answer to a question depends on was fetched just now, so that it is
    /// to be decided anew.
    ///
    /// # Errors
    /// Where the key server can't be asked.
    pub(super) async fn learned(
        &self,
        question: &Question,
        answer: Option<&Answer>,
    ) -> Result<bool, Undecided> {
        let Some(tenant) = signed_publicly(question) else {
            return Ok(false);
        };
        match answer {
            Some(Answer::No(refusal)) if refusal.code == UNKNOWN_KEY => {
                self.renew_keys(&tenant).await
            }
            Some(Answer::Login(_) | Answer::Rooms(..)) => {
                self.keep_fresh(&tenant);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Has the keys of a tenant fetched again from time to time, if it has a server.
    fn keep_fresh(&self, tenant: &str) {
        if let Some(servers) = &self.key_servers {
            servers.of(tenant).fresh.store(true, Ordering::Relaxed);
        }
    }

    /// Asks again, from time to time, the servers whose keys let anybody in. Ends with the
    /// runtime, or once the policy is gone.
    pub fn start_refreshing(self: &Arc<Self>) {
        let policy = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(LOOK);
            loop {
                every.tick().await;
                match policy.upgrade() {
                    Some(policy) => policy.refresh_keys().await,
                    None => return,
                }
            }
        });
    }

    async fn refresh_keys(&self) {
        let Some(servers) = &self.key_servers else {
            return;
        };
        let stale = servers.stale();
        futures::stream::iter(stale)
            .for_each_concurrent(AT_ONCE, async |tenant| {
                if !matches!(self.key_server(&tenant).await, Ok(Some(_))) {
                    servers.tenants().remove(&tenant);
                } else if let Err(undecided) = self.renew_keys(&tenant).await {
                    tracing::warn!(%undecided, tenant = &*tenant, "public keys are not fresh");
                }
            })
            .await;
    }

    /// Asks a tenant's server, unless it was asked a short time ago. Says whether it told
    /// anything new.
    async fn renew_keys(&self, tenant: &str) -> Result<bool, Undecided> {
        let Some(servers) = &self.key_servers else {
            return Ok(false);
        };
        let waits_since = Instant::now();
        let asked = servers.of(tenant);
        let mut last = asked.last.lock().await;
        let Some(server) = self.key_server(tenant).await? else {
            return Ok(false);
        };
        if let Some(last) = &*last
            && last.url == server.url
            && last.at.elapsed() < PAUSE
        {
            // Whoever waited for another's question finds its answer in the state.
            let failed = || Undecided::Keys("its server failed a moment ago".to_owned());
            return if last.well {
                Ok(last.at >= waits_since)
            } else {
                Err(failed())
            };
        }
        let renewed = self.ask_server(servers, tenant, &server).await;
        *last = Some(Last {
            at: Instant::now(),
            url: server.url,
            well: renewed.is_ok(),
        });
        renewed.map_err(|error| Undecided::Keys(format!("{error:#}")))
    }

    async fn ask_server(
        &self,
        servers: &KeyServers,
        tenant: &str,
        server: &KeyServer,
    ) -> anyhow::Result<bool> {
        let permit = servers.permits.acquire().await?;
        let told = servers.fetcher.fetch(&server.url).await?;
        drop(permit);
        let mut kept = format!("{}\n", server.url).into_bytes();
        kept.extend_from_slice(&told);
        let kept = Bytes::from(kept);
        if self.store.get(&server.keep_at).await?.as_ref() == Some(&kept) {
            return Ok(false);
        }
        let entry = (server.keep_at.clone(), kept);
        self.store.set_many(vec![entry]).await?;
        if self.key_server(tenant).await?.is_none() {
            // The tenant went meanwhile, and what it owned was deleted.
            self.store.delete_many(vec![server.keep_at.clone()]).await?;
        }
        Ok(true)
    }

    async fn key_server(&self, tenant: &str) -> Result<Option<KeyServer>, Undecided> {
        let question = Question::KeysOf(tenant.to_owned());
        let verdict = self.settle(question, &Occasion::default()).await?;
        Ok(match verdict.answer() {
            Some(Answer::KeyServer(server)) => Some(KeyServer::clone(server)),
            _ => None,
        })
    }
}

/// Whether a refusal depends on what a server may tell next time: it is not remembered.
pub(super) fn is_passing(answer: Option<&Answer>) -> bool {
    matches!(answer, Some(Answer::No(refusal)) if refusal.code == UNKNOWN_KEY)
}

/// The tenant of a token that says to be signed with a private key. Nothing is believed of
/// it: whose keys are asked for is all that follows.
fn signed_publicly(question: &Question) -> Option<String> {
    let (token, tenant, fallback) = match question {
        Question::LogIn(Credential {
            app,
            fallback_app,
            token,
            ..
        }) => (token.as_deref()?, app.clone(), fallback_app.clone()),
        Question::MayJoin(who, _, Some(pass)) => (&*pass.token, Some(who.tenant.clone()), None),
        _ => return None,
    };
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    #[derive(Deserialize)]
    struct Claims {
        app: Option<String>,
    }
    fn part<'a, T: Deserialize<'a>>(part: Option<&str>, bytes: &'a mut Vec<u8>) -> Option<T> {
        *bytes = URL_SAFE_NO_PAD.decode(part?).ok()?;
        serde_json::from_slice(bytes).ok()
    }
    let mut parts = token.split('.');
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let header: Header = part(parts.next(), &mut one)?;
    if header.alg.starts_with("HS") {
        return None;
    }
    let claimed = || part::<Claims>(parts.next(), &mut two)?.app;
    tenant.or_else(claimed).or(fallback)
}
