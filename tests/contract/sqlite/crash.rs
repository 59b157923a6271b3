//! What was acknowledged survives `kill -9`.

use crate::store::{entry, get};
use futures::future::join_all;
use sschat_store::sqlite::SqliteStores;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Tells a child which database to use.
const DATABASE: &str = "SSCHAT_TEST_DATABASE";

/// Tasks that write in the child.
const WRITERS: u32 = 8;

/// Acknowledgements after which the child is killed.
const ENOUGH: usize = 300;

/// This test program again, to run the ignored test `name` on the database at `path`.
pub(crate) fn child(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(DATABASE, path);
    command
}

/// The database to use, if this process was started by [`child`].
pub(crate) fn is_child() -> Option<OsString> {
    std::env::var_os(DATABASE)
}

/// Each writer writes pairs and counts them, and prints what is acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by what_was_acknowledged_survives_a_kill"]
async fn writing_child() {
    let Some(path) = is_child() else { return };
    let stores = SqliteStores::open(path).unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = stores.space("default");
        tokio::spawn(async move {
            for round in 1_u32.. {
                let value = round.to_string();
                let pair = vec![
                    entry(&format!("one {writer}"), value.clone()),
                    entry(&format!("other {writer}"), value),
                ];
                store.set_many(pair).await.unwrap();
                store.increment(format!("count {writer}"), 1).await.unwrap();
                // One write, so that lines of several writers do not mix.
                std::io::stdout()
                    .write_all(format!("ack {writer} {round}\n").as_bytes())
                    .unwrap();
            }
        })
    });
    join_all(writers).await;
}

/// Runs the child until it has acknowledged enough, kills it, and returns the last
/// round that each writer acknowledged.
fn kill_while_writing(path: &Path) -> BTreeMap<u32, u32> {
    let mut command = child("sqlite::crash::writing_child", path);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // After the kill, what was printed before it is still read.
    for (number, line) in lines
        .map_while(Result::ok)
        .filter(|line| line.starts_with("ack "))
        .enumerate()
    {
        if number == ENOUGH {
            child.kill().unwrap();
        }
        let mut words = line.split(' ').skip(1).map(str::parse::<u32>);
        if let (Some(Ok(writer)), Some(Ok(round))) = (words.next(), words.next()) {
            acknowledged.insert(writer, round);
        }
    }
    assert!(!child.wait().unwrap().success(), "it was killed");
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut before: BTreeMap<u32, u32> = BTreeMap::new();
    for kill in 0..3 {
        let last = tokio::task::block_in_place(|| kill_while_writing(&path));
        assert!(last.values().sum::<u32>() as usize >= ENOUGH, "{last:?}");
        let stores = Arc::new(SqliteStores::open(&path).unwrap());
        let store = stores.space("default");
        for writer in 0..WRITERS {
            let acknowledged = last.get(&writer).copied().unwrap_or(0);
            let one = get(&*store, &format!("one {writer}")).await;
            let other = get(&*store, &format!("other {writer}")).await;
            assert_eq!(one, other, "kill {kill}: half a batch");
            let round: u32 = one.map_or(0, |value| {
                std::str::from_utf8(&value).unwrap().parse().unwrap()
            });
            // A round beyond the last is one whose acknowledgement was cut off.
            let kept = [acknowledged, acknowledged + 1].contains(&round);
            assert!(
                kept || acknowledged == 0,
                "kill {kill}: {round} is there, {acknowledged} was acknowledged"
            );

            let earlier = before.get(&writer).copied().unwrap_or(0);
            let count = store.increment(format!("count {writer}"), 0).await.unwrap();
            let count = u32::try_from(count).unwrap();
            let due = earlier + acknowledged;
            assert!(
                (due..=due + 1).contains(&count),
                "kill {kill}: {count} counted, {due} acknowledged"
            );
            before.insert(writer, count);
        }
        let checked: String = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(checked, "ok");
    }
}
