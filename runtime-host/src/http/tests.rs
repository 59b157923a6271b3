//! The server over real sockets, without components: what it answers itself.

use super::upgrade::{Endpoint, Format, Upgraded};
use super::*;
use crate::peers::{Errand, Fate, Present, Standing};
use bytes::Bytes;
use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

const HEAD_TIMEOUT: Duration = Duration::from_millis(300);

struct Adopted(mpsc::UnboundedSender<Upgraded>);

impl Adopt for Adopted {
    fn adopt(&self, upgraded: Upgraded) {
        self.0.send(upgraded).unwrap();
    }
}

/// A host without sessions.
struct NoRelay;

impl streams::Relay for NoRelay {
    fn say<'a>(&'a self, _: &'a str, _: &'a str, _: Bytes) -> BoxFuture<'a, Option<Fate>> {
        unreachable!()
    }
}

/// A desk that is never asked: nothing here is mounted.
struct NoDesk;

impl policies::Desk for NoDesk {
    fn tenant<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<String, policies::Declined>> {
        unreachable!()
    }

    fn check(&self, _: bytes::Bytes) -> BoxFuture<'_, Result<(), policies::Declined>> {
        unreachable!()
    }

    fn figures(&self, _: &str) -> serde_json::Value {
        unreachable!()
    }

    fn explain<'a>(
        &'a self,
        _: &'a str,
        _: &'a std::collections::HashMap<String, String>,
    ) -> BoxFuture<'a, Result<serde_json::Value, policies::Declined>> {
        unreachable!()
    }

    fn component_limit(&self) -> usize {
        0
    }
}

/// Nor a backend's.
struct NoBackend;

impl rooms::Backend for NoBackend {
    fn publish<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: rooms::Message<'a>,
    ) -> BoxFuture<'a, Result<Option<rooms::Place>, policies::Declined>> {
        unreachable!()
    }

    fn history<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: rooms::Wanted<'a>,
    ) -> BoxFuture<'a, Result<rooms::Shelf, policies::Declined>> {
        unreachable!()
    }

    fn remove_history<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), policies::Declined>> {
        unreachable!()
    }

    fn presence<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Present>, policies::Declined>> {
        unreachable!()
    }

    fn act(&self, _: Errand) -> BoxFuture<'_, Result<(), policies::Declined>> {
        unreachable!()
    }

    fn standing<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Standing>, policies::Declined>> {
        unreachable!()
    }

    fn forget_room<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, ()> {
        unreachable!()
    }

    fn forget_events<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        unreachable!()
    }

    fn forget_tenant<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        unreachable!()
    }
}

struct NoFeed;

impl super::events::Feed for NoFeed {
    fn read<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<futures::stream::BoxStream<'static, bytes::Bytes>, policies::Declined>>
    {
        unreachable!()
    }
}

struct Running {
    address: SocketAddr,
    adopted: mpsc::UnboundedReceiver<Upgraded>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<usize>,
}

fn start(debug_endpoints: bool, readiness: Result<(), String>) -> Running {
    let (adopt, adopted) = mpsc::unbounded_channel();
    let server = Server::new(Parts {
        mounts: Vec::new(),
        routes: Vec::new(),
        elsewhere: Vec::new(),
        sockets: true,
        limits: Limits {
            connections: 8,
            body: 1_024,
            message: 256,
            rates: Rates::default(),
            proxies: Proxies::default(),
            head: HEAD_TIMEOUT,
        },
        origins: Origins::default(),
        compression: false,
        adopt: Arc::new(Adopted(adopt)),
        relay: Arc::new(NoRelay),
        debug_endpoints,
        readiness: Arc::new(move || {
            let readiness = readiness.clone();
            Box::pin(async move { readiness })
        }),
        desk: Arc::new(NoDesk),
        figures: Arc::new(|_| {}),
        local_metrics: true,
        backend: Arc::new(NoBackend),
        feed: Arc::new(NoFeed),
    });
    let bound = Bound::new(([127, 0, 0, 1], 0).into()).unwrap();
    let address = bound.address();
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let drain = Duration::from_secs(5);
    let served = tokio::spawn(bound.serve(Arc::new(server.unwrap()), stopped, drain));
    Running {
        address,
        adopted,
        stop,
        served,
    }
}

