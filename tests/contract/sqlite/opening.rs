//! Opening and closing a database file.

use super::Sqlite;
use crate::store::{get, set};
use futures::future::join_all;
use futures::poll;
use sschat_store::StoreError;
use sschat_store::sqlite::{OpenError, SqliteStores};
use std::fs;
use std::pin::pin;

#[test]
fn makes_the_folder_where_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there/state.db");
    SqliteStores::open(&path).unwrap().close();
    assert!(path.is_file());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path.parent().unwrap())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "records are their owner's alone");
    }
}

#[test]
fn two_hosts_never_share_a_folder() {
    let first = Sqlite::open();
    let refused = SqliteStores::open(first.path()).err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    let folder = first.folder.path().display().to_string();
    assert!(refused.to_string().contains(&folder), "{refused}");
    let other_file = first.folder.path().join("other.db");
    assert!(matches!(
        SqliteStores::open(other_file),
        Err(OpenError::InUse { .. })
    ));

    first.stores().close();
    let second = SqliteStores::open(first.path()).unwrap();
    let space = second.space("default");
    drop(second);
    assert!(
        matches!(
            SqliteStores::open(first.path()),
            Err(OpenError::InUse { .. })
        ),
        "a space keeps it open"
    );
    drop(space);
    SqliteStores::open(first.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let refused = SqliteStores::open(file.join("state.db")).err().unwrap();
    assert!(
        matches!(&refused, OpenError::Folder { folder, .. } if *folder == file),
        "{refused}"
    );
    assert!(
        refused.to_string().contains(&file.display().to_string()),
        "{refused}"
    );
}

#[test]
fn what_is_no_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let text = "this is a letter to my aunt and not a database\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let refused = SqliteStores::open(&path).err().unwrap();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused}");
    assert!(
        refused.to_string().contains(&path.display().to_string()),
        "{refused}"
    );
    assert!(refused.to_string().contains("not a database"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_table_of_another_shape_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE spin_key_value (store TEXT, name TEXT, value BLOB)")
        .unwrap();
    drop(connection);
    let refused = SqliteStores::open(&path).err().unwrap();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused}");
    assert!(
        refused.to_string().contains("key"),
        "it says what is missing: {refused}"
    );
}

#[test]
fn a_database_that_another_program_has_locked_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("BEGIN EXCLUSIVE; CREATE TABLE other (a)")
        .unwrap();
    let refused = SqliteStores::open(&path).err().unwrap();
    assert!(
        matches!(&refused, OpenError::Locked { path: named } if *named == path),
        "{refused}"
    );
    other.execute_batch("ROLLBACK").unwrap();
    SqliteStores::open(&path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_writes_what_waits_and_leaves_one_file() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    let mut queued = pin!(join_all(
        (0..50).map(|number| store.increment(format!("{}", number % 5), 1))
    ));
    assert!(poll!(&mut queued).is_pending());
    tokio::task::block_in_place(|| sqlite.stores().close());
    let answers = queued.await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");

    let mut files: Vec<_> = fs::read_dir(sqlite.folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["lock", "state.db"], "the log is folded in");
    let rows: i64 = sqlite
        .connection()
        .query_row("SELECT count(*) FROM spin_key_value", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_says_so() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    set(&*store, "a", "1").await;
    assert_eq!(get(&*store, "a").await.unwrap(), "1");
    sqlite.stores().close();
    sqlite.stores().close();
    let closed = |error: StoreError| {
        let text = error.to_string();
        assert!(
            matches!(error, StoreError::Unavailable(_)) && text.contains("closed"),
            "{text}"
        );
    };
    closed(store.get("a").await.unwrap_err());
    closed(
        store
            .get_many(&["a".to_owned(), "b".to_owned()])
            .await
            .unwrap_err(),
    );
    closed(
        store
            .set_many(vec![crate::store::entry("a", "2")])
            .await
            .unwrap_err(),
    );
    closed(store.increment("n".to_owned(), 1).await.unwrap_err());
    closed(store.keys(None, 1).await.unwrap_err());
}
