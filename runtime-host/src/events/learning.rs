//! Finding out what a tenant wants, off the threads that serve connections.

use super::tap::{Known, State, Tap, Wanted};
use super::{EVENTS, HOST, KEPT, TENANTS, Wish};
use sschat_history::{HistoryError, NewPublication, Retention, RoomLog};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The pause before it is tried again where it could not be found out.
const PAUSE: Duration = Duration::from_secs(1);

/// How long what is no event is kept: for good.
pub(super) const AGES: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Tenants with a webhook that a restart remembers. Of more the latest count.
pub(super) const LISTED: Retention = Retention {
    count: 65_536,
    bytes: 16 << 20,
    age: AGES,
};

impl Tap {
    /// Sees to it that what is wanted becomes known.
    pub(super) fn start_learning(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.learning, true) {
            return;
        }
        let tap = Arc::clone(self);
        self.events.runtime.spawn(async move { tap.learn().await });
    }

    async fn learn(self: Arc<Self>) {
        loop {
            let count = self.events.changes();
            match self.ask().await {
                Ok(known) => {
                    if self.learned(known, count) {
                        return;
                    }
                    // Another change came in between.
                }
                Err(reason) => {
                    tracing::warn!(reason, "what a tenant wants to be told is not known");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn ask(&self) -> Result<Known, String> {
        let events = &self.events;
        let Wish { settings, standing } = events.wishes.of(&self.tenant).await?;
        let unkept = |error: HistoryError| error.to_string();
        let Some(settings) = settings else {
            if self.state().log.is_some() {
                let removed = events.history.remove(&self.tenant, EVENTS).await;
                removed.map_err(unkept)?;
            }
            return Ok(Known {
                standing,
                wanted: None,
            });
        };
        let log = events.history.open(&self.tenant, EVENTS, KEPT).await;
        let log = log.map_err(unkept)?;
        if settings.url.is_some() {
            self.list().await.map_err(unkept)?;
        }
        let settings = Arc::new(settings);
        Ok(Known {
            standing,
            wanted: Some(Wanted { settings, log }),
        })
    }

    /// Notes that this tenant has a webhook. What is appended to its log from now on is
    /// durable no sooner than that.
    async fn list(&self) -> Result<(), HistoryError> {
        let listing = self.events.listing().await?;
        let mut listed = self
            .events
            .listed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if listed.contains(&self.tenant) {
            return Ok(());
        }
        let new = NewPublication {
            payload: self.tenant.as_bytes().to_vec().into(),
            ..NewPublication::default()
        };
        let published = self
            .events
            .history
            .publish(&listing, new, super::tap::NOBODY);
        published.map_err(|error| HistoryError::Unavailable(error.to_string().into()))?;
        listed.insert(self.tenant.clone());
        Ok(())
    }
}

impl super::Events {
    pub(super) async fn listing(&self) -> Result<Arc<RoomLog>, HistoryError> {
        let open = || self.history.open(HOST, TENANTS, LISTED);
        self.listing.get_or_try_init(open).await.cloned()
    }
}
