//! The embedded store: the contract, and what is true of SQLite alone.

mod crash;
mod figures;
mod handover;
mod opening;
mod queue;
mod trouble;

use crate::store::{Backend, store_contract};
use sschat_store::sqlite::SqliteStores;
use sschat_store::{ChangeListener, Store};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A database in a folder of its own.
pub(crate) struct Sqlite {
    folder: TempDir,
    /// `None` only while it restarts.
    stores: Option<SqliteStores>,
}

impl Sqlite {
    pub(crate) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = Some(SqliteStores::open(folder.path().join("state.db")).unwrap());
        Self { folder, stores }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub(crate) fn stores(&self) -> &SqliteStores {
        self.stores.as_ref().unwrap()
    }

    /// The key space that most tests use.
    pub(crate) fn default(&self) -> Arc<dyn Store> {
        self.stores().space("default")
    }

    /// A second connection to the same file, as another program would open it.
    pub(crate) fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

impl Backend for Sqlite {
    fn space(&self, label: &str) -> Arc<dyn Store> {
        self.stores().space(label)
    }

    fn listen(&self, label: &str, listener: Arc<dyn ChangeListener>) {
        self.stores().listen(label, listener);
    }

    fn restart(&mut self) {
        self.stores().close();
        self.stores = None;
        self.stores = Some(SqliteStores::open(self.path()).unwrap());
    }
}

store_contract!(Sqlite::open);
