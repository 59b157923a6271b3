//! Other programs, damaged files and full disks.

use super::Sqlite;
use super::crash::{child, is_child};
use crate::store::{entry, get, set};
use sschat_store::sqlite::SqliteStores;
use sschat_store::{Barrier, Change, ChangeListener, StoreError};
use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Passes each change on to the test.
struct Relay(mpsc::UnboundedSender<Change>);

impl ChangeListener for Relay {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        let _ = self.0.send(change.clone());
        None
    }
}

fn relay(stores: &SqliteStores) -> mpsc::UnboundedReceiver<Change> {
    let (sender, changes) = mpsc::unbounded_channel();
    stores.listen("default", Arc::new(Relay(sender)));
    changes
}

/// Writes as a program would that knows nothing of the host.
fn write_behind_its_back(sqlite: &Sqlite, key: &str, value: &str) {
    let sql = "INSERT OR REPLACE INTO spin_key_value VALUES ('default', ?1, CAST(?2 AS BLOB))";
    sqlite.connection().execute(sql, [key, value]).unwrap();
}

#[tokio::test]
async fn a_foreign_write_is_noticed_when_idle() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    set(&*store, "a", "1").await;
    let mut changes = relay(sqlite.stores());
    write_behind_its_back(&sqlite, "a", "2");
    assert!(matches!(changes.recv().await, Some(Change::Lost)));
    assert_eq!(get(&*store, "a").await.unwrap(), "2");
}

#[tokio::test]
async fn a_foreign_write_is_noticed_before_the_next_commit_is_told() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    set(&*store, "a", "1").await;
    let mut changes = relay(sqlite.stores());
    write_behind_its_back(&sqlite, "a", "2");
    set(&*store, "b", "1").await;
    assert!(matches!(changes.recv().await, Some(Change::Lost)));
    assert!(matches!(changes.recv().await, Some(Change::Keys(_))));
    assert_eq!(get(&*store, "a").await.unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_fails_the_write_and_nothing_else() {
    let sqlite = Sqlite::open();
    let store = sqlite.default();
    set(&*store, "a", "1").await;
    let mut changes = relay(sqlite.stores());
    let other = sqlite.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.set_many(vec![entry("a", "2")]).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Unavailable(reason) if reason.contains("locked")),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains(&sqlite.path().display().to_string()),
        "{refused}"
    );
    assert_eq!(get(&*store, "a").await.unwrap(), "1", "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    set(&*store, "a", "3").await;
    assert_eq!(get(&*store, "a").await.unwrap(), "3");
    let told = changes.recv().await;
    assert!(
        matches!(told, Some(Change::Keys(_))),
        "nothing was in doubt: {told:?}"
    );
}

#[tokio::test]
async fn a_damaged_page_fails_what_needs_it() {
    let mut sqlite = Sqlite::open();
    let keys: Vec<String> = (0..500).map(|number| format!("key {number:03}")).collect();
    let value = vec![7; 500];
    sqlite
        .default()
        .set_many(keys.iter().map(|key| entry(key, value.clone())).collect())
        .await
        .unwrap();
    sqlite.stores().close();
    sqlite.stores = None;
    let mut file = fs::File::options().write(true).open(sqlite.path()).unwrap();
    let length = file.metadata().unwrap().len();
    // Everything but the schema and the roots of table and index.
    file.seek(SeekFrom::Start(3 * 4096)).unwrap();
    file.write_all(&vec![0xAA; usize::try_from(length).unwrap() - 3 * 4096])
        .unwrap();
    drop(file);

    sqlite.stores = Some(SqliteStores::open(sqlite.path()).unwrap());
    let store = sqlite.default();
    let failed = store.get("key 250").await.unwrap_err();
    assert!(
        matches!(&failed, StoreError::Unavailable(reason) if reason.contains("malformed")),
        "{failed}"
    );
    assert!(
        failed
            .to_string()
            .contains(&sqlite.path().display().to_string()),
        "{failed}"
    );
    assert!(store.set_many(vec![entry("key 250", "1")]).await.is_err());
    assert!(store.keys(None, 500).await.is_err());
}

/// Run in a process whose files may not grow beyond a few hundred KiB.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_full_disk_fails_the_write_and_the_host_goes_on"]
async fn full_disk_child() {
    let Some(path) = is_child() else { return };
    let stores = SqliteStores::open(PathBuf::from(path)).unwrap();
    let store = stores.space("default");
    set(&*store, "a", "1").await;
    let mut changes = relay(&stores);

    let large = store
        .set_many(vec![entry("large", vec![7; 3 << 20]), entry("a", "2")])
        .await;
    assert!(
        matches!(large, Err(StoreError::Unavailable(_))),
        "{large:?}"
    );
    let told = changes.recv().await;
    assert!(
        matches!(told, Some(Change::Lost)),
        "it is unknown whether it took effect: {told:?}"
    );
    assert_eq!(get(&*store, "a").await.unwrap(), "1");
    assert_eq!(get(&*store, "large").await, None);

    set(&*store, "a", "3").await;
    assert!(matches!(changes.recv().await, Some(Change::Keys(_))));
    assert_eq!(get(&*store, "a").await.unwrap(), "3");
    stores.close();
    println!("went on");
}

#[cfg(unix)]
#[test]
fn a_full_disk_fails_the_write_and_the_host_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    // Blocks of 512 or 1,024 bytes, depending on the shell. A write beyond fails, as
    // the signal that would end the process is ignored.
    let shell = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    let child = child("sqlite::trouble::full_disk_child", &path);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", shell])
        .arg(child.get_program())
        .args(child.get_args());
    limited.envs(
        child
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = limited.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("went on"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let stores = SqliteStores::open(path).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(
        runtime
            .block_on(get(&*stores.space("default"), "a"))
            .unwrap(),
        "3"
    );
}
