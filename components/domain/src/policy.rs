//! What a tenant chose to be ruled by: a built-in rule, at most one component that is
//! asked beside it, at most one candidate, and their configuration.
//!
//! Each of the four lies at a key of its own and is written without being read before,
//! so changes of different ones never undo each other, and of the same one the last
//! counts. How a component gets into its place is in [`crate::upload`].

use crate::access::Components;
use crate::id::AppId;
use crate::key;
use crate::kv::{Error, Read, Write};
use crate::record::{Component, Place, Policy, Role, Rule, encode, load};
use crate::settle;
use crate::upload::{Finished, Progress, Upload};

/// The largest configuration, in bytes.
pub const CONFIG_LIMIT: usize = 64 << 10;

/// What a tenant chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chosen {
    /// The built-in rule.
    pub rule: Rule,
    /// The components.
    pub components: Components,
}

/// What became of a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promoted {
    /// The candidate is the active component now.
    Done,
    /// There is no candidate.
    NoCandidate,
    /// The candidate was replaced or dropped meanwhile, or a newer component came.
    Superseded,
    /// The tenant was deleted meanwhile.
    Gone,
}

/// What the tenant chose. The caller has seen the app.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn chosen<S: Read>(store: &S, tenant: AppId) -> Result<Chosen, Error> {
    let policy = load::<Policy, S>(store, &key::policy(tenant)).await?;
    Ok(Chosen {
        rule: policy.unwrap_or_default().rule,
        components: components(store, tenant).await?,
    })
}

/// Chooses a built-in rule. `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store.
pub async fn set_rule<S: Write>(store: &S, tenant: AppId, rule: Rule) -> Result<bool, Error> {
    let record = encode(&Policy { rule });
    store.set(&key::policy(tenant), record).await?;
    Ok(!bury(store, tenant, Vec::new()).await?)
}

/// Back to the default: the rule for members, no component and no configuration.
/// Uploads that began before are discarded. `false` if the tenant was deleted
/// meanwhile.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn reset<S: Write>(store: &S, tenant: AppId) -> Result<bool, Error> {
    let both = |placed: Components| [placed.active, placed.candidate];
    let settled = settle::unsettle(store, tenant, both).await?;
    let keys = vec![
        key::policy(tenant),
        key::active_policy(tenant),
        key::candidate_policy(tenant),
        key::policy_config(tenant),
    ];
    store.delete_many(keys).await?;
    settle::clean_all(store, tenant, settled, |_| true).await?;
    Ok(!bury(store, tenant, Vec::new()).await?)
}

/// Drops the candidate, and uploads of one that began before. `false` if the tenant
/// was deleted meanwhile.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn drop_candidate<S: Write>(store: &S, tenant: AppId) -> Result<bool, Error> {
    let candidate = |placed: Components| [placed.candidate, None];
    let settled = settle::unsettle(store, tenant, candidate).await?;
    store.delete(&key::candidate_policy(tenant)).await?;
    let candidates = |role: Role| role == Role::Candidate;
    settle::clean_all(store, tenant, settled, candidates).await?;
    Ok(!bury(store, tenant, Vec::new()).await?)
}

/// Makes the candidate the active component. It is copied: the chunks of an upload
/// belong to one place, and are dead for good once it has left that.
///
/// # Errors
///
/// A failing store, or a record of a newer version.
pub async fn promote<S: Write>(store: &S, tenant: AppId) -> Result<Promoted, Error> {
    let Some(candidate) = components(store, tenant).await?.candidate else {
        return Ok(Promoted::NoCandidate);
    };
    let Some(mut copy) = Upload::begin(store, tenant, Role::Active).await? else {
        return Ok(Promoted::Gone);
    };
    for chunk in 0..candidate.chunks {
        let key = key::component_chunk(tenant, candidate.upload, chunk);
        let progress = match store.get(&key).await? {
            Some(bytes) => copy.write(&bytes).await?,
            None => Progress::Superseded,
        };
        if progress != Progress::More {
            copy.abandon().await?;
            return Ok(Promoted::Superseded);
        }
    }
    if components(store, tenant).await?.candidate != Some(candidate) {
        copy.abandon().await?;
        return Ok(Promoted::Superseded);
    }
    Ok(match copy.finish_instead_of(Some(candidate)).await? {
        Finished::Placed(_) => Promoted::Done,
        Finished::Superseded => Promoted::Superseded,
        Finished::Gone => Promoted::Gone,
    })
}

/// The configuration of the tenant's policy. The caller has seen the app.
///
/// # Errors
///
/// A failing store.
pub async fn config<S: Read>(store: &S, tenant: AppId) -> Result<Option<Vec<u8>>, Error> {
    store.get(&key::policy_config(tenant)).await
}

/// Sets the configuration: JSON text of at most [`CONFIG_LIMIT`] bytes, for which the
/// caller answers. `false` if the tenant was deleted meanwhile.
///
/// # Errors
///
/// A failing store.
pub async fn set_config<S: Write>(
    store: &S,
    tenant: AppId,
    config: Vec<u8>,
) -> Result<bool, Error> {
    store.set(&key::policy_config(tenant), config).await?;
    Ok(!bury(store, tenant, Vec::new()).await?)
}

/// Deletes the configuration.
///
/// # Errors
///
/// A failing store.
pub async fn delete_config<S: Write>(store: &S, tenant: AppId) -> Result<(), Error> {
    store.delete(&key::policy_config(tenant)).await
}

/// What is in the two places.
pub(crate) async fn components<S: Read>(store: &S, tenant: AppId) -> Result<Components, Error> {
    Ok(Components {
        active: placed(store, &key::active_policy(tenant)).await?,
        candidate: placed(store, &key::candidate_policy(tenant)).await?,
    })
}

/// All keys that a tenant's choice takes, beside those of its uploads.
pub(crate) fn keys(tenant: AppId) -> [String; 5] {
    [
        key::policy(tenant),
        key::active_policy(tenant),
        key::candidate_policy(tenant),
        key::policy_config(tenant),
        key::uploads_settled(tenant),
    ]
}

/// If the tenant is gone, deletes `keys` and whatever else a late write may have left
/// of its choice, for the removal may not have seen it. Says whether it is so. The
/// number of uploads is the removal's until that has ended.
pub(crate) async fn bury<S: Write>(
    store: &S,
    tenant: AppId,
    mut late: Vec<String>,
) -> Result<bool, Error> {
    if store.exists(&key::app(tenant)).await? {
        return Ok(false);
    }
    late.extend(keys(tenant));
    if !store.exists(&key::doom(tenant)).await? {
        late.push(key::uploads(tenant));
    }
    store.delete_many(late).await?;
    Ok(true)
}

async fn placed<S: Read>(store: &S, key: &str) -> Result<Option<Component>, Error> {
    let place = load::<Place, S>(store, key).await?;
    Ok(place.and_then(|place| place.component))
}
