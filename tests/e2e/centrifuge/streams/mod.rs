//! `/connection/http_stream`, `/connection/sse` and `/emulation`, by hand; the official SDK drives them in
//! [`super::sdk`].

mod bad_input;
mod ending;
mod talking;

use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{Answer, App, Body, Host, Rest};
use std::collections::VecDeque;

/// Where JSON is spoken, a line a reply.
const STREAM: &str = "/connection/http_stream";

/// A session whose replies come in the body of a response.
pub(super) struct Session {
    body: Body,
    rest: Rest,
    /// What the connect reply said.
    connected: Value,
    last: u32,
    came: VecDeque<Value>,
}

/// A connect command of this user.
fn connect(app: &App, user: &str) -> String {
    let token = sign(&json!({"sub": user}), &app.secret);
    json!({"id": 1, "connect": {"token": token}}).to_string()
}

impl Session {
    /// A session of this user.
    pub(super) async fn of(host: &Host, app: &App, user: &str) -> Self {
        let path = format!("{STREAM}?app={}", app.id);
        Self::open_at(host, &path, &connect(app, user)).await
    }

    /// A session that begins with this connect command.
    pub(super) async fn open_at(host: &Host, path: &str, connect: &str) -> Self {
        let request = Body::request(&format!("POST {path} HTTP/1.1"), "", connect);
        let mut session = Self::begin(host, Body::open(host, request).await);
        session.connected = session.line().await["connect"].take();
        assert!(session.connected.is_object(), "{}", session.connected);
        session
    }

    fn begin(host: &Host, body: Body) -> Self {
        assert!(body.head.starts_with("http/1.1 200 "), "{}", body.head);
        Self {
            body,
            rest: Rest::new(host.address()),
            connected: Value::Null,
            last: 1,
            came: VecDeque::new(),
        }
    }

    /// What goes to `/emulation`, for these commands.
    pub(super) fn wrapped(&self, commands: &str) -> Value {
        let (session, node) = (&self.connected["session"], &self.connected["node"]);
        json!({"session": session, "node": node, "data": commands})
    }

    /// Sends commands as they are.
    async fn post(&self, commands: &str) -> Answer {
        emulate(&self.rest, &self.wrapped(commands)).await
    }

    /// Sends a command with the next id, and awaits its reply; what comes before is lost.
    pub(super) async fn ask(&mut self, mut command: Value) -> Value {
        self.last += 1;
        command["id"] = self.last.into();
        self.post(&command.to_string()).await.expect(204);
        loop {
            let line = self.line().await;
            if line["id"] == self.last {
                return line;
            }
        }
    }

    /// The next line that is no ping.
    async fn line(&mut self) -> Value {
        self.next().await.expect("the body goes on")
    }

    /// The next line that is no ping; nothing at the end of the body.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.came.pop_front() {
                return Some(line);
            }
            let chunk = String::from_utf8(self.body.chunk().await?).unwrap();
            assert!(chunk.ends_with('\n'), "{chunk:?}");
            let lines = chunk
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            self.came.extend(lines.filter(|line| *line != json!({})));
        }
    }

    /// The next push of this kind.
    pub(super) async fn push(&mut self, kind: &str) -> Value {
        loop {
            let mut push = self.line().await["push"].take();
            if push[kind].is_object() {
                return push[kind].take();
            }
        }
    }

    /// Fails unless the body ends, after a push that says so with this code, and the connection with it.
    async fn expect_end(&mut self, code: u16, reconnect: bool) {
        let why = self.push("disconnect").await;
        let told = (&why["code"], why["reconnect"].as_bool().unwrap_or(false));
        assert_eq!(told, (&json!(code), reconnect), "{why}");
        assert_eq!(self.next().await, None);
    }
}

/// Sends a body to `/emulation`.
pub(super) async fn emulate(rest: &Rest, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    rest.send("POST", "/emulation", &json, body.to_string())
        .await
}
