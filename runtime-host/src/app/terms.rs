//! How much of each room is kept, as the broker asks the policy.

use crate::broker::{Kept, Retention, Retentions, Standing};
use crate::policy::Policy;
use crate::policy::terms::Until;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// The host's word, or less by the tenant's.
pub(super) struct HistoryTerms {
    policy: Arc<Policy>,
    most: Retention,
}

impl HistoryTerms {
    /// Terms within `most`.
    pub(super) fn new(policy: Arc<Policy>, most: Retention) -> Self {
        Self { policy, most }
    }
}

impl Standing for Until {
    fn holds(&mut self) -> bool {
        Self::holds(self)
    }
}

impl Retentions for HistoryTerms {
    fn of(&self, tenant: &str, room: &str) -> BoxFuture<'static, Result<Kept, String>> {
        let (policy, most) = (Arc::clone(&self.policy), self.most);
        let (tenant, room) = (tenant.to_owned(), room.to_owned());
        async move {
            let decided = policy.terms(&tenant, &room).await;
            let (terms, until) = decided.map_err(|undecided| undecided.to_string())?;
            let age = terms.history_age.map(|age| Duration::from_secs(age.into()));
            let retention = Retention {
                count: terms.history_size.unwrap_or(u32::MAX).min(most.count),
                age: age.unwrap_or(Duration::MAX).min(most.age),
                bytes: most.bytes,
            };
            Ok(Kept {
                retention,
                standing: Some(Box::new(until)),
            })
        }
        .boxed()
    }
}
