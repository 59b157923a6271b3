//! A room or key that is deleted takes its history with it.

use super::{posted, shelf};
use sschat_tests::{App, Host, Options};
use std::path::Path;

/// Whether any file below `folder` holds `needle`.
fn lies_in(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return lies_in(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|it| it == needle.as_bytes())
    })
}

#[tokio::test]
async fn a_deleted_room_has_no_history() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::start(Options::new().state(folder.path())).await;
    let app = App::register(&host).await;
    let (room, kept) = (app.room().await, app.room().await);
    posted(&app, &room, "1").await;
    posted(&app, &kept, "2").await;
    app.delete_room(&room).await;
    let path = format!("/api/room/{room}/history");
    app.call("GET", &path).await.expect_error(404, "not_found");
    super::post(&app, &room, "3")
        .await
        .expect_error(404, "not_found");
    assert_eq!(shelf(&app, &kept, "").await["offset"], 1);
}

#[tokio::test]
async fn a_deleted_room_s_history_is_gone_from_the_engine() {
    let folder = tempfile::TempDir::new().unwrap();
    let host = Host::start(Options::new().state(folder.path())).await;
    let app = App::register(&host).await;
    app.policy("PUT", "?rule=open", "").await.expect(200);
    // With the rule `open` the name lives on, so that its history can be looked at.
    let room = app.room().await;
    let (_, epoch) = posted(&app, &room, "\"needle\"").await;
    assert!(lies_in(&folder.path().join("history"), &app.id));
    app.delete_room(&room).await;
    let after = shelf(&app, &room, "").await;
    assert_eq!(after["offset"], 0);
    assert_ne!(after["epoch"], epoch);
}

#[tokio::test]
async fn a_deleted_key_has_no_history() {
    let host = Host::plain().await;
    let (app, other) = (App::register(&host).await, App::register(&host).await);
    let (room, kept) = (app.room().await, other.room().await);
    posted(&app, &room, "1").await;
    posted(&other, &kept, "2").await;
    app.delete().await;
    let path = format!("/api/room/{room}/history");
    app.call("GET", &path)
        .await
        .expect_error(401, "unauthorized");
    assert_eq!(shelf(&other, &kept, "").await["offset"], 1);
}
