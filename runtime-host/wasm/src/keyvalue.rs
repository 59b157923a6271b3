//! What both key-value interfaces share: an opened store and its grants.

use bytes::Bytes;
use sschat_store::{KEY_LIMIT, LocalStore, Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::component::{HasData, ResourceTable};

/// Keys in one page of a listing.
pub(super) const LIST_PAGE: usize = 256;

/// What one opening of a store refers to. Opening costs nothing and holds nothing.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenStore(pub(super) Arc<dyn Store>);

/// The stores of one component by their label in `key_value_stores`.
pub type Stores = HashMap<String, Arc<dyn Store>>;

/// Names [`KeyValueView`] as the data that the generated bindings work on.
pub(super) struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = KeyValueView<'a>;
}

/// One instance's view of its stores.
pub(super) struct KeyValueView<'a> {
    pub(super) table: &'a mut ResourceTable,
    pub(super) stores: &'a Stores,
}

/// Reads one key.
pub(super) async fn get(store: &dyn Store, key: &str) -> Result<Option<Bytes>, StoreError> {
    match store.local() {
        Some(local) => get_now(local, key),
        None if is_absent(key) => Ok(None),
        None => store.get(key).await,
    }
}

/// Reads one key on the spot.
pub(super) fn get_now(store: &dyn LocalStore, key: &str) -> Result<Option<Bytes>, StoreError> {
    if is_absent(key) {
        return Ok(None);
    }
    store.get_now(key)
}

/// A key that cannot be stored is absent; asking for it is no error.
fn is_absent(key: &str) -> bool {
    key.len() > KEY_LIMIT
}
