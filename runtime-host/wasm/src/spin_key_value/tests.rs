//! The listing of keys, through the very stream that a component gets.

use super::*;
use sschat_store::sqlite::SqliteStores;
use std::sync::Mutex;
use tempfile::TempDir;
use wasmtime::component::{Lift, Source, StreamConsumer};
use wasmtime::{Config, Engine, Store as WasmStore};

fn open() -> (TempDir, SqliteStores) {
    let folder = tempfile::tempdir().unwrap();
    let database = SqliteStores::open(folder.path().join("test.db")).unwrap();
    (folder, database)
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    Engine::new(&config).unwrap()
}

/// Keeps what it is given.
struct Keep<T>(Arc<Mutex<Vec<T>>>);

impl<D, T: Lift + Send + Sync + 'static> StreamConsumer<D> for Keep<T> {
    type Item = T;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: Source<'_, T>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut items = Vec::with_capacity(64);
        source.read(store, &mut items)?;
        self.0.lock().unwrap().extend(items);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

async fn list(store: Arc<dyn Store>) -> (Vec<String>, Result<(), Error>) {
    let mut wasm = WasmStore::new(&engine(), ());
    let (done, outcome) = oneshot::channel();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let reader = StreamReader::new(&mut wasm, KeyPages::new(store, done)).unwrap();
    reader.pipe(&mut wasm, Keep(keys.clone())).unwrap();
    let outcome = wasm
        .run_concurrent(async |_| outcome.await.unwrap())
        .await
        .unwrap();
    drop(wasm);
    let keys = std::mem::take(&mut *keys.lock().unwrap());
    (keys, outcome)
}

#[tokio::test]
async fn all_keys_are_streamed_in_order() {
    let (_folder, database) = open();
    let store = database.space("default");
    for count in [0, 1, LIST_PAGE, LIST_PAGE + 1, 3 * LIST_PAGE] {
        let entries = (0..count).map(|n| (format!("k{n:05}"), Bytes::from_static(b"v")));
        store.set_many(entries.collect()).await.unwrap();
        let (keys, outcome) = list(store.clone()).await;
        assert!(outcome.is_ok());
        assert_eq!(keys.len(), count);
        assert!(keys.is_sorted());
    }
}

#[tokio::test]
async fn a_failure_ends_the_listing_and_is_told() {
    let (_folder, database) = open();
    let store = database.space("default");
    database.close();
    let (keys, outcome) = list(store).await;
    assert!(keys.is_empty());
    assert!(matches!(outcome, Err(Error::Other(_))));
}
