//! What is left after a process was killed, a power cut and damage.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod common;

use common::*;
use futures::executor::block_on;
use sschat_history::{
    CommitSink, DurableHistory, Epoch, History, OpenError, Options, Position, PublishError,
    Recovery, Retention, UNSYNCED_LIMIT,
};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const KEEP: Retention = Retention {
    count: 1_000_000,
    bytes: 1 << 40,
    age: Duration::from_secs(1 << 30),
};

/// Names the folder to the process that is to be killed.
const FOLDER: &str = "SSCHAT_HISTORY_FOLDER";

struct Printed;

impl CommitSink for Printed {
    fn committed(&self, tokens: &[u64]) {
        let lines: String = tokens.iter().map(|it| format!("A {it}\n")).collect();
        std::io::stdout()
            .lock()
            .write_all(lines.as_bytes())
            .unwrap();
    }

    fn abandoned(&self, _: &[u64]) {}
}

/// Not a test of its own: what the killed process does.
#[test]
#[ignore = "run by the test below, to be killed"]
fn publishes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let history = DurableHistory::open(Options::new(folder), Arc::new(Printed)).unwrap();
    let rooms = ["a", "b", "c"].map(|room| block_on(history.open("t", room, KEEP)).unwrap());
    for token in 0u64.. {
        let room = (token % 3) as usize;
        let new = said(&format!("{room} {token}"));
        match history.publish(&rooms[room], new, token) {
            Ok(published) => {
                let Position { epoch, offset } = published.position;
                let line = format!("H {token} {room} {epoch} {offset}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
            Err(PublishError::Full) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// One life of the process: what it handed out and what it acknowledged.
#[derive(Default)]
struct Life {
    handed_out: HashMap<u64, (usize, Epoch, u64)>,
    acknowledged: Vec<u64>,
}

fn live(folder: &Path, lines: usize) -> Life {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "publishes_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut life = Life::default();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for at in 0.. {
        if at == lines {
            child.kill().unwrap();
        }
        line.clear();
        if output.read_line(&mut line).unwrap() == 0 {
            break;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["A", token] if line.ends_with('\n') => {
                life.acknowledged.push(token.parse().unwrap());
            }
            ["H", token, room, epoch, offset] if line.ends_with('\n') => {
                let place = (
                    room.parse().unwrap(),
                    epoch.parse().unwrap(),
                    offset.parse().unwrap(),
                );
                life.handed_out.insert(token.parse().unwrap(), place);
            }
            _ => {}
        }
    }
    child.wait().unwrap();
    life
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_and_no_offset_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut durable: Vec<(usize, Epoch, u64, String)> = Vec::new();
    let mut highest: HashMap<usize, (Epoch, u64)> = HashMap::new();
    for lines in [300, 1, 2_000, 40, 5_000, 777, 20_000, 3, 1_500, 9_000] {
        let life = live(folder.path(), lines);
        for (room, epoch, offset) in life.handed_out.values() {
            if let Some((before, top)) = highest.get(room) {
                assert_eq!(before, epoch, "one channel, one epoch");
                assert!(offset > top, "{offset} was handed out before: {top}");
            }
        }
        for (room, epoch, offset) in life.handed_out.values() {
            let top = highest.entry(*room).or_insert((*epoch, *offset));
            top.1 = top.1.max(*offset);
        }
        for token in &life.acknowledged {
            // Who was killed in between may have acknowledged without having said the offset.
            if let Some((room, epoch, offset)) = life.handed_out.get(token) {
                durable.push((*room, *epoch, *offset, format!("{room} {token}")));
            }
        }
        let history = open(folder.path(), &Arc::default()).unwrap();
        for (room, name) in ["a", "b", "c"].iter().enumerate() {
            let log = block_on(history.open("t", name, KEEP)).unwrap();
            let page = block_on(history.read(&log, everything())).unwrap();
            let there: HashMap<u64, _> = page
                .publications
                .iter()
                .map(|it| (it.offset, &it.payload))
                .collect();
            for (_, epoch, offset, text) in durable.iter().filter(|it| it.0 == room) {
                assert_eq!(*epoch, page.top.epoch);
                assert_eq!(there[offset], text.as_bytes());
            }
            let Some((epoch, top)) = &highest.get(&room).copied() else {
                continue;
            };
            if log.top().epoch == *epoch {
                assert!(log.top().offset > *top, "what may be lost is stepped over");
            } else {
                // It was killed before anything of the room was on the disk.
                let of_room = |it: &&(usize, Epoch, u64, String)| it.0 == room;
                assert_eq!(durable.iter().filter(of_room).count(), 0);
                highest.remove(&room);
            }
            let since = Position {
                epoch: *epoch,
                offset: *top,
            };
            let told = block_on(history.recover(&log, since, usize::MAX)).unwrap();
            assert!(matches!(told, Recovery::Unrecoverable { .. }), "{told:?}");
        }
        let tops =
            ["a", "b", "c"].map(|room| block_on(history.open("t", room, KEEP)).unwrap().top());
        block_on(history.close()).unwrap();
        drop(history);
        // After a clean end there is no gap.
        let history = open(folder.path(), &Arc::default()).unwrap();
        for (room, top) in ["a", "b", "c"].iter().zip(tops) {
            let log = block_on(history.open("t", room, KEEP)).unwrap();
            assert_eq!(log.top(), top);
            let told = block_on(history.recover(&log, top, 1)).unwrap();
            assert!(
                matches!(told, Recovery::Recovered { publications, .. } if publications.is_empty())
            );
        }
        block_on(history.close()).unwrap();
    }
    assert!(durable.len() > 1_000, "{} acknowledged", durable.len());
}

/// A folder whose journal ends with single groups, as a power cut would leave it, and
/// where in the journal each of them ends.
fn cut_folder() -> (tempfile::TempDir, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let (running, image) = (folder.path().join("running"), folder.path().join("image"));
    let sink = Arc::<Sink>::default();
    let history = open(&running, &sink).unwrap();
    let log = block_on(history.open("t", "r", KEEP)).unwrap();
    let mut ends = Vec::new();
    for token in 1..=6 {
        history
            .publish(&log, said(&format!("said {token}")), token)
            .unwrap();
        sink.wait(token);
        let bytes = std::fs::read(running.join("log/0.jnl")).unwrap();
        ends.push(bytes.iter().rposition(|it| *it != 0).unwrap() + 1);
    }
    copy(&running, &image);
    (folder, ends)
}

/// Opens a copy of the image with another journal and reads what it holds.
fn reopened(folder: &Path, journal: &[u8]) -> Result<Vec<u64>, OpenError> {
    let trial = folder.join("trial");
    let _ = std::fs::remove_dir_all(&trial);
    copy(&folder.join("image"), &trial);
    std::fs::write(trial.join("log/0.jnl"), journal).unwrap();
    let history = open(&trial, &Arc::default())?;
    let log = block_on(history.open("t", "r", KEEP)).unwrap();
    let page = block_on(history.read(&log, everything())).unwrap();
    for publication in &page.publications {
        let text = format!("said {}", publication.offset);
        assert_eq!(publication.payload, text.as_bytes());
    }
    let synced = page.publications.last().map_or(0, |it| it.offset);
    assert_eq!(
        page.top.offset,
        synced + UNSYNCED_LIMIT,
        "the stop was unclean"
    );
    Ok(offsets(&page))
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let (folder, ends) = cut_folder();
    let journal = std::fs::read(folder.path().join("image/log/0.jnl")).unwrap();
    let (before, end) = (ends[4], ends[5]);
    assert_eq!(end, journal.len());
    for at in before..end {
        // Torn off, zeros in its place, or one byte that is wrong.
        let torn = journal[..at].to_vec();
        assert_eq!(
            reopened(folder.path(), &torn).unwrap(),
            [1, 2, 3, 4, 5],
            "{at}"
        );
        let mut zeros = torn;
        zeros.resize(end + 100, 0);
        assert_eq!(
            reopened(folder.path(), &zeros).unwrap(),
            [1, 2, 3, 4, 5],
            "{at}"
        );
        let mut wrong = journal.clone();
        wrong[at] ^= 0x55;
        let left = reopened(folder.path(), &wrong).unwrap();
        // The sequence number in the head of a group has no checksum, and no effect here.
        assert!(left == [1, 2, 3, 4, 5] || (at < before + 13 && left == [1, 2, 3, 4, 5, 6]));
    }
    assert_eq!(
        reopened(folder.path(), &journal).unwrap(),
        [1, 2, 3, 4, 5, 6]
    );
}

#[test]
fn damage_before_the_tail_is_reported() {
    let (folder, ends) = cut_folder();
    let journal = std::fs::read(folder.path().join("image/log/0.jnl")).unwrap();
    let mut damaged = 0;
    for at in (ends[0]..ends[3]).step_by(3) {
        let mut wrong = journal.clone();
        wrong[at] ^= 0x55;
        match reopened(folder.path(), &wrong) {
            Err(OpenError::Damaged { path, .. }) => {
                assert!(path.ends_with("0.jnl"));
                damaged += 1;
            }
            Err(error) => panic!("{error}"),
            Ok(left) => panic!("{at}: {left:?} as if nothing was wrong"),
        }
    }
    assert!(damaged > 100, "{damaged}");
}

#[test]
fn a_folder_is_opened_once_and_only_if_it_is_a_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let history = open(&path, &Arc::default()).unwrap();
    assert!(matches!(
        open(&path, &Arc::default()),
        Err(OpenError::InUse { .. })
    ));
    drop(history);
    drop(open(&path, &Arc::default()).unwrap());
    std::fs::write(path.join("identity"), "sschat history 2, whatever that is").unwrap();
    assert!(matches!(
        open(&path, &Arc::default()),
        Err(OpenError::Foreign { .. })
    ));
    std::fs::write(folder.path().join("file"), "").unwrap();
    let inside = folder.path().join("file/history");
    assert!(matches!(
        open(&inside, &Arc::default()),
        Err(OpenError::Folder { .. })
    ));
}

#[test]
fn a_full_queue_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::<Sink>::default();
    let mut options = Options::new(folder.path());
    options.queue_bytes = 10_000;
    let history = DurableHistory::open(options, Arc::clone(&sink) as _).unwrap();
    let log = block_on(history.open("t", "r", KEEP)).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    while refused < 100 || accepted < 1_000 {
        match history.publish(&log, said("x"), accepted + 1) {
            Ok(published) => {
                accepted += 1;
                assert_eq!(published.position.offset, accepted);
            }
            Err(error) => {
                assert_eq!(error, PublishError::Full);
                refused += 1;
            }
        }
    }
    sink.wait(accepted);
    assert_eq!(
        *sink.committed.lock().unwrap(),
        (1..=accepted).collect::<Vec<_>>()
    );
    let page = block_on(history.read(&log, everything())).unwrap();
    assert_eq!(offsets(&page), (1..=accepted).collect::<Vec<_>>());
}
