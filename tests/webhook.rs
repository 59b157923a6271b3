//! A backend that is told of events: a webhook's receiver, and a reader of the stream.

use crate::app::App;
use crate::deadline::{PATIENCE, within};
use crate::host::Host;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use ring::hmac;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request as it came, and how it was answered.
#[derive(Debug, Clone)]
pub struct Post {
    /// By lower-case names.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// The status.
    pub status: u16,
}

impl Post {
    /// Its events.
    pub fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["events"].as_array().unwrap().clone()
    }

    /// How many of its signatures are made with this secret.
    pub fn signed_with(&self, secret: &str) -> usize {
        let mut parts = self.headers["sschat-signature"].split(',');
        let time = parts.next().unwrap().strip_prefix("t=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = [time.as_bytes(), b".", &self.body].concat();
        let is_ours = |part: &str| {
            let hex = part.strip_prefix("v1=").unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let tag: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            hmac::verify(&key, &signed, &tag).is_ok()
        };
        parts.filter(|part| is_ours(part)).count()
    }
}

/// A webhook that ends with the test's runtime.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    /// The status and what follows it in the head.
    answer: Arc<Mutex<String>>,
    posts: mpsc::UnboundedReceiver<Post>,
    /// Events that were taken and not asked for yet.
    taken: VecDeque<Value>,
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new("204 No Content".to_owned()));
        let (sender, posts) = mpsc::unbounded_channel();
        let answers = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, answers) = (sender.clone(), Arc::clone(&answers));
                tokio::spawn(async move { serve(stream, &answers, &sender).await });
            }
        });
        Self {
            address,
            answer,
            posts,
            taken: VecDeque::new(),
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers so from now on: a status, and header lines behind it.
    pub fn answer(&self, head: &str) {
        *self.answer.lock().unwrap() = head.to_owned();
    }

    /// The next request.
    pub async fn post(&mut self) -> Post {
        // A host that was answered badly a few times takes its time.
        let post = tokio::time::timeout(4 * PATIENCE, self.posts.recv()).await;
        post.expect("a post arrives").unwrap()
    }

    /// The next request, if one is here.
    pub fn waiting(&mut self) -> Option<Post> {
        self.posts.try_recv().ok()
    }

    /// The next event that was taken.
    pub async fn event(&mut self) -> Value {
        while self.taken.is_empty() {
            let post = self.post().await;
            if (200..300).contains(&post.status) {
                self.taken.extend(post.events());
            }
        }
        self.taken.pop_front().unwrap()
    }

    /// The next `count` events.
    pub async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.event().await);
        }
        events
    }
}

async fn serve(mut stream: TcpStream, answer: &Mutex<String>, posts: &mpsc::UnboundedSender<Post>) {
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 << 10];
    let mut whole = None;
    loop {
        if whole.is_none() {
            whole = head(&bytes);
        }
        if let Some((end, headers)) = &whole {
            let length: usize = headers["content-length"].parse().unwrap();
            if bytes.len() >= end + length {
                break;
            }
        }
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    let (end, headers) = whole.unwrap();
    let answer = answer.lock().unwrap().clone();
    let status = answer[..3].parse().unwrap();
    // The test may be over.
    let _ = posts.send(Post {
        headers,
        body: bytes[end..].to_vec(),
        status,
    });
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Where the body begins, and the headers.
fn head(bytes: &[u8]) -> Option<(usize, HashMap<String, String>)> {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some((end, head.lines().skip(1).filter_map(header).collect()))
}

impl App {
    /// Says what the backend wants to be told; the answer.
    pub async fn webhook(&self, settings: &Value) -> Value {
        let path = format!("/api/webhook?apikey={}", self.key);
        let body = settings.to_string();
        self.rest
            .send("PUT", &path, &[], body)
            .await
            .expect(200)
            .json()
    }
}

/// A reader of `/api/events`.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    text: String,
}

impl EventStream {
    /// Opens a stream; the status where the host refuses.
    pub async fn open(host: &Host, path: &str, last: Option<&str>) -> Result<Self, u16> {
        let stream = TcpStream::connect(host.address()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::get(path).header("host", host.address().to_string());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = within("a stream opens", sender.send_request(request))
            .await
            .unwrap();
        let status = response.status().as_u16();
        if status != 200 {
            return Err(status);
        }
        let mut reader = Self {
            body: response.into_body(),
            text: String::new(),
        };
        assert_eq!(reader.frame().await.as_deref(), Some("retry: 1000"));
        Ok(reader)
    }

    /// The next frame, a comment's too; `None` where the stream has ended.
    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = frame.to_owned();
                self.text = rest.to_owned();
                return Some(frame);
            }
            let part = within("a frame arrives", self.body.frame()).await?.ok()?;
            let data = part.into_data().unwrap_or_default();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event; `None` where the stream has ended.
    pub async fn event(&mut self) -> Option<Value> {
        loop {
            let frame = self.frame().await?;
            let Some((id, data)) = frame.split_once("\ndata: ") else {
                assert_eq!(frame, ":");
                continue;
            };
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(Some(id.strip_prefix("id: ").unwrap()), event["id"].as_str());
            return Some(event);
        }
    }
}
