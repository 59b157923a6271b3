//! `/connection/websocket`: the Centrifuge protocol, in frames by hand; the official SDK drives it in [`sdk`].

mod across;
mod bad_input;
mod calls;
mod chaos;
mod dev_app;
mod filters;
mod keys;
mod limits;
mod passes;
mod publications;
mod recovery;
mod restarts;
mod revocation;
mod rotation;
mod sdk;
mod streams;
mod subscriptions;
mod tokens;
mod trace;
mod wire;

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
        Self::back(host, app, user, json!({})).await
    }

    /// A session of a user who was there before, in these rooms at these positions.
    async fn back(host: &Host, app: &App, user: &str, subs: Value) -> (Self, Value) {
        let mut client = Self::open(host, app).await;
        let token = sign(&json!({"sub": user}), &app.secret);
        let connect = json!({"connect": {"token": token, "subs": subs}});
        let connected = client.ask(connect).await;
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
        let (said, by) = (&push["pub"]["data"], &push["pub"]["info"]);
        assert_eq!((&channel, said, by), (&json!(room), &data, &info), "{push}");
        let stamp = (push["pub"]["offset"].as_u64(), push["pub"]["time"].as_i64());
        assert!(matches!(stamp, (Some(1..), Some(1..))), "{push}");
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

/// Fails unless a publish was accepted; its offset.
fn accepted(reply: &Value) -> u64 {
    let (offset, epoch) = (&reply["publish"]["offset"], &reply["publish"]["epoch"]);
    assert!(epoch.is_string(), "{reply}");
    offset.as_u64().expect("an offset")
}

/// Fails unless a subscription can be recovered from its position later; the position.
fn position(subscription: &Value) -> (u64, String) {
    let can = (&subscription["recoverable"], &subscription["positioned"]);
    assert_eq!(can, (&json!(true), &json!(true)), "{subscription}");
    let offset = subscription["offset"].as_u64().unwrap_or_default();
    (offset, subscription["epoch"].as_str().unwrap().to_owned())
}

/// The code of a refusal.
fn code(reply: &Value) -> &Value {
    &reply["error"]["code"]
}

/// Who says something: a user on a connection of this protocol.
fn info(user: &str, connected: &Value) -> Value {
    json!({"user": user, "client": connected["client"]})
}
