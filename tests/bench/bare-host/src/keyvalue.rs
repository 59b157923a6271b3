//! `wasi:keyvalue` over a hash map, and the variables that the components ask for.
//!
//! The functions are plain ones: nothing waits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};

#[allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from the WIT files, which carry the documentation"
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "sschat:policy/rest-imports",
        with: {
            "wasi:keyvalue/store.bucket": super::Bucket,
            "wasi:keyvalue/atomics.cas": super::Cas,
        },
    });
}
use bindings::spin::variables::variables;
use bindings::wasi::keyvalue::{atomics, batch, store};
use store::{Error, KeyResponse};

/// The one bucket.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Bucket;

/// Compare-and-swap, which no component of ours uses.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Cas;

/// All records, and the counters among them.
#[derive(Debug, Default)]
pub(crate) struct Map(Mutex<HashMap<String, Vec<u8>>>);

impl Map {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One instance's view of the map.
pub(crate) struct View<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) map: &'a Map,
}

/// The variables: anyone may register.
pub(crate) struct Variables;

struct KeyValueData;

impl HasData for KeyValueData {
    type Data<'a> = View<'a>;
}

impl HasData for Variables {
    type Data<'a> = Variables;
}

pub(crate) fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> View<'_>,
    variables: fn(&mut T) -> Variables,
) -> wasmtime::Result<()> {
    store::add_to_linker::<T, KeyValueData>(linker, view)?;
    atomics::add_to_linker::<T, KeyValueData>(linker, view)?;
    batch::add_to_linker::<T, KeyValueData>(linker, view)?;
    variables::add_to_linker::<T, Variables>(linker, variables)
}

fn absent<T>() -> Result<T, Error> {
    Err(Error::Other("not offered here".to_owned()))
}

impl store::Host for View<'_> {
    fn open(&mut self, _: String) -> Result<Resource<Bucket>, Error> {
        self.table
            .push(Bucket)
            .map_err(|error| Error::Other(error.to_string()))
    }
}

impl store::HostBucket for View<'_> {
    fn get(&mut self, _: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.map.lock().get(&key).cloned())
    }

    fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.map.lock().insert(key, value);
        Ok(())
    }

    fn delete(&mut self, _: Resource<Bucket>, key: String) -> Result<(), Error> {
        self.map.lock().remove(&key);
        Ok(())
    }

    fn exists(&mut self, _: Resource<Bucket>, key: String) -> Result<bool, Error> {
        Ok(self.map.lock().contains_key(&key))
    }

    fn list_keys(&mut self, _: Resource<Bucket>, _: Option<String>) -> Result<KeyResponse, Error> {
        absent()
    }

    fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    fn increment(&mut self, _: Resource<Bucket>, key: String, delta: i64) -> Result<i64, Error> {
        let mut map = self.map.lock();
        let value = map.entry(key).or_insert_with(|| vec![0; 8]);
        let Ok(bytes) = <[u8; 8]>::try_from(value.as_slice()) else {
            return Err(Error::Other("not a counter".to_owned()));
        };
        let sum = i64::from_le_bytes(bytes).wrapping_add(delta);
        *value = sum.to_le_bytes().to_vec();
        Ok(sum)
    }

    fn swap(&mut self, _: Resource<Cas>, _: Vec<u8>) -> Result<(), atomics::CasError> {
        absent().map_err(atomics::CasError::StoreError)
    }
}

impl atomics::HostCas for View<'_> {
    fn new(&mut self, _: Resource<Bucket>, _: String) -> Result<Resource<Cas>, Error> {
        absent()
    }

    fn current(&mut self, _: Resource<Cas>) -> Result<Option<Vec<u8>>, Error> {
        absent()
    }

    fn drop(&mut self, _: Resource<Cas>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl batch::Host for View<'_> {
    fn get_many(
        &mut self,
        _: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        let map = self.map.lock();
        let get = |key: String| {
            let value = map.get(&key).cloned();
            (key, value)
        };
        Ok(keys.into_iter().map(get).collect())
    }

    fn set_many(
        &mut self,
        _: Resource<Bucket>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Error> {
        self.map.lock().extend(entries);
        Ok(())
    }

    fn delete_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> Result<(), Error> {
        let mut map = self.map.lock();
        for key in keys {
            map.remove(&key);
        }
        Ok(())
    }
}

impl variables::Host for Variables {}

impl<T: Send> variables::HostWithStore<T> for Variables {
    async fn get(_: &Accessor<T, Self>, name: String) -> Result<String, variables::Error> {
        let value = if name == "registration" { "open" } else { "" };
        Ok(value.to_owned())
    }
}