/// Sends `request` on a connection of its own and reads until the server closes it.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
}

fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn built_in_paths_and_no_others() {
    let host = start(false, Ok(()));
    for path in ["/", "/openapi.json", "/healthz", "/readyz"] {
        let answer = ask(host.address, &request("GET", path)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        let answer = ask(host.address, &request("DELETE", path)).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{path}: {answer}");
        assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }
    let answer = ask(host.address, &request("GET", "/nothing")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let error = r#"{"status":"error","code":"not_found","msg":"there is nothing here"}"#;
    assert!(answer.ends_with(error), "{answer}");
}

#[tokio::test]
async fn a_host_whose_store_fails_lives_but_is_not_ready() {
    let host = start(false, Err("the store is gone".to_owned()));
    let answer = ask(host.address, &request("GET", "/healthz")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = ask(host.address, &request("GET", "/readyz")).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("the store is gone"), "{answer}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let host = start(false, Ok(()));
    let answer = ask(host.address, "GET / HTTP/1.1\r\nHost: a.test\r\n").await;
    assert_eq!(answer, "");
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    let answer = ask(host.address, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = "A: b\r\n".repeat(200);
    let answer = ask(host.address, &format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = ask(host.address, "what is this\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn an_upgrade_hands_over_the_socket_and_what_was_read() {
    let mut host = start(false, Ok(()));
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let early = "frames that came with the handshake";
    let path = "/websocket/polling?app=app_1&format=text";
    let sent = handshake(path, "") + early;
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut upgraded = host.adopted.recv().await.unwrap();
    assert_eq!(upgraded.read, early.as_bytes());
    assert_eq!(upgraded.app.as_deref(), Some("app_1"));
    let format = Format::Text;
    assert_eq!(upgraded.endpoint, Endpoint::Polling { format });
    assert_eq!(upgraded.remote, stream.local_addr().unwrap());

    let mut answer = [0; 1_024];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = std::str::from_utf8(&answer[..length]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // The example key of RFC 6455 and its answer.
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");

    // The plain socket works in both directions.
    upgraded.plug.0.set_nonblocking(false).unwrap();
    upgraded.plug.0.write_all(b"out").unwrap();
    let mut bytes = [0; 3];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"out");
    stream.write_all(b"in!").await.unwrap();
    upgraded.plug.0.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"in!");
}

#[tokio::test]
async fn refused_handshakes_say_why() {
    let host = start(false, Ok(()));
    let polling = "/websocket/polling";
    let answer = ask(host.address, &request("GET", polling)).await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    let answer = ask(host.address, &request("POST", polling)).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let foreign = handshake(polling, "Origin: http://evil.test\r\n");
    let foreign = foreign.replace("Connection: Upgrade", "Connection: Upgrade, close");
    let answer = ask(host.address, &foreign).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("origin_not_allowed"), "{answer}");
}

#[tokio::test]
async fn echo_is_for_debugging_only() {
    let host = start(false, Ok(()));
    let answer = ask(host.address, &request("GET", "/websocket/echo")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let mut host = start(true, Ok(()));
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let sent = handshake("/websocket/echo", "");
    stream.write_all(sent.as_bytes()).await.unwrap();
    let upgraded = host.adopted.recv().await.unwrap();
    assert_eq!(upgraded.endpoint, Endpoint::Echo);
}

#[tokio::test]
async fn stopping_closes_what_rests() {
    let host = start(false, Ok(()));
    let mut resting = TcpStream::connect(host.address).await.unwrap();
    let keep = "GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n";
    resting.write_all(keep.as_bytes()).await.unwrap();
    let mut answer = [0; 1_024];
    assert!(resting.read(&mut answer).await.unwrap() > 0);
    host.stop.send(()).unwrap();
    assert_eq!(resting.read(&mut answer).await.unwrap(), 0);
    assert_eq!(host.served.await.unwrap(), 0);
    assert!(TcpStream::connect(host.address).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let host = start(false, Ok(()));
    let error = Bound::new(host.address).unwrap_err().to_string();
    let expected = format!("{} is in use", host.address);
    assert!(error.starts_with(&expected), "{error}");
}
