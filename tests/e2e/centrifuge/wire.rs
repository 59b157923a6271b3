//! A connection that may end at any time, and says so instead of failing the test.

use super::PATH;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sschat_tests::{App, within};
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Such a connection.
pub(super) struct Wire {
    socket: WebSocketStream<TcpStream>,
    came: VecDeque<Value>,
    /// The id of the last command.
    pub(super) last: u32,
}

impl Wire {
    /// Connects and logs in; the answer. Nothing where the host goes away meanwhile.
    pub(super) async fn open(
        app: &App,
        address: SocketAddr,
        connect: Value,
        buffer: Option<u32>,
    ) -> Option<(Self, Value)> {
        let tcp = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = buffer {
            tcp.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = within("a connection is made or refused", tcp.connect(address))
            .await
            .ok()?;
        let url = format!("ws://{address}{PATH}?app={}", app.id);
        let shaking = tokio_tungstenite::client_async(url, stream);
        let (socket, _) = within("the handshake ends", shaking).await.ok()?;
        let mut wire = Self {
            socket,
            came: VecDeque::new(),
            last: 0,
        };
        wire.send(json!({"connect": connect})).await?;
        loop {
            let line = wire.line().await?;
            if line["id"] == 1 {
                return Some((wire, line));
            }
        }
    }

    /// Sends a command with the next id.
    pub(super) async fn send(&mut self, mut command: Value) -> Option<()> {
        self.last += 1;
        command["id"] = self.last.into();
        let sending = self.socket.send(Message::text(command.to_string()));
        within("a command is sent", sending).await.ok()
    }

    /// The next line; nothing once the connection has ended.
    pub(super) async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.came.pop_front() {
                return Some(line);
            }
            match self.socket.next().await? {
                Ok(Message::Text(text)) => {
                    for line in text.lines() {
                        match serde_json::from_str(line).unwrap() {
                            ping if ping == json!({}) => {
                                self.socket.send(Message::text("{}")).await.ok()?;
                            }
                            line => self.came.push_back(line),
                        }
                    }
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return None,
            }
        }
    }
}
