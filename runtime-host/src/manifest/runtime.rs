//! The runtime configuration file: which store stands behind a label.
//!
//! Spin's file (`--runtime-config-file`). Of it, `[key_value_store.LABEL]` is read; other
//! tables configure what this host does not have, and are reported in
//! [`RuntimeConfig::ignored`]. Stores whose set-many is not atomic are refused.

use super::document::{Document, ManifestError, Node, unknown};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The label that exists without any configuration.
pub const DEFAULT_LABEL: &str = "default";

/// The database of a store that names none, relative to the state folder. Spin's name.
pub const DEFAULT_DATABASE: &str = "sqlite_key_value.db";

/// A backend of a key-value store.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// `type = "spin"`: a SQLite database.
    Sqlite {
        /// Where the database is.
        path: PathBuf,
    },
    /// `type = "redis"`.
    Redis {
        /// `redis://…`; may hold a password.
        url: String,
    },
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite { path } => f.debug_struct("Sqlite").field("path", path).finish(),
            Self::Redis { .. } => f.debug_struct("Redis").finish_non_exhaustive(),
        }
    }
}

/// The stores by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// `default` is always among them.
    pub stores: BTreeMap<String, StoreConfig>,
    /// Tables of the file that configure nothing here.
    pub ignored: Vec<String>,
}

impl RuntimeConfig {
    /// Reads the file, or takes the defaults if there is none.
    pub fn read(file: Option<&Path>, state_dir: &Path) -> Result<Self, ManifestError> {
        let default = StoreConfig::Sqlite {
            path: state_dir.join(DEFAULT_DATABASE),
        };
        let mut config = Self {
            stores: BTreeMap::from([(DEFAULT_LABEL.to_owned(), default)]),
            ignored: Vec::new(),
        };
        if let Some(file) = file {
            let document = Document::read(file)?;
            document.table(|root| config.read_tables(&root, state_dir))?;
        }
        Ok(config)
    }

    fn read_tables(&mut self, root: &Node<'_>, state_dir: &Path) -> Result<(), ManifestError> {
        for (name, table) in root.entries()? {
            if name != "key_value_store" {
                self.ignored.push(name);
                continue;
            }
            for (label, store) in table.entries()? {
                self.stores.insert(label, read_store(&store, state_dir)?);
            }
        }
        Ok(())
    }
}

fn read_store(store: &Node<'_>, state_dir: &Path) -> Result<StoreConfig, ManifestError> {
    let kind = store.require("type")?;
    match kind.string()?.as_str() {
        "spin" => {
            store.only(&["type", "path"])?;
            let path = match store.get("path")? {
                Some(path) => state_dir.join(path.string()?),
                None => state_dir.join(DEFAULT_DATABASE),
            };
            Ok(StoreConfig::Sqlite { path })
        }
        "redis" => {
            store.only(&["type", "url"])?;
            let url = store.require("url")?.string()?;
            Ok(StoreConfig::Redis { url })
        }
        "azure_cosmos" | "aws_dynamo" => Err(kind.error(
            "set-many is not atomic there, so memberships could be half written; use spin or redis",
        )),
        other => Err(kind.error(unknown("type of store", other, &["spin", "redis"]))),
    }
}
