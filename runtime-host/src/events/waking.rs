//! After a restart: what is left of the last time is told.

use super::Events;
use futures::StreamExt;
use sschat_history::{HistoryError, Query};
use std::collections::HashSet;
use std::sync::Arc;

/// Tenants that are asked about at a time.
const AT_ONCE: usize = 16;

impl Events {
    /// Goes on with the deliveries that the last stop interrupted.
    pub fn wake(self: &Arc<Self>) {
        let events = Arc::clone(self);
        self.runtime.spawn(async move {
            match events.tenants().await {
                Ok(tenants) => events.wake_all(tenants).await,
                Err(error) => {
                    tracing::error!(%error, "events that are left wait for their tenant's next");
                }
            }
        });
    }

    async fn tenants(&self) -> Result<HashSet<String>, HistoryError> {
        let listing = self.listing().await?;
        let query = Query {
            limit: usize::MAX,
            ..Query::default()
        };
        let page = self.history.read(&listing, query).await?;
        let names = page.publications.iter();
        Ok(names
            .filter_map(|it| String::from_utf8(it.payload.to_vec()).ok())
            .collect())
    }

    async fn wake_all(self: &Arc<Self>, tenants: HashSet<String>) {
        futures::stream::iter(tenants)
            .for_each_concurrent(AT_ONCE, async |tenant| {
                // What it wants becoming known begins the delivery.
                self.tap(&tenant).known().await;
            })
            .await;
    }
}
