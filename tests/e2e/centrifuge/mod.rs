//! `/connection/websocket`: the Centrifuge protocol, in frames by hand; the official SDK drives it in [`sdk`].

mod bad_input;
mod keys;
mod passes;
mod publications;
mod rotation;
mod sdk;
mod subscriptions;
mod tokens;

use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{App, Chat, Host};
use std::collections::VecDeque;

/// The code after which clients stay away, because their user or app is gone.
const REVOKED: u16 = 4501;

/// The path of the protocol.
const PATH: &str = "/connection/websocket";

/// A connection that speaks the protocol in JSON.
struct Client {
    chat: Chat,
    last: u32,
    /// Lines that came while another was awaited.
    came: VecDeque<Value>,
}

impl Client {
    /// Connects to an app; says nothing yet.
    async fn open(host: &Host, app: &App) -> Self {
        Self::open_at(host, &format!("{PATH}?app={}", app.id)).await
    }

    async fn open_at(host: &Host, path: &str) -> Self {
        let chat = Chat::open(host.address(), path, &[]).await.unwrap();
        Self {
            chat,
            last: 0,
            came: VecDeque::new(),
        }
    }

    /// A session of this user, and the answer to its connect.
    async fn of(host: &Host, app: &App, user: &str) -> (Self, Value) {
        let mut client = Self::open(host, app).await;
        let token = sign(&json!({"sub": user}), &app.secret);
        let connected = client.ask(json!({"connect": {"token": token}})).await;
        assert!(connected["connect"].is_object(), "{connected}");
        let connected = connected["connect"].clone();
        (client, connected)
    }

    /// Sends a command with the next id, which is returned.
    async fn send(&mut self, mut command: Value) -> u32 {
        self.last += 1;
        command["id"] = self.last.into();
        self.chat.send(&command).await;
        self.last
    }

    /// Sends a command; its reply. What comes before is kept.
    async fn ask(&mut self, command: Value) -> Value {
        let id = self.send(command).await;
        self.reply(id).await
    }

    /// The reply to a command. What comes before is kept.
    async fn reply(&mut self, id: u32) -> Value {
        let mut before = std::mem::take(&mut self.came);
        loop {
            let line = self.line().await;
            if line["id"] == id {
                before.append(&mut self.came);
                self.came = before;
                return line;
            }
            before.push_back(line);
        }
    }

    /// The next push: its channel, and what it says.
    async fn push(&mut self) -> (Value, Value) {
        let mut line = self.line().await;
        let push = line["push"].take();
        assert!(push.is_object(), "no push: {line}");
        (push["channel"].clone(), push)
    }

    /// Fails unless the next push is this publication.
    async fn expect_publication(&mut self, room: &str, data: Value, info: Value) {
        let (channel, push) = self.push().await;
        let wanted = json!({"data": data, "info": info});
        assert_eq!((channel, &push["pub"]), (json!(room), &wanted), "{push}");
    }

    /// The next line; pings are passed over.
    async fn line(&mut self) -> Value {
        loop {
            if let Some(line) = self.came.pop_front() {
                return line;
            }
            let text = self.chat.next_text().await;
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            self.came.extend(lines.filter(|line| *line != json!({})));
        }
    }

    /// Fails unless the connection ends with this close code.
    async fn expect_close(&mut self, code: u16) {
        self.chat.expect_close(code).await;
    }
}

/// The code of a refusal.
fn code(reply: &Value) -> &Value {
    &reply["error"]["code"]
}

/// Who says something: a user on a connection of this protocol.
fn info(user: &str, connected: &Value) -> Value {
    json!({"user": user, "client": connected["client"]})
}
