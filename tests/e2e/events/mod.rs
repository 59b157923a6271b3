//! What a tenant's backend is told: by its webhook, and by the stream that it reads.

mod delivery;
mod hosts;
mod settings;
mod streaming;

use serde_json::{Value, json};
use sschat_tests::{App, Host, Options};

/// Everything, with what is said.
const ALL: [&str; 7] = [
    "connect",
    "disconnect",
    "join",
    "leave",
    "occupied",
    "vacated",
    "published",
];

/// How a host is started that may post to this machine.
fn local() -> Options {
    Options::new().arg("--private-webhooks")
}

async fn start() -> (Host, App) {
    let host = Host::start(local()).await;
    let app = App::register(&host).await;
    (host, app)
}

/// Kind, room and user of each.
fn told(events: &[Value]) -> Vec<(&str, &str, &str)> {
    let part = |event| ["kind", "room", "user"].map(|name| text(event, name));
    events
        .iter()
        .map(part)
        .map(|[kind, room, user]| (kind, room, user))
        .collect()
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or_default()
}

/// What was said, in its order.
fn said(events: &[Value]) -> Vec<Value> {
    let published = events.iter().filter(|event| event["kind"] == "published");
    published.map(|event| event["data"].clone()).collect()
}

/// Says something as the backend.
async fn say(app: &App, room: &str, message: impl Into<Value>) {
    let path = format!("/api/room/{room}/message?apikey={}", app.key);
    let body = message.into().to_string();
    app.rest.send("POST", &path, &[], body).await.expect(200);
}

fn published(url: &str) -> Value {
    json!({"url": url, "kinds": ["published"]})
}
