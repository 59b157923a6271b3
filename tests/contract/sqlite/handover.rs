//! The file is handed between `spin up` and a host.

use super::Sqlite;
use crate::store::{Backend as _, entry, get, set};
use rusqlite::{Connection, params};
use sschat_store::sqlite::SqliteStores;
use std::fs;
use std::path::Path;

/// The table as Spin 4 makes it, in SQLite's default journal mode.
fn create_as_spin(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                           store TEXT NOT NULL,
                           key   TEXT NOT NULL,
                           value BLOB NOT NULL,

                           PRIMARY KEY (store, key)
                        )",
        )
        .unwrap();
    connection
}

fn insert(connection: &Connection, store: &str, key: &str, value: &[u8]) {
    let sql = "INSERT INTO spin_key_value (store, key, value) VALUES ($1, $2, $3)
               ON CONFLICT(store, key) DO UPDATE SET value=$3";
    connection.execute(sql, params![store, key, value]).unwrap();
}

fn value(connection: &Connection, store: &str, key: &str) -> Vec<u8> {
    let sql = "SELECT value FROM spin_key_value WHERE store=$1 AND key=$2";
    connection
        .query_row(sql, [store, key], |row| row.get(0))
        .unwrap()
}

/// Name, type, NOT NULL and place in the primary key of each column.
fn columns(connection: &Connection) -> Vec<(String, String, bool, i64)> {
    let mut statement = connection
        .prepare("PRAGMA table_info(spin_key_value)")
        .unwrap();
    let column = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(5)?));
    statement
        .query_map([], column)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[tokio::test]
async fn a_host_takes_over_from_spin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sqlite_key_value.db");
    let spin = create_as_spin(&path);
    insert(&spin, "default", "a", b"from spin");
    insert(&spin, "default", "n", &7_i64.to_le_bytes());
    insert(&spin, "other", "a", b"elsewhere");
    drop(spin);

    let stores = SqliteStores::open(&path).unwrap();
    let store = stores.space("default");
    assert_eq!(get(&*store, "a").await.unwrap(), "from spin");
    assert_eq!(store.increment("n".to_owned(), 1).await.unwrap(), 8);
    assert_eq!(
        get(&*stores.space("other"), "a").await.unwrap(),
        "elsewhere"
    );
    assert_eq!(store.keys(None, 9).await.unwrap(), ["a", "n"]);
}

#[tokio::test]
async fn spin_takes_over_from_a_host() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    store
        .set_many(vec![
            entry("a", "1"),
            entry("empty", ""),
            entry("with\0nul", "2"),
        ])
        .await
        .unwrap();
    store.increment("n".to_owned(), 7).await.unwrap();
    store.increment("n".to_owned(), -10).await.unwrap();
    set(&*store, "text", "41").await;
    store.increment("text".to_owned(), 1).await.unwrap();
    set(&*sqlite.space("other"), "a", "elsewhere").await;
    sqlite.stores().close();

    let spin = create_as_spin(&sqlite.path());
    assert_eq!(value(&spin, "default", "a"), b"1");
    assert_eq!(value(&spin, "default", "empty"), b"");
    assert_eq!(value(&spin, "default", "with\0nul"), b"2");
    assert_eq!(
        value(&spin, "default", "n"),
        (-3_i64).to_le_bytes(),
        "as Spin counts"
    );
    assert_eq!(value(&spin, "default", "text"), 42_i64.to_le_bytes());
    assert_eq!(value(&spin, "other", "a"), b"elsewhere");
    insert(&spin, "default", "a", b"changed by spin");
    drop(spin);

    let again = SqliteStores::open(sqlite.path()).unwrap();
    assert_eq!(
        get(&*again.space("default"), "a").await.unwrap(),
        "changed by spin"
    );
}

#[test]
fn both_make_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let spin = create_as_spin(&folder.path().join("spin.db"));
    assert_eq!(columns(&Sqlite::open().connection()), columns(&spin));
}

#[tokio::test]
async fn what_a_killed_program_left_in_the_log_is_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let spin = create_as_spin(&folder.path().join("left.db"));
    spin.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    insert(&spin, "default", "a", b"in the log");
    // The files as they are while the other program still runs: what is left of it
    // when it is killed.
    for suffix in ["", "-wal", "-shm"] {
        let left = folder.path().join(format!("left.db{suffix}"));
        fs::copy(left, folder.path().join(format!("found.db{suffix}"))).unwrap();
    }
    assert!(
        fs::metadata(folder.path().join("found.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    let stores = SqliteStores::open(folder.path().join("found.db")).unwrap();
    assert_eq!(
        get(&*stores.space("default"), "a").await.unwrap(),
        "in the log"
    );
}
