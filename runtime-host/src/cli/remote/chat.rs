//! A connection of the seed's protocol (`/websocket/polling`), for one user.

use super::client::{percent_encoded, unreachable};
use super::dial::{Line, PATIENCE, dial};
use super::shown::visible;
use super::target::{Login, Target};
use super::{Failure, UserArgs};
use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// The largest message that is taken: some times what a host lets pass unless it is told otherwise.
const MESSAGE_LIMIT: usize = 16 << 20;

/// What marks the end of an answer: a pong is sent after everything that came before its ping.
const FENCE: &[u8] = b"sschat";

/// A logged in connection.
pub(super) struct Chat {
    socket: WebSocket<Line>,
    url: String,
    /// The rooms that the user hears.
    pub(super) rooms: Vec<String>,
}

impl Chat {
    /// Connects and logs in.
    pub(super) fn open(target: &Target, args: &UserArgs) -> Result<Self, Failure> {
        let login = target.login_if_any(args)?;
        Self::open_as(target, &login.ok_or_else(Target::nobody)?)
    }

    /// The same, where it is known as whom.
    pub(super) fn open_as(
        target: &Target,
        (login, app): &(Login, Option<String>),
    ) -> Result<Self, Failure> {
        // Both schemes of HTTP have theirs of WebSockets: http and ws, https and wss.
        let rest = target.url.trim_start_matches("http");
        let mut request = format!("ws{rest}/websocket/polling");
        if let Some(app) = app {
            request.push_str("?app=");
            request.push_str(&percent_encoded(app));
        }
        let stream = dial(target)?;
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT));
        let shaken = tungstenite::client::client_with_config(request, stream, Some(config));
        let (socket, _) = shaken.map_err(|error| match error {
            HandshakeError::Failure(Error::Http(response)) => Failure::Unreachable(format!(
                "{} answered {} to a WebSocket; is this an SSChat host?",
                target.url,
                response.status()
            )),
            HandshakeError::Failure(error) => unreachable(&target.url, &error),
            HandshakeError::Interrupted(_) => unreachable(&target.url, &"no answer in time"),
        })?;
        let mut chat = Self {
            socket,
            url: target.url.clone(),
            rooms: Vec::new(),
        };
        chat.log_in(login)?;
        Ok(chat)
    }

    fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        let command = match login {
            Login::User(user) => json!({"command": "login", "user": user}),
            Login::Token(token) => json!({"command": "login", "token": token.expose()}),
        };
        self.say(&command)?;
        loop {
            let frame = self.next()?;
            match frame["type"].as_str() {
                Some("login") => {
                    let rooms = frame["rooms"].as_array().into_iter().flatten();
                    self.rooms = rooms
                        .filter_map(|room| Some(room.as_str()?.to_owned()))
                        .collect();
                    return Ok(());
                }
                Some("error") => {
                    let told = refusal(&frame);
                    let next = "`sschat user list` shows the users of a key";
                    return Err(Failure::Refused(format!(
                        "the login was refused: {told}\n  {next}"
                    )));
                }
                _ => {}
            }
        }
    }

    /// Sends a command.
    pub(super) fn say(&mut self, command: &Value) -> Result<(), Failure> {
        let sent = self.socket.send(Message::text(command.to_string()));
        sent.map_err(|error| self.failed(&error))
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> Result<Value, Failure> {
        loop {
            if let Some(frame) = self.step()? {
                return Ok(frame);
            }
        }
    }

    /// Everything that comes before the host has dealt with all that was sent so far.
    pub(super) fn settle(&mut self) -> Result<Vec<Value>, Failure> {
        let sent = self.socket.send(Message::Ping(FENCE.into()));
        sent.map_err(|error| self.failed(&error))?;
        let mut frames = Vec::new();
        loop {
            let message = self.socket.read().map_err(|error| self.failed(&error))?;
            match message {
                Message::Pong(payload) if payload == FENCE => return Ok(frames),
                message => frames.extend(self.parsed(message)?),
            }
        }
    }

    /// Sends a command and waits until it is dealt with.
    ///
    /// # Errors
    /// Why it was refused.
    pub(super) fn command(&mut self, command: &Value) -> Result<Vec<Value>, Failure> {
        self.say(command)?;
        let frames = self.settle()?;
        match frames.iter().find(|frame| frame["type"] == "error") {
            Some(error) => Err(Failure::Refused(refusal(error))),
            None => Ok(frames),
        }
    }

    /// From now on the next frame may take as long as it likes.
    pub(super) fn wait_forever(&mut self) -> Result<(), Failure> {
        let set = self.socket.get_ref().set_read_timeout(None);
        set.map_err(|error| unreachable(&self.url, &error))
    }

    /// Says goodbye. What was sent is dealt with already, so that how it ends is no matter.
    pub(super) fn close(mut self) {
        if self.socket.close(None).is_ok() {
            while self.socket.read().is_ok() {}
        }
    }

    fn step(&mut self) -> Result<Option<Value>, Failure> {
        let message = self.socket.read().map_err(|error| self.failed(&error))?;
        self.parsed(message)
    }

    fn parsed(&self, message: Message) -> Result<Option<Value>, Failure> {
        match message {
            Message::Text(text) => serde_json::from_str(&text).map(Some).map_err(|_| {
                let what = "sent what is no JSON; is this an SSChat host?";
                Failure::Unreachable(format!("{} {what}", self.url))
            }),
            Message::Close(frame) => {
                let how = frame.map_or_else(String::new, |frame| {
                    format!(" ({}: {})", u16::from(frame.code), visible(&frame.reason))
                });
                Err(Failure::Refused(format!(
                    "the host closed the connection{how}"
                )))
            }
            _ => Ok(None),
        }
    }

    fn failed(&self, error: &Error) -> Failure {
        let late = |error: &std::io::Error| {
            use std::io::ErrorKind::{TimedOut, WouldBlock};
            matches!(error.kind(), TimedOut | WouldBlock)
        };
        match error {
            Error::Io(error) if late(error) => {
                let seconds = PATIENCE.as_secs();
                Failure::Unreachable(format!("{} did not answer in {seconds} s", self.url))
            }
            error => Failure::Unreachable(format!("the connection to {} ended: {error}", self.url)),
        }
    }
}

/// A refusal in a line.
pub(super) fn refusal(frame: &Value) -> String {
    let text = |name: &str| visible(frame[name].as_str().unwrap_or_default());
    format!("{} ({})", text("data"), text("code"))
}
