//! The interface as a component sees it, over the real embedded store.

use super::*;
use crate::keyvalue::Stores;
use atomics::{Host as _, HostCas};
use batch::Host as _;
use sschat_store::sqlite::SqliteStores;
use store::{Host as _, HostBucket as _};
use tempfile::TempDir;
use wasmtime::component::ResourceTable;

struct World {
    table: ResourceTable,
    stores: Stores,
    _database: SqliteStores,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = SqliteStores::open(folder.path().join("test.db")).unwrap();
        Self {
            table: ResourceTable::new(),
            stores: Stores::from([("default".to_owned(), database.space("default"))]),
            _database: database,
            _folder: folder,
        }
    }

    fn view(&mut self) -> KeyValueView<'_> {
        KeyValueView {
            table: &mut self.table,
            stores: &self.stores,
        }
    }

    /// A further handle on the bucket; handles are consumed by the calls they are given to.
    async fn bucket(&mut self) -> Resource<OpenStore> {
        self.view().open("default".to_owned()).await.unwrap()
    }

    async fn set(&mut self, key: &str, value: &[u8]) {
        let bucket = self.bucket().await;
        let mut view = self.view();
        let set = view.set(bucket, key.to_owned(), value.to_owned());
        set.await.unwrap();
    }

    async fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let bucket = self.bucket().await;
        let mut view = self.view();
        view.get(bucket, key.to_owned()).await.unwrap()
    }

    async fn cas(&mut self, key: &str) -> Resource<Cas> {
        let bucket = self.bucket().await;
        let mut view = self.view();
        HostCas::new(&mut view, bucket, key.to_owned())
            .await
            .unwrap()
    }

    async fn current(&mut self, cas: &Resource<Cas>) -> Option<Vec<u8>> {
        let handle = Resource::new_borrow(cas.rep());
        self.view().current(handle).await.unwrap()
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: &[u8]) -> Result<(), CasError> {
        self.view().swap(cas, value.to_owned()).await
    }
}

#[tokio::test]
async fn only_granted_labels_open() {
    let mut world = World::new();
    let refused = world.view().open("other".to_owned()).await;
    assert!(matches!(refused, Err(Error::AccessDenied)));
}

#[tokio::test]
async fn a_value_lives_from_set_to_delete() {
    let mut world = World::new();
    assert_eq!(world.get("k").await, None);
    world.set("k", b"v").await;
    assert_eq!(world.get("k").await, Some(b"v".to_vec()));
    let bucket = world.bucket().await;
    assert!(world.view().exists(bucket, "k".to_owned()).await.unwrap());
    for _ in 0..2 {
        let bucket = world.bucket().await;
        world.view().delete(bucket, "k".to_owned()).await.unwrap();
    }
    let bucket = world.bucket().await;
    assert!(!world.view().exists(bucket, "k".to_owned()).await.unwrap());
}

#[tokio::test]
async fn a_swap_from_none_wins_once() {
    let mut world = World::new();
    let first = world.cas("k").await;
    let second = world.cas("k").await;
    assert_eq!(world.current(&first).await, None);
    assert_eq!(world.current(&second).await, None);
    assert!(world.swap(first, b"1").await.is_ok());
    let Err(CasError::CasFailed(fresh)) = world.swap(second, b"2").await else {
        panic!("both swaps won");
    };
    assert_eq!(world.get("k").await, Some(b"1".to_vec()));
    assert_eq!(world.current(&fresh).await, Some(b"1".to_vec()));
    assert!(world.swap(fresh, b"2").await.is_ok());
    assert_eq!(world.get("k").await, Some(b"2".to_vec()));
}

#[tokio::test]
async fn a_swap_expects_what_current_said_last() {
    let mut world = World::new();
    world.set("k", b"1").await;
    let cas = world.cas("k").await;
    world.set("k", b"2").await;
    assert_eq!(world.current(&cas).await, Some(b"2".to_vec()));
    assert!(world.swap(cas, b"3").await.is_ok());

    // Without current, it is what was there when the handle was made.
    let cas = world.cas("k").await;
    world.set("k", b"4").await;
    assert!(world.swap(cas, b"5").await.is_err());
    assert_eq!(world.get("k").await, Some(b"4".to_vec()));
}

