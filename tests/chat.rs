//! A client of `/websocket/polling`, over an independent WebSocket implementation.

use crate::deadline::within;
use crate::host::Host;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The path of the seed's protocol.
pub const POLLING: &str = "/websocket/polling";

/// What a connection goes through.
pub trait Wire: AsyncRead + AsyncWrite + std::fmt::Debug + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + std::fmt::Debug + Unpin + Send> Wire for T {}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a close frame of this code and reason.
    Closed(u16, String),
    /// Without one.
    Dropped,
}

/// How many of the last frames a failing test shows of each connection.
const SHOWN: usize = 12;

/// One open connection.
#[derive(Debug)]
pub struct Chat {
    socket: WebSocketStream<Box<dyn Wire>>,
    last: VecDeque<String>,
}

impl Drop for Chat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last: Vec<_> = self.last.iter().map(String::as_str).collect();
            eprintln!("--- a connection's last frames:\n{}\n---", last.join("\n"));
        }
    }
}

impl Chat {
    /// Connects to the seed's endpoint.
    pub async fn connect(host: &Host) -> Self {
        Self::open(host.address(), POLLING, &[])
            .await
            .expect("the handshake succeeds")
    }

    /// Connects with headers of one's own.
    pub async fn connect_with(host: &Host, headers: &[(&str, &str)]) -> Self {
        Self::open(host.address(), POLLING, headers)
            .await
            .expect("the handshake succeeds")
    }

    /// Connects and names an app.
    pub async fn connect_to(host: &Host, app: &str) -> Self {
        Self::open(host.address(), &format!("{POLLING}?app={app}"), &[])
            .await
            .expect("the handshake succeeds")
    }

    /// Connects to any path with headers of one's own; the HTTP status where the host refuses.
    pub async fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let stream = within("connect", TcpStream::connect(address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(Box::new(stream), &format!("ws://{address}{path}"), headers).await
    }

    /// The same over a connection that is there already.
    pub async fn over(
        stream: Box<dyn Wire>,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request
                .headers_mut()
                .insert(name, http::HeaderValue::from_str(value).unwrap());
        }
        match within(
            "the handshake",
            tokio_tungstenite::client_async(request, stream),
        )
        .await
        {
            Ok((socket, _)) => Ok(Self {
                socket,
                last: VecDeque::new(),
            }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// Connects and logs in as `user`.
    pub async fn as_user(host: &Host, user: &str) -> Self {
        let mut chat = Self::connect(host).await;
        chat.log_in(user).await;
        chat
    }

    /// Logs in; the accepted login's answer.
    pub async fn log_in(&mut self, user: &str) -> Value {
        self.send(&json!({"command": "login", "user": user})).await;
        let answer = self.next().await;
        assert_eq!(answer["type"], "login", "{answer}");
        assert_eq!(answer["data"], "ok", "{answer}");
        assert_eq!(answer["user"], user, "{answer}");
        answer
    }

    /// Sends a JSON command.
    pub async fn send(&mut self, command: &Value) {
        self.send_text(&command.to_string()).await;
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: &str) {
        self.note("->", text);
        self.send_frame(Message::text(text)).await;
    }

    /// Sends any frame.
    pub async fn send_frame(&mut self, frame: Message) {
        within("a frame is sent", self.socket.send(frame))
            .await
            .unwrap();
    }

    /// Says `message` in `room`.
    pub async fn say(&mut self, room: &str, message: impl Into<Value>) {
        self.send(&json!({"command": "room", "room": room, "msg": message.into()}))
            .await;
    }

    /// Asks whether `user` is online and returns the answer.
    pub async fn ping(&mut self, user: &str) -> Value {
        self.send(&json!({"command": "ping", "user": user})).await;
        self.until("the answer to ping", |frame| {
            (frame["type"] == "presense" && frame["from"] == user) || frame["type"] == "error"
        })
        .await
    }

    /// The next frame's text.
    pub async fn next_text(&mut self) -> String {
        loop {
            match within("a frame arrives", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    self.note("<-", &text);
                    return text.as_str().to_owned();
                }
                // The client answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    /// The next frame, as JSON.
    pub async fn next(&mut self) -> Value {
        let text = self.next_text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    /// Skips frames until one that `wanted` accepts.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        within(what, async {
            loop {
                let frame = self.next().await;
                if wanted(&frame) {
                    return frame;
                }
            }
        })
        .await
    }

    /// Waits until the connection is told that it was added to a room (`add`) or removed (`remove`).
    pub async fn membership(&mut self, room: &str, change: &str) {
        let frame = self
            .until("a change of membership", |frame| frame["type"] == "room")
            .await;
        assert_eq!(frame, json!({"type": "room", "data": change, "room": room}));
    }

    /// The next message; news of presence and membership is passed over, anything else fails.
    pub async fn message(&mut self) -> Value {
        let frame = self.until("a message", |frame| !is_news(frame)).await;
        assert_eq!(frame["type"], "message", "{frame}");
        frame
    }

    /// Fails unless the next message is exactly this one.
    pub async fn expect_message(&mut self, data: impl Into<Value>, from: &str, to: &str) {
        let wanted = json!({"type": "message", "data": data.into(), "from": from, "to": to});
        assert_eq!(self.message().await, wanted);
    }

    /// The next refusal; news of presence and membership is passed over, anything else fails.
    pub async fn refusal(&mut self) -> Value {
        let frame = self.until("a refusal", |frame| !is_news(frame)).await;
        assert_eq!(frame["type"], "error", "{frame}");
        assert!(
            frame["data"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{frame}"
        );
        frame
    }

    /// Waits for `user` to be announced as `state`.
    pub async fn presence(&mut self, user: &str, state: &str) -> Value {
        let frame = self
            .until("presence", |frame| {
                frame["type"] == "presense" && frame["from"] == user
            })
            .await;
        assert_eq!(
            frame,
            json!({"type": "presense", "data": state, "from": user})
        );
        frame
    }

    /// Reads to the end: all frames before it, and how it came.
    pub async fn end(&mut self) -> (Vec<String>, End) {
        let mut frames = Vec::new();
        let how = within("the connection ends", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => frames.push(text.as_str().to_owned()),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return End::Closed(frame.code.into(), frame.reason.as_str().to_owned());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return End::Dropped,
                }
            }
        })
        .await;
        (frames, how)
    }

    /// Fails unless the connection ends with this close code.
    pub async fn expect_close(&mut self, code: u16) {
        let (frames, how) = self.end().await;
        assert!(
            matches!(how, End::Closed(got, _) if got == code),
            "{how:?} after {frames:?}"
        );
    }

    fn note(&mut self, direction: &str, text: &str) {
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(format!("{direction} {text:.200}"));
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        within("close", async {
            self.socket.close(None).await.unwrap();
            while let Some(Ok(_)) = self.socket.next().await {}
        })
        .await;
    }

    /// The socket, for those who need more.
    pub fn socket(&mut self) -> &mut WebSocketStream<Box<dyn Wire>> {
        &mut self.socket
    }
}

/// Frames that come unasked for, beside messages.
fn is_news(frame: &Value) -> bool {
    frame["type"] == "presense" || frame["type"] == "room"
}
