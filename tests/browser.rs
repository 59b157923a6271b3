//! A headless Chromium, driven over the DevTools protocol.

use crate::deadline::within;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What the browser is called on the systems that have it.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A whole-page screenshot comes as one message.
const LARGEST_ANSWER: usize = 64 << 20;

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    endpoint: String,
    _process: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty profile.
    pub async fn start() -> Self {
        let profile = TempDir::new().unwrap();
        let mut process = NAMES
            .iter()
            .find_map(|name| spawn(name, profile.path()))
            .unwrap_or_else(|| {
                panic!(
                    "none of {NAMES:?} is installed; `tests/run` installs one and runs the tests"
                );
            });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let endpoint = within("the browser starts", async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(endpoint) = line.strip_prefix("DevTools listening on ") {
                    return endpoint.trim().to_owned();
                }
                said.push_str(&line);
                said.push('\n');
            }
            panic!("the browser ended:\n{said}");
        })
        .await;
        // Goes on reading, for a full pipe would stop the browser.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            endpoint,
            _process: process,
            _profile: profile,
        }
    }

    /// Opens a tab of this size at `url` and waits until it has loaded.
    pub async fn open(&self, url: &str, width: u32, height: u32) -> Page {
        let address = self
            .endpoint
            .strip_prefix("ws://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let stream = within("connect", TcpStream::connect(address))
            .await
            .unwrap();
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_ANSWER))
            .max_frame_size(Some(LARGEST_ANSWER));
        let handshake =
            tokio_tungstenite::client_async_with_config(&self.endpoint, stream, Some(config));
        let (socket, _) = within("the browser answers", handshake).await.unwrap();
        let mut page = Page {
            socket,
            session: None,
            last: 0,
            errors: Vec::new(),
        };
        let target = page
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        page.session = Some(page.call("Target.attachToTarget", attach).await["sessionId"].clone());
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.resize(width, height).await;
        page.call("Page.navigate", json!({"url": url})).await;
        page.event("Page.loadEventFired").await;
        page
    }
}

fn spawn(name: &str, profile: &Path) -> Option<Child> {
    Command::new(name)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .args([
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
        ])
        .arg("--remote-debugging-port=0")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()
}

/// A tab.
#[derive(Debug)]
pub struct Page {
    socket: WebSocketStream<TcpStream>,
    session: Option<Value>,
    last: u64,
    errors: Vec<String>,
}

impl Page {
    /// Sets the size of the view, in CSS pixels.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Prefers light or dark colors.
    pub async fn prefer(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let question =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", question).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true, looking again at every frame that is drawn.
    pub async fn wait_for(&mut self, condition: &str) {
        let watch = format!(
            "new Promise(done => {{ const look = () => ({condition}) ? done(true) : requestAnimationFrame(look); look(); }})"
        );
        let held = self.evaluate(&watch);
        assert_eq!(within(condition, held).await, true);
    }

    /// Clicks in the middle of what the selector finds, as a mouse does: what covers it gets the click.
    pub async fn click(&mut self, selector: &str) {
        let quoted = Value::from(selector).to_string();
        self.wait_for(&format!(
            "document.querySelector({quoted})?.disabled === false"
        ))
        .await;
        let place = self
            .evaluate(&format!(
                "(() => {{ const it = document.querySelector({quoted}); it.scrollIntoView({{block: 'center'}});
                 const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
            ))
            .await;
        for (kind, buttons) in [("mousePressed", 1), ("mouseReleased", 0)] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "buttons": buttons, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Types into what has the focus.
    pub async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses Enter.
    pub async fn enter(&mut self) {
        for kind in ["keyDown", "keyUp"] {
            let key = json!({"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
            self.call("Input.dispatchKeyEvent", key).await;
        }
    }

    /// Saves the whole page as a PNG.
    pub async fn screenshot(&mut self, path: &Path) {
        let shot = self
            .call(
                "Page.captureScreenshot",
                json!({"captureBeyondViewport": true}),
            )
            .await;
        std::fs::write(
            path,
            STANDARD.decode(shot["data"].as_str().unwrap()).unwrap(),
        )
        .unwrap();
    }

    /// What the page has reported as an error so far: exceptions, and what the console shows as such.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut question = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            question["sessionId"] = session.clone();
        }
        self.socket
            .send(Message::text(question.to_string()))
            .await
            .unwrap();
        let answer = self.receive(method, |message| message["id"] == id).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn event(&mut self, method: &str) -> Value {
        self.receive(method, |message| message["method"] == method)
            .await
    }

    async fn receive(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        within(what, async {
            loop {
                let message = self.socket.next().await.expect("the browser runs").unwrap();
                let Message::Text(text) = message else {
                    continue;
                };
                let message: Value = serde_json::from_str(&text).unwrap();
                self.note(&message);
                if wanted(&message) {
                    return message;
                }
            }
        })
        .await
    }

    fn note(&mut self, message: &Value) {
        let wrong = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            _ => false,
        };
        if wrong {
            self.errors.push(message["params"].to_string());
        }
    }
}
