//! What only a writer with a limited file can show.

use super::{Operation, Write, Writer};
use crate::sqlite::connection::{claim_folder, open_writer};
use crate::sqlite::shared::{Shared, Space};
use crate::sqlite::writer::Answer;
use crate::{Barrier, Change, ChangeListener, StoreError};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::sync::{Semaphore, oneshot};

/// Pages that the file may have.
const PAGES: i64 = 20;

#[derive(Default)]
struct Recorder(Mutex<Vec<Change>>);

impl ChangeListener for Recorder {
    fn changed(&self, change: &Change) -> Option<Barrier> {
        self.0.lock().unwrap().push(change.clone());
        None
    }
}

/// A writer whose database is full after [`PAGES`], which is for the test to drive.
fn limited_writer() -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let claim = claim_folder(&path).unwrap();
    let connection = open_writer(&path).unwrap();
    connection
        .pragma_update(None, "max_page_count", PAGES)
        .unwrap();
    let shared = Arc::new(Shared::open(&path).unwrap());
    let writer = Writer::new(path, connection, shared, claim).unwrap();
    (folder, writer)
}

fn set(space: &Arc<Space>, key: &str, length: usize) -> (Operation, oneshot::Receiver<Answer>) {
    let (answer, answered) = oneshot::channel();
    let operation = Operation {
        space: Arc::clone(space),
        write: Write::SetMany(vec![(key.to_owned(), Bytes::from(vec![7; length]))]),
        answer,
        permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
    };
    (operation, answered)
}

#[test]
fn a_full_file_undoes_the_group_and_spares_the_next() {
    let (_folder, mut writer) = limited_writer();
    let space = writer.shared.space("default");
    let recorder = Arc::new(Recorder::default());
    space.listeners.add(recorder.clone());

    let operations = [("a", 10), ("large", 1 << 20), ("b", 10)];
    let operations = operations.map(|(key, length)| set(&space, key, length));
    let (group, answers): (Vec<_>, Vec<_>) = operations.into_iter().unzip();
    writer.write(group);
    for mut answer in answers {
        let result = answer.try_recv().unwrap().result;
        let Err(StoreError::Unavailable(reason)) = result else {
            panic!("written to a full file");
        };
        assert!(
            reason.contains("full") && reason.contains("state.db"),
            "{reason}"
        );
    }
    assert!(
        recorder.0.lock().unwrap().is_empty(),
        "nothing was in doubt"
    );
    let readers = &writer.shared.readers;
    assert_eq!(
        readers.keys("default", None, 9).unwrap(),
        Vec::<String>::new()
    );

    let (operation, mut answer) = set(&space, "a", 10);
    writer.write(vec![operation]);
    assert!(answer.try_recv().unwrap().result.is_ok());
    let told = recorder.0.lock().unwrap().clone();
    assert!(
        matches!(&told[..], [Change::Keys(keys)] if **keys == ["a"]),
        "{told:?}"
    );
}
