//! HTTP/2: many requests of one connection, and sessions in the body of an answer.

use super::host;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{Certificates, Host, within};

async fn connect(certificates: &Certificates, host: &Host) -> SendRequest<Full<Bytes>> {
    let stream = certificates.connect(host.address(), &["h2", "http/1.1"]);
    let stream = stream.await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap();
    let response = within("an answer", sender.send_request(request))
        .await
        .unwrap();
    let status = response.status().as_u16();
    let body = within("its body", response.into_body().collect())
        .await
        .unwrap();
    (
        status,
        serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
    )
}

#[tokio::test]
async fn rest_and_sessions_share_a_connection() {
    let certificates = Certificates::new();
    let host = host(&certificates).await;
    let mut sender = connect(&certificates, &host).await;
    let (status, app) = call(&mut sender, "POST", "/api/register", "").await;
    assert_eq!(status, 201, "{app}");
    let text = |name: &str| app[name].as_str().unwrap().to_owned();
    let (key, id, secret) = (text("api_key"), text("app_id"), text("secret"));
    let with_key = |path: &str| format!("{path}?apikey={key}");
    let (_, room) = call(&mut sender, "POST", &with_key("/api/room"), "").await;
    let (_, user) = call(&mut sender, "POST", &with_key("/api/user"), "").await;
    let (room, user) = (
        room["room_id"].as_str().unwrap(),
        user["user_id"].as_str().unwrap(),
    );
    let add = with_key(&format!("/api/room/{room}/{user}/add"));
    assert_eq!(call(&mut sender, "PUT", &add, "").await.0, 200);
    // Many at once.
    let asked = (0..100).map(|_| {
        let (mut sender, path) = (sender.clone(), with_key(&format!("/api/room/{room}")));
        async move { call(&mut sender, "GET", &path, "").await.0 }
    });
    let statuses = futures::future::join_all(asked).await;
    assert_eq!(statuses, [200; 100]);
    // A session, whose answer does not end.
    let token = sign(&json!({"sub": user}), &secret);
    let connect = json!({"id": 1, "connect": {"token": token}}).to_string();
    let request = http::Request::post(format!("https://localhost/connection/http_stream?app={id}"))
        .body(Full::from(connect))
        .unwrap();
    let response = within("an answer", sender.send_request(request))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut body = response.into_body();
    let mut came = String::new();
    let mut until = async |words: &str| {
        while !came.contains(words) {
            let frame = within("a part of the body", body.frame()).await.unwrap();
            came.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    };
    until("\"subs\"").await;
    let said = with_key(&format!("/api/room/{room}/message"));
    for number in 0..50 {
        let (status, _) = call(&mut sender, "POST", &said, &format!("\"number {number}\"")).await;
        assert!(status < 300);
        until(&format!("number {number}\"")).await;
    }
    // Whoever leaves is offline, and the connection goes on.
    drop(body);
    let presence = json!({"channel": room}).to_string();
    let path = with_key("/api/presence_stats");
    within("the session ends", async {
        while call(&mut sender, "POST", &path, &presence).await.1["result"]["num_clients"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_host_that_stops_ends_connections_in_order() {
    let certificates = Certificates::new();
    let mut host = host(&certificates).await;
    let mut sender = connect(&certificates, &host).await;
    assert_eq!(call(&mut sender, "GET", "/healthz", "").await.0, 200);
    host.signal("TERM").await;
    assert!(host.ended().await.success());
}
