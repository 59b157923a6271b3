//! What was answered survives `kill -9`, and no offset is given twice.

use super::{offsets, posted, said, shelf};
use serde_json::json;
use sschat_tests::{App, Chat, Host, Options};
use std::collections::BTreeMap;

#[tokio::test]
async fn what_was_answered_survives_the_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let durable = || Options::new().state(folder.path());
    let mut host = Host::start(durable()).await;
    host.says("what was acknowledged survives a crash").await;
    let mut app = App::register(&host).await;
    let room = app.room().await;
    let mut answered = BTreeMap::new();
    let mut epochs = Vec::new();
    for life in 0..3 {
        for number in 0..10 {
            let message = json!({"life": life, "number": number});
            let (offset, epoch) = posted(&app, &room, &message.to_string()).await;
            let greatest = answered.keys().next_back().copied();
            assert!(greatest < Some(offset), "{offset} after {greatest:?}");
            answered.insert(offset, message);
            epochs.push(epoch);
        }
        host.kill().await;
        host = Host::start(durable()).await;
        app = app.at(&host);
        let found = shelf(&app, &room, "").await;
        let found: BTreeMap<_, _> = offsets(&found).into_iter().zip(said(&found)).collect();
        assert_eq!(found, answered);
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "one epoch over all lives");
}

#[tokio::test]
async fn no_offset_that_was_heard_is_given_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let durable = || Options::new().state(folder.path());
    let host = Host::start(durable()).await;
    let app = App::register(&host).await;
    let (room, [user, other]) = app.room_of().await;
    let mut speaker = Chat::as_user(&host, &user).await;
    let mut listener = Chat::as_user(&host, &other).await;
    for number in 0..200 {
        speaker.say(&room, number).await;
    }
    // Heard is not yet durable: the last ones may be lost, their offsets are not given again.
    for number in 0..200 {
        listener.expect_message(number, &user, &room).await;
    }
    host.kill().await;
    let host = Host::start(durable()).await;
    let app = app.at(&host);
    let (offset, _) = posted(&app, &room, "1").await;
    assert!(offset > 200, "{offset} was heard before the crash");
}

#[tokio::test]
async fn a_folder_belongs_to_one_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let _host = Host::start(Options::new().state(folder.path())).await;
    // Apart from the database, which refuses by itself.
    let other = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink(folder.path().join("history"), other.path().join("history"))
        .unwrap();
    let (status, text) = Host::refused(Options::new().state(other.path())).await;
    assert!(!status.success());
    assert!(
        text.contains("another sschat runs on this state folder"),
        "{text}"
    );
    let (status, text) = Host::refused(Options::new().state(folder.path())).await;
    assert!(!status.success());
    // It names the folder and says whose it is.
    let wanted = format!("the state folder {} is in use", folder.path().display());
    assert!(text.contains(&wanted), "{text}");
}
