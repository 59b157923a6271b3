//! How a component gets into its place, chunk by chunk, so that nothing half made is
//! ever there and nothing is left behind.
//!
//! An upload takes a number by increment, and its chunks lie under that number alone.
//! It is noted before its first chunk. When all are stored one set-many puts it in its
//! place and says so in its note. It is put there this once: when another takes the
//! place, its chunks can never be referenced again, and whoever comes by deletes them.
//!
//! The upload that began last wins: whoever begins one discards the unfinished ones
//! for the same place, whose makers may still be at work or may be gone. Maker and
//! discarder settle by an increment of one counter which of them decides. A discarder
//! deletes counter and note together, and a maker also needs the note, so no deletion
//! makes the counter speak for the wrong one.
//!
//! What a crash leaves is found as `settle` says.

use crate::id::{AppId, ComponentDigest};
use crate::key;
use crate::kv::{Error, Write};
use crate::policy::bury;
use crate::record::{self, Component, Place, Role, encode};
use crate::ring::increment;
use crate::settle::{clean, clean_all, keys, settled, settled_before};
use sha2::{Digest, Sha256};

/// The size of a chunk, in bytes; the last one of a component may be shorter. Tests
/// of this crate do with little ones.
pub const CHUNK: usize = if cfg!(test) { 4 } else { 1 << 20 };

/// The most chunks of a component.
pub const CHUNKS: u64 = 32;

/// The largest component, in bytes.
pub const COMPONENT_LIMIT: u64 = CHUNKS * CHUNK as u64;

/// A component that is coming in. One that is dropped is discarded by the next.
#[derive(Debug)]
pub struct Upload<'s, S> {
    store: &'s S,
    tenant: AppId,
    number: u64,
    role: Role,
    hasher: Sha256,
    size: u64,
    chunks: u64,
    /// What is not stored yet: less than a chunk.
    rest: Vec<u8>,
}

/// How an upload goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More may be written.
    More,
    /// It would be larger than [`COMPONENT_LIMIT`].
    TooLarge,
    /// A newer upload, a deletion of the policy or of the tenant discarded it.
    Superseded,
}

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It is in its place.
    Placed(Component),
    /// A newer upload, or a deletion of the policy, discarded it.
    Superseded,
    /// The tenant was deleted.
    Gone,
}

impl<'s, S: Write> Upload<'s, S> {
    /// Begins an upload, and discards older ones for the same place. `None` if the
    /// tenant was deleted meanwhile.
    ///
    /// # Errors
    ///
    /// A failing store, or a record of a newer version.
    pub async fn begin(store: &'s S, tenant: AppId, role: Role) -> Result<Option<Self>, Error> {
        let note = encode(&record::Upload {
            role,
            placed: false,
        });
        let number = loop {
            let number = increment(store, &key::uploads(tenant), 1).await?;
            store
                .set(&key::upload(tenant, number), note.clone())
                .await?;
            // One that was passed over before its note was there takes another.
            let settled = settled(store, tenant).await?;
            if settled < number {
                clean(store, tenant, settled..number, |other| other == role).await?;
                break number;
            }
            store.delete(&key::upload(tenant, number)).await?;
        };
        if bury(store, tenant, keys(tenant, number)).await? {
            return Ok(None);
        }
        Ok(Some(Self {
            store,
            tenant,
            number,
            role,
            hasher: Sha256::new(),
            size: 0,
            chunks: 0,
            rest: Vec::new(),
        }))
    }

    /// Takes more bytes, and stores every chunk that is full.
    ///
    /// # Errors
    ///
    /// A failing store.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<Progress, Error> {
        self.size += bytes.len() as u64;
        if self.size > COMPONENT_LIMIT {
            return Ok(Progress::TooLarge);
        }
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let wanted = CHUNK - self.rest.len();
            let (taken, left) = bytes.split_at(wanted.min(bytes.len()));
            self.rest.reserve_exact(wanted);
            self.rest.extend_from_slice(taken);
            bytes = left;
            if self.rest.len() == CHUNK && !self.store_rest().await? {
                return Ok(Progress::Superseded);
            }
        }
        Ok(Progress::More)
    }

    /// Puts it in its place.
    ///
    /// # Errors
    ///
    /// A failing store, or a record of a newer version.
    pub async fn finish(self) -> Result<Finished, Error> {
        self.finish_instead_of(None).await
    }

    /// As [`Upload::finish`], and empties the place of this candidate at once.
    pub(crate) async fn finish_instead_of(
        mut self,
        candidate: Option<Component>,
    ) -> Result<Finished, Error> {
        let (store, tenant, number) = (self.store, self.tenant, self.number);
        let whole = self.rest.is_empty() || self.store_rest().await?;
        let component = Component {
            digest: ComponentDigest::of(std::mem::take(&mut self.hasher)),
            size: self.size,
            chunks: self.chunks,
            upload: number,
        };
        let (settled, entries) = self.placing(component, candidate).await?;
        let claim = key::upload_claim(tenant, number);
        let decides = whole && store.increment(&claim, 1).await? == 1;
        if !decides || !store.exists(&key::upload(tenant, number)).await? {
            return Ok(if self.abandon().await? {
                Finished::Superseded
            } else {
                Finished::Gone
            });
        }
        store.set_many(entries).await?;
        clean_all(store, tenant, settled, |_| false).await?;
        if bury(store, tenant, keys(tenant, number)).await? {
            return Ok(Finished::Gone);
        }
        Ok(Finished::Placed(component))
    }

    /// Deletes what was stored of it. `false` if the tenant was deleted meanwhile.
    ///
    /// # Errors
    ///
    /// A failing store.
    pub async fn abandon(self) -> Result<bool, Error> {
        let keys = keys(self.tenant, self.number);
        self.store.delete_many(keys).await?;
        Ok(!bury(self.store, self.tenant, Vec::new()).await?)
    }

    /// What is written to put it in its place, with the number up to which uploads
    /// are then settled.
    async fn placing(
        &self,
        component: Component,
        candidate: Option<Component>,
    ) -> Result<(u64, Vec<(String, Vec<u8>)>), Error> {
        let (store, tenant) = (self.store, self.tenant);
        let note = encode(&record::Upload {
            role: self.role,
            placed: true,
        });
        let place = Place {
            component: Some(component),
        };
        let mut entries = vec![
            (key::upload(tenant, self.number), note),
            (place_key(tenant, self.role), encode(&place)),
        ];
        if candidate.is_some() {
            let key = key::candidate_policy(tenant);
            entries.push((key, encode(&Place::default())));
        }
        let settled = settled_before(store, tenant, |before| match self.role {
            Role::Active => [before.active, candidate],
            Role::Candidate => [before.candidate, None],
        });
        let settled = settled.await?;
        let text = settled.to_string().into_bytes();
        entries.push((key::uploads_settled(tenant), text));
        Ok((settled, entries))
    }

    /// Stores the chunk that is gathered. `false` if the upload was discarded.
    async fn store_rest(&mut self) -> Result<bool, Error> {
        let key = key::component_chunk(self.tenant, self.number, self.chunks);
        self.chunks += 1;
        let chunk = std::mem::take(&mut self.rest);
        self.store.set(&key, chunk).await?;
        // A maker that was discarded stops here, not only in the end.
        let note = key::upload(self.tenant, self.number);
        self.store.exists(&note).await
    }
}

fn place_key(tenant: AppId, role: Role) -> String {
    match role {
        Role::Active => key::active_policy(tenant),
        Role::Candidate => key::candidate_policy(tenant),
    }
}
