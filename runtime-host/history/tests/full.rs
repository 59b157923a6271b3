//! On a full disk.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod common;

use common::*;
use futures::executor::block_on;
use sschat_history::{Ack, History, NewPublication, PublishError, Retention};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEEP: Retention = Retention {
    count: 40,
    bytes: 1 << 40,
    age: Duration::from_secs(1 << 30),
};

/// A small file system in memory, unmounted in the end.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=48m", "none"];
        let status = Command::new("mount")
            .args(mount)
            .arg(folder.path())
            .status();
        status.is_ok_and(|it| it.success()).then(|| Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

/// Set in the process that runs the test in a user namespace of its own.
const APART: &str = "SSCHAT_TEST_APART";

#[test]
fn a_full_disk_refuses_clearly_and_goes_on_when_there_is_room() {
    if let Some(small) = Small::mount() {
        return fills_up(small.0.path());
    }
    assert!(
        std::env::var_os(APART).is_none(),
        "no file system can be mounted in a user namespace either: run the tests as root"
    );
    // Whoever may not mount here may do so where they are root of a namespace of their own.
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("a_full_disk_refuses_clearly_and_goes_on_when_there_is_room")
        .env(APART, "1")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "mounting a small file system needs root, or user namespaces and unshare (util-linux)"
    );
}

/// Publishes into `small` until nothing fits any more, then makes room and goes on.
fn fills_up(small: &Path) {
    let ballast = small.join("ballast");
    std::fs::write(&ballast, vec![1; 24 << 20]).unwrap();
    let path = &small.join("history");
    let sink = Arc::<Sink>::default();
    let history = open(path, &sink).unwrap();
    let log = block_on(history.open("t", "r", KEEP)).unwrap();
    let new = |token: u64| NewPublication {
        payload: vec![token as u8; 64 << 10].into(),
        ..NewPublication::default()
    };
    let mut token = 0;
    let reason = loop {
        match history.publish(&log, new(token + 1), token + 1) {
            Ok(published) => {
                token += 1;
                assert_eq!(published.ack, Ack::Later);
            }
            Err(PublishError::Full) => std::thread::yield_now(),
            Err(error) => break error,
        }
        assert!(token < 10_000, "the disk is never full");
    };
    let told = reason.to_string();
    assert!(
        matches!(reason, PublishError::Failing(_)) && told.contains("space"),
        "{told}"
    );
    std::fs::remove_file(&ballast).unwrap();
    sink.wait(token);
    let begun = Instant::now();
    while history.publish(&log, new(token + 1), token + 1).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    sink.wait(token + 1);
    assert_eq!(
        log.top().offset,
        token + 1,
        "what was refused got no offset"
    );
    let top = log.top();
    block_on(history.close()).unwrap();
    drop((log, history));
    let history = open(path, &sink).unwrap();
    let log = block_on(history.open("t", "r", KEEP)).unwrap();
    assert_eq!(log.top(), top);
    let page = block_on(history.read(&log, everything())).unwrap();
    assert_eq!(
        offsets(&page),
        (top.offset - 39..=top.offset).collect::<Vec<_>>()
    );
    assert!(
        page.publications
            .iter()
            .all(|it| it.payload[0] == it.offset as u8)
    );
}
