//! `wasi:keyvalue@0.2.0-draft2`: store, atomics and batch over [`sschat_store::Store`].
//!
//! Compare-and-swap does what the draft says: `current` reads and remembers, `swap`
//! writes only if the value is still the remembered one (an absent value counts as
//! one), and a swap that lost hands back a fresh handle to try again with. A handle
//! whose `current` was never called remembers what was there when it was made.

use super::bindings::rest::wasi::keyvalue::{
    atomics::{self, CasError},
    batch,
    store::{self, Error, KeyResponse},
};
use super::keyvalue::{self, KeyValueView, LIST_PAGE, OpenStore};
use bytes::Bytes;
use sschat_store::{BATCH_LIMIT, KEY_LIMIT, Store, StoreError};
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};

/// A compare-and-swap in progress.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Cas {
    store: Arc<dyn Store>,
    key: String,
    /// The value that a swap expects to find.
    seen: Option<Bytes>,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

/// Offers the reading of one key as plain functions, in place of those that can wait: for
/// components all of whose stores are local. A request makes dozens of these calls, and a
/// future and a suspendable call each cost more than the look-up.
pub(super) fn link_local<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> KeyValueView<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut interface = linker.instance("wasi:keyvalue/store@0.2.0-draft2")?;
    interface.func_wrap(
        "[method]bucket.get",
        move |mut context: StoreContextMut<'_, T>, (bucket, key): (Resource<OpenStore>, String)| {
            let value = view(context.data_mut()).get_now(&bucket, &key);
            Ok((value.map(|value| value.map(Vec::from)),))
        },
    )?;
    interface.func_wrap(
        "[method]bucket.exists",
        move |mut context: StoreContextMut<'_, T>, (bucket, key): (Resource<OpenStore>, String)| {
            let value = view(context.data_mut()).get_now(&bucket, &key);
            Ok((value.map(|value| value.is_some()),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl KeyValueView<'_> {
    fn get_now(&self, bucket: &Resource<OpenStore>, key: &str) -> Result<Option<Bytes>, Error> {
        // Linked only where this is so.
        let store = self.bucket(bucket)?.local().ok_or(Error::NoSuchStore)?;
        Ok(keyvalue::get_now(store, key)?)
    }

    fn bucket(&self, bucket: &Resource<OpenStore>) -> Result<&Arc<dyn Store>, Error> {
        match self.table.get(bucket) {
            Ok(open) => Ok(&open.0),
            Err(_) => Err(Error::NoSuchStore),
        }
    }

    fn push_cas(&mut self, cas: Cas) -> Result<Resource<Cas>, Error> {
        self.table
            .push(cas)
            .map_err(|_| Error::Other("too many open handles".to_owned()))
    }
}

impl store::Host for KeyValueView<'_> {
    async fn open(&mut self, identifier: String) -> Result<Resource<OpenStore>, Error> {
        let store = self.stores.get(&identifier).ok_or(Error::AccessDenied)?;
        self.table
            .push(OpenStore(store.clone()))
            .map_err(|_| Error::Other("too many open handles".to_owned()))
    }
}

impl store::HostBucket for KeyValueView<'_> {
    async fn get(
        &mut self,
        bucket: Resource<OpenStore>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let store = self.bucket(&bucket)?;
        Ok(keyvalue::get(&**store, &key).await?.map(Vec::from))
    }

    async fn set(
        &mut self,
        bucket: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let store = self.bucket(&bucket)?;
        Ok(store.set_many(vec![(key, Bytes::from(value))]).await?)
    }

    async fn delete(&mut self, bucket: Resource<OpenStore>, key: String) -> Result<(), Error> {
        let store = self.bucket(&bucket)?;
        Ok(store.delete_many(vec![key]).await?)
    }

    async fn exists(&mut self, bucket: Resource<OpenStore>, key: String) -> Result<bool, Error> {
        let store = self.bucket(&bucket)?;
        Ok(keyvalue::get(&**store, &key).await?.is_some())
    }

    /// The cursor is the last key of the page before.
    async fn list_keys(
        &mut self,
        bucket: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> Result<KeyResponse, Error> {
        let store = self.bucket(&bucket)?;
        let keys = store.keys(cursor.as_deref(), LIST_PAGE).await?;
        let cursor = match keys.len() {
            LIST_PAGE => keys.last().cloned(),
            _ => None,
        };
        Ok(KeyResponse { keys, cursor })
    }

    async fn drop(&mut self, bucket: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for KeyValueView<'_> {
    async fn increment(
        &mut self,
        bucket: Resource<OpenStore>,
        key: String,
        delta: i64,
    ) -> Result<i64, Error> {
        let store = self.bucket(&bucket)?;
        Ok(store.increment(key, delta).await?)
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> Result<(), CasError> {
        let no_such = |_| CasError::StoreError(Error::Other("no such handle".to_owned()));
        let Cas { store, key, seen } = self.table.delete(cas).map_err(no_such)?;
        let swapped = store
            .swap(key.clone(), seen, Bytes::from(value))
            .await
            .map_err(|error| CasError::StoreError(error.into()))?;
        if swapped {
            return Ok(());
        }
        let fresh = async {
            let seen = keyvalue::get(&*store, &key).await?;
            self.push_cas(Cas { store, key, seen })
        };
        match fresh.await {
            Ok(cas) => Err(CasError::CasFailed(cas)),
            Err(error) => Err(CasError::StoreError(error)),
        }
    }
}

impl atomics::HostCas for KeyValueView<'_> {
    async fn new(
        &mut self,
        bucket: Resource<OpenStore>,
        key: String,
    ) -> Result<Resource<Cas>, Error> {
        if key.len() > KEY_LIMIT {
            let error = StoreError::TooLarge(format!("the key is longer than {KEY_LIMIT} bytes"));
            return Err(error.into());
        }
        let store = self.bucket(&bucket)?.clone();
        let seen = store.get(&key).await?;
        self.push_cas(Cas { store, key, seen })
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Result<Option<Vec<u8>>, Error> {
        let no_such = |_| Error::Other("no such handle".to_owned());
        let handle = self.table.get(&cas).map_err(no_such)?;
        let (store, key) = (handle.store.clone(), handle.key.clone());
        let seen = store.get(&key).await?;
        self.table.get_mut(&cas).map_err(no_such)?.seen = seen.clone();
        Ok(seen.map(Vec::from))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for KeyValueView<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        let store = self.bucket(&bucket)?;
        check_batch(keys.len())?;
        let values = store.get_many(&keys).await?;
        let values = values.into_iter().map(|value| value.map(Vec::from));
        Ok(keys.into_iter().zip(values).collect())
    }

    async fn set_many(
        &mut self,
        bucket: Resource<OpenStore>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let store = self.bucket(&bucket)?;
        check_batch(entries.len())?;
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key, Bytes::from(value)))
            .collect();
        Ok(store.set_many(entries).await?)
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<(), Error> {
        let store = self.bucket(&bucket)?;
        check_batch(keys.len())?;
        Ok(store.delete_many(keys).await?)
    }
}

fn check_batch(length: usize) -> Result<(), StoreError> {
    if length > BATCH_LIMIT {
        let reason = format!("a batch has at most {BATCH_LIMIT} keys, this one {length}");
        return Err(StoreError::TooLarge(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
