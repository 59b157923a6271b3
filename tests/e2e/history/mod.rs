//! What rooms keep of what was said: through REST and sessions, over crashes and deletions.

mod bad_input;
mod crash;
mod publishing;
mod removal;
mod server_api;
mod settings;

use serde_json::Value;
use sschat_tests::{Answer, App};

/// Says `message`, a JSON text, in a room as the app's backend.
pub(crate) async fn post(app: &App, room: &str, message: &str) -> Answer {
    let path = format!("/api/room/{room}/message?apikey={}", app.key);
    let headers = [("content-type", "application/json")];
    app.rest
        .send("POST", &path, &headers, message.to_owned())
        .await
}

/// The same, accepted: its offset and epoch.
pub(crate) async fn posted(app: &App, room: &str, message: &str) -> (u64, String) {
    let answer = post(app, room, message).await.expect(200).json();
    assert_eq!(answer["status"], "ok", "{answer}");
    let epoch = answer["epoch"].as_str().unwrap().to_owned();
    (answer["offset"].as_u64().unwrap(), epoch)
}

/// A room's history; `query` begins with `?` or is empty.
pub(crate) async fn shelf(app: &App, room: &str, query: &str) -> Value {
    let answer = app.get(&format!("/api/room/{room}/history{query}")).await;
    assert_eq!(answer["data"]["room_id"], room, "{answer}");
    answer["data"].clone()
}

/// What was said on a page.
pub(crate) fn said(shelf: &Value) -> Vec<Value> {
    let publications = shelf["publications"].as_array().unwrap();
    publications.iter().map(|it| it["data"].clone()).collect()
}

/// The offsets on a page.
pub(crate) fn offsets(shelf: &Value) -> Vec<u64> {
    let publications = shelf["publications"].as_array().unwrap();
    let offset = |it: &Value| it["offset"].as_u64().unwrap();
    publications.iter().map(offset).collect()
}
