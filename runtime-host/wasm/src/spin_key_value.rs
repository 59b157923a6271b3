//! `spin:key-value@3.0.0` over [`sschat_store::Store`].
//!
//! A label that the manifest does not grant is `access-denied`. Listing pages
//! through the store and holds nothing between pages, so it can run beside reads
//! and writes of the same instance.

use super::bindings::rest::spin::key_value::key_value::{
    Error, Host, HostStore, HostStoreWithStore,
};
use super::keyvalue::{self, KeyValue, KeyValueView, LIST_PAGE, OpenStore};
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use sschat_store::{Store, StoreError};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, FutureReader, Resource, StreamProducer, StreamReader, StreamResult,
    VecBuffer,
};

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl Host for KeyValueView<'_> {}

impl HostStore for KeyValueView<'_> {
    fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Send> HostStoreWithStore<T> for KeyValue {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> Result<Resource<OpenStore>, Error> {
        accessor.with(|mut access| {
            let view = access.get();
            let store = view.stores.get(&label).ok_or(Error::AccessDenied)?;
            view.table
                .push(OpenStore(store.clone()))
                .map_err(|_| Error::StoreTableFull)
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        let store = opened(accessor, &store)?;
        let value = keyvalue::get(&*store, &key).await?;
        Ok(value.map(Vec::from))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let store = opened(accessor, &store)?;
        Ok(store.set_many(vec![(key, Bytes::from(value))]).await?)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<(), Error> {
        let store = opened(accessor, &store)?;
        Ok(store.delete_many(vec![key]).await?)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
    ) -> Result<bool, Error> {
        let store = opened(accessor, &store)?;
        Ok(keyvalue::get(&*store, &key).await?.is_some())
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        accessor.with(|mut access| {
            let store = access.get().table.get(&store)?.0.clone();
            let (done, outcome) = oneshot::channel();
            let keys = StreamReader::new(&mut access, KeyPages::new(store, done))?;
            let outcome = FutureReader::new(&mut access, async move {
                // The sender is dropped unused when the guest stops reading: no failure.
                Ok::<_, wasmtime::Error>(outcome.await.unwrap_or(Ok(())))
            })?;
            Ok((keys, outcome))
        })
    }
}

fn opened<T>(
    accessor: &Accessor<T, KeyValue>,
    store: &Resource<OpenStore>,
) -> Result<Arc<dyn Store>, Error> {
    accessor.with(|mut access| match access.get().table.get(store) {
        Ok(open) => Ok(open.0.clone()),
        Err(_) => Err(Error::NoSuchStore),
    })
}

type Page = BoxFuture<'static, Result<Vec<String>, StoreError>>;

/// Produces all keys, one page of [`LIST_PAGE`] at a time, as the guest reads them.
struct KeyPages {
    store: Arc<dyn Store>,
    after: Option<String>,
    page: Option<Page>,
    done: Option<oneshot::Sender<Result<(), Error>>>,
}

impl KeyPages {
    fn new(store: Arc<dyn Store>, done: oneshot::Sender<Result<(), Error>>) -> Self {
        Self {
            store,
            after: None,
            page: None,
            done: Some(done),
        }
    }

    fn finish(&mut self, outcome: Result<(), Error>) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(done) = self.done.take() {
            // The guest may have dropped the future; then nobody wants to know.
            let _ = done.send(outcome);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl<D> StreamProducer<D> for KeyPages {
    type Item = String;
    type Buffer = VecBuffer<String>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            // The guest asks whether there is something; reading will tell.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let this = &mut *self;
        let page = this.page.get_or_insert_with(|| {
            let (store, after) = (this.store.clone(), this.after.clone());
            Box::pin(async move { store.keys(after.as_deref(), LIST_PAGE).await })
        });
        match page.as_mut().poll(cx) {
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => this.finish(Err(error.into())),
            Poll::Ready(Ok(keys)) => {
                this.page = None;
                let Some(last) = keys.last() else {
                    return this.finish(Ok(()));
                };
                this.after = Some(last.clone());
                let is_last = keys.len() < LIST_PAGE;
                destination.set_buffer(keys.into());
                if is_last {
                    return this.finish(Ok(()));
                }
                Poll::Ready(Ok(StreamResult::Completed))
            }
        }
    }
}

#[cfg(test)]
mod tests;
