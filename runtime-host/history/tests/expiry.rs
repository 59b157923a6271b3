//! Channels that nobody has open any more give back what has expired.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod common;

use common::*;
use futures::executor::block_on;
use sschat_history::Retention;
use std::time::{Duration, Instant};

#[test]
fn what_expires_in_closed_channels_is_given_back() {
    let mut subject = Subject::new(true, 1 << 20);
    let keep = |seconds| Retention {
        age: Duration::from_secs(seconds),
        ..Retention::default()
    };
    let mut tops = Vec::new();
    for room in 0..50 {
        let name = format!("r{room}");
        let log = subject.open("t", &name, keep(60));
        subject.say(&log, "soon gone");
        tops.push((name, log.top()));
    }
    let stays = subject.open("t", "stays", keep(3_600));
    subject.say(&stays, "stays");
    drop(stays);
    let bytes = |subject: &Subject| block_on(subject.history().tenant_bytes("t")).unwrap();
    let all = bytes(&subject);
    subject.pass(60_000);
    let begun = Instant::now();
    let one = sschat_history::PUBLICATION_OVERHEAD + 6;
    while bytes(&subject) != one {
        assert!(begun.elapsed() < PATIENCE, "{} of {all}", bytes(&subject));
        std::thread::park_timeout(Duration::from_millis(10));
    }
    subject.reopen();
    assert_eq!(bytes(&subject), one, "on the disk as well");
    for (name, top) in tops {
        let log = subject.open("t", &name, keep(60));
        assert_eq!(log.top(), top, "offsets go on");
        assert_eq!(subject.all(&log), [0; 0]);
    }
    assert_eq!(subject.all(&subject.open("t", "stays", keep(3_600))), [1]);
    // Nobody came back for longer than any client waits: not even the epoch is kept.
    let before = subject.log("r1").top().epoch;
    subject.reopen();
    subject.pass(31 * 24 * 60 * 60 * 1_000);
    while subject.log("r1").top().epoch == before {
        assert!(begun.elapsed() < PATIENCE);
        subject.reopen();
        subject.pass(31 * 24 * 60 * 60 * 1_000);
        let looked = Instant::now();
        while looked.elapsed() < Duration::from_millis(1_200) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}
