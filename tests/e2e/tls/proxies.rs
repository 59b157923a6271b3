//! Whose request it is behind proxies that tell.

use serde_json::json;
use sschat_tests::policy::on_command;
use sschat_tests::{App, Chat, Host, Options, RawSocket, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn asks(host: &Host, before: &[u8]) -> String {
    let mut raw = RawSocket::dial(host).await;
    raw.write(before).await;
    // It may have been refused by now.
    let _ = raw.try_write(METRICS.as_bytes()).await;
    let answer = String::from_utf8_lossy(&raw.rest().await).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// The header of version 2 for an address of version 4, with what a proxy may add (a TLV of two bytes).
fn version_2(command: u8, source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12 + 5]);
    header.extend(source);
    header.extend([10, 0, 0, 1, 0x30, 0x39, 0, 80]);
    header.extend([0xEE, 0, 2, 1, 2]);
    header
}

/// Figures are for programs on this machine: whoever a proxy names is taken for where it is.
#[tokio::test]
async fn the_proxy_protocol_names_the_client() {
    let host = Host::start(Options::new().arg("--proxy-protocol")).await;
    let (ok, absent) = ("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found");
    let asked = async |before: &[u8]| asks(&host, before).await;
    assert_eq!(asked(b"PROXY TCP4 127.0.0.1 10.0.0.1 1 80\r\n").await, ok);
    assert_eq!(asked(b"PROXY TCP4 1.2.3.4 10.0.0.1 1 80\r\n").await, absent);
    assert_eq!(asked(b"PROXY TCP6 2001:db8::1 ::1 1 80\r\n").await, absent);
    assert_eq!(asked(b"PROXY UNKNOWN\r\n").await, ok);
    assert_eq!(asked(&version_2(1, [127, 0, 0, 1])).await, ok);
    assert_eq!(asked(&version_2(1, [1, 2, 3, 4])).await, absent);
    // What the proxy asks itself, as for its health checks.
    assert_eq!(asked(&version_2(0, [1, 2, 3, 4])).await, ok);
    for wrong in [
        &b""[..],
        b"PROXY TCP4 nobody 10.0.0.1 1 80\r\n",
        b"PROXY \n\r\n",
        &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        assert_eq!(asked(wrong).await, "", "{wrong:?}");
    }
    host.says("a connection was refused").await;
    // Bytes that come one by one.
    let mut raw = RawSocket::dial(&host).await;
    raw.write_chopped(&version_2(1, [127, 0, 0, 1])).await;
    raw.write(METRICS.as_bytes()).await;
    assert!(raw.head().await.starts_with(ok));
}

#[tokio::test]
async fn sessions_come_from_where_a_trusted_proxy_says() {
    let host = Host::start(Options::new().args(&["--trusted-proxy", "127.0.0.0/8,10.0.0.1"])).await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    app.rule_by(on_command()).await;
    app.configure(&json!({"mode": "address", "hook": "login", "value": "1.2.3.4"}))
        .await;
    let through = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded)];
        let mut chat = Chat::connect_with(&host, &headers).await;
        chat.send(&json!({"command": "login", "user": alice})).await;
        chat.next().await["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(through("1.2.3.4").await, "login");
    assert_eq!(through("6.6.6.6, 1.2.3.4, 10.0.0.1").await, "login");
    assert_eq!(through("1.2.3.4, 6.6.6.6").await, "error");
    assert_eq!(through("nonsense").await, "error");
    let _ = (room, bob);
}

/// Whoever is not trusted can't claim to be anywhere.
#[tokio::test]
async fn nobody_else_is_believed() {
    let host = Host::start(Options::new().args(&["--trusted-proxy", "10.0.0.0/8"])).await;
    let app = App::register(&host).await;
    let (_, [alice, _]) = app.room_of().await;
    app.rule_by(on_command()).await;
    app.configure(&json!({"mode": "address", "hook": "login", "value": "127.0.0.1"}))
        .await;
    let mut chat = Chat::connect_with(&host, &[("x-forwarded-for", "1.2.3.4")]).await;
    chat.log_in(&alice).await;
    let options = Options::new().args(&["--trusted-proxy", "10.0.0.0/33"]);
    let (status, said) = Host::refused(options).await;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("10.0.0.0/8"), "{said}");
}

/// A connection that announces nobody does not keep its place.
#[tokio::test]
async fn a_proxy_that_says_nothing_is_let_go() {
    let options = Options::new().args(&["--proxy-protocol", "--handshake-timeout", "1s"]);
    let host = Host::start(options).await;
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    stream.write_all(b"PROXY").await.unwrap();
    let mut raw = RawSocket::dial(&host).await;
    assert_eq!(within("both end", raw.rest()).await, b"");
}
