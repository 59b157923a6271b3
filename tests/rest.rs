//! A plain HTTP/1.1 client.

use crate::deadline::within;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::net::TcpStream;

/// Requests to one host. Idle connections are used again.
#[derive(Debug)]
pub struct Rest {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Fails unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Fails unless this is an error of the one shape, with that status and code.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        let body = answer.json();
        assert_eq!(body["status"], "error", "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert!(
            body["msg"].as_str().is_some_and(|msg| !msg.is_empty()),
            "{body}"
        );
        assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
        assert!(
            answer
                .header("content-type")
                .unwrap()
                .starts_with("application/json")
        );
        answer
    }
}

impl Rest {
    /// A client of the host at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
        }
    }

    /// Sends a request with headers and a body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body = body.into();
        within(&format!("{method} {path}"), async {
            loop {
                let (mut sender, reused) = self.sender().await;
                let request = self.request(method, path, headers, body.clone());
                match sender.send_request(request).await {
                    Ok(response) => return self.whole(sender, response).await,
                    // The host may close an idle connection at any time.
                    Err(error) if reused && error.is_canceled() => {}
                    Err(error) => panic!("{method} {path}: {error:?}"),
                }
            }
        })
        .await
    }

    /// Sends a request without body or headers of its own.
    pub async fn call(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, &[], Bytes::new()).await
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).await
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).unwrap()
    }

    async fn sender(&self) -> (SendRequest<Full<Bytes>>, bool) {
        let idle = self.idle.lock().unwrap().pop();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return (sender, true);
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        (sender, false)
    }

    async fn whole(
        &self,
        sender: SendRequest<Full<Bytes>>,
        response: http::Response<hyper::body::Incoming>,
    ) -> Answer {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.idle.lock().unwrap().push(sender);
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }
}