#[tokio::test]
async fn a_swap_notices_a_deletion() {
    let mut world = World::new();
    world.set("k", b"1").await;
    let cas = world.cas("k").await;
    let bucket = world.bucket().await;
    world.view().delete(bucket, "k".to_owned()).await.unwrap();
    let Err(CasError::CasFailed(fresh)) = world.swap(cas, b"2").await else {
        panic!("the swap brought a deleted value back");
    };
    assert_eq!(world.current(&fresh).await, None);
}

#[tokio::test]
async fn contended_swaps_lose_no_update() {
    const WRITERS: usize = 8;
    const ROUNDS: u8 = 20;
    let mut world = World::new();
    let stores = world.stores.clone();
    let writers = (0..WRITERS).map(|_| {
        let stores = stores.clone();
        tokio::spawn(async move {
            let mut table = ResourceTable::new();
            let mut view = KeyValueView {
                table: &mut table,
                stores: &stores,
            };
            for _ in 0..ROUNDS {
                let bucket = view.open("default".to_owned()).await.unwrap();
                let new = HostCas::new(&mut view, bucket, "k".to_owned());
                let mut cas = new.await.unwrap();
                loop {
                    let handle = Resource::new_borrow(cas.rep());
                    let mut seen = view.current(handle).await.unwrap().unwrap_or_default();
                    seen.push(1);
                    match view.swap(cas, seen).await {
                        Ok(()) => break,
                        Err(CasError::CasFailed(fresh)) => cas = fresh,
                        Err(CasError::StoreError(error)) => panic!("{error:?}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let value = world.get("k").await.unwrap();
    assert_eq!(value.len(), WRITERS * usize::from(ROUNDS));
}

#[tokio::test]
async fn counters_count_and_other_values_do_not() {
    let mut world = World::new();
    for expected in [5, 10] {
        let bucket = world.bucket().await;
        let sum = world.view().increment(bucket, "n".to_owned(), 5).await;
        assert_eq!(sum.unwrap(), expected);
    }
    world.set("text", b"not a counter").await;
    let bucket = world.bucket().await;
    let refused = world.view().increment(bucket, "text".to_owned(), 1).await;
    assert!(matches!(refused, Err(Error::Other(_))));
    assert_eq!(world.get("text").await, Some(b"not a counter".to_vec()));
}

#[tokio::test]
async fn batches_keep_order_and_bounds() {
    let mut world = World::new();
    let entries = [("b", "2"), ("a", "1")];
    let entries = entries.map(|(key, value)| (key.to_owned(), value.as_bytes().to_owned()));
    let bucket = world.bucket().await;
    world
        .view()
        .set_many(bucket, entries.to_vec())
        .await
        .unwrap();
    let keys = ["a", "x", "b"].map(str::to_owned);
    let bucket = world.bucket().await;
    let values = world.view().get_many(bucket, keys.to_vec()).await.unwrap();
    let expected = [("a", Some("1")), ("x", None), ("b", Some("2"))];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.map(Into::into)));
    assert_eq!(values, expected);
    let bucket = world.bucket().await;
    let mut view = world.view();
    view.delete_many(bucket, keys.to_vec()).await.unwrap();
    assert_eq!(world.get("a").await, None);

    let bucket = world.bucket().await;
    let many = vec!["k".to_owned(); BATCH_LIMIT + 1];
    assert!(world.view().get_many(bucket, many).await.is_err());
}

#[tokio::test]
async fn listing_goes_by_pages_while_keys_are_read_and_written() {
    let mut world = World::new();
    let count = 2 * LIST_PAGE + 10;
    for start in (0..count).step_by(100) {
        let entries = (start..(start + 100).min(count)).map(|n| (format!("k{n:05}"), vec![1]));
        let bucket = world.bucket().await;
        let entries = entries.collect();
        world.view().set_many(bucket, entries).await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let bucket = world.bucket().await;
        let page = world.view().list_keys(bucket, cursor).await.unwrap();
        // A listing holds nothing: the store works on in between.
        assert!(world.get("k00000").await.is_some());
        world.set("a key before all others", b"x").await;
        seen.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), count);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn a_key_that_is_too_long_is_absent_and_cannot_be_made() {
    let mut world = World::new();
    let long = "k".repeat(KEY_LIMIT + 1);
    assert_eq!(world.get(&long).await, None);
    let bucket = world.bucket().await;
    let refused = world.view().set(bucket, long.clone(), vec![1]).await;
    assert!(refused.is_err());
    let bucket = world.bucket().await;
    let mut view = world.view();
    assert!(HostCas::new(&mut view, bucket, long).await.is_err());
}
