//! What policies are called for: each tenant has a queue, a breaker and a share of the
//! processor for each.

use std::borrow::Cow;

/// The most calls of one tenant that wait.
const TENANT_QUEUE_LIMIT: usize = 2_048;

/// The most calls of one tenant's clients that wait: each holds what its client said, and
/// none of the others waits for it.
const CLIENTS_QUEUE_LIMIT: usize = 256;

/// What a call is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A decision that counts.
    Decision,
    /// How a candidate would decide. It has a queue, a breaker and a share of its own, so
    /// that one that fails does not suspend what is in force.
    Comparison,
    /// What a client calls. Apart for the same reason: no client may suspend the decisions
    /// of its tenant by calling what fails or takes long.
    Client,
}

impl Purpose {
    /// The name of a tenant's queue.
    pub(super) fn queue(self, tenant: &str) -> Cow<'_, str> {
        match self {
            Self::Decision => tenant.into(),
            Self::Comparison => format!("{tenant} (candidate)").into(),
            Self::Client => format!("{tenant} (calls)").into(),
        }
    }

    /// How many calls may wait there.
    pub(super) fn limit(self) -> usize {
        match self {
            Self::Decision | Self::Comparison => TENANT_QUEUE_LIMIT,
            Self::Client => CLIENTS_QUEUE_LIMIT,
        }
    }
}
