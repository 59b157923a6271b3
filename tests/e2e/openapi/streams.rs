//! Sessions over plain HTTP, held against the document.

use super::Judge;
use serde_json::{Value, json};
use sschat_tests::{App, Body, Host};

/// Commands after which a body ends at once, with a push that says why.
const REFUSED: &str = r#"{"id":1,"connect":{"token":"forged"}}"#;

pub(super) async fn check_streams(judge: &mut Judge, app: &App, host: &Host) {
    let kind = [("content-type", "application/json")];
    let octets = [("content-type", "application/octet-stream")];
    let evil = [("origin", "http://evil.example")];
    let (stream, sse) = ("/connection/http_stream", "/connection/sse");
    let query = "?cf_connect=%7B%22id%22:1,%22connect%22:%7B%22token%22:%22forged%22%7D%7D";
    let large = "x".repeat(200_000);
    for (id, method, path, headers, body) in [
        ("httpStream", "POST", stream, &kind, REFUSED),
        ("httpStream", "POST", stream, &octets, "\u{1}\u{1}"),
        ("httpStream", "POST", stream, &kind, ""),
        ("httpStream", "POST", stream, &kind, &large),
        ("httpStream", "POST", stream, &evil, REFUSED),
        ("httpStream", "GET", stream, &kind, ""),
        ("serverSentEvents", "GET", sse, &kind, ""),
        ("serverSentEvents", "PUT", sse, &kind, ""),
        ("serverSentEventsByPost", "POST", sse, &kind, REFUSED),
        ("emulation", "POST", "/emulation", &kind, "{}"),
        ("emulation", "POST", "/emulation", &kind, &large),
        ("emulation", "GET", "/emulation", &kind, ""),
    ] {
        let answer = app.rest.send(method, path, headers, body.to_owned()).await;
        judge.check(id, &answer);
    }
    let answer = app.rest.get(&format!("{sse}{query}")).await;
    judge.check("serverSentEvents", &answer);

    let line = format!("POST {stream}?app={} HTTP/1.1", app.id);
    let user = app.user().await;
    let connect = json!({"id": 1, "connect": {"data": {"user": user}}}).to_string();
    let mut body = Body::open(host, Body::request(&line, "", &connect)).await;
    let reply: Value = serde_json::from_slice(&body.chunk().await.unwrap()).unwrap();
    let connected = &reply["connect"];
    let say = |session: &Value, node: &Value| {
        json!({"session": session, "node": node, "data": "{\"id\":2,\"ping\":{}}"}).to_string()
    };
    for said in [
        say(&connected["session"], &connected["node"]),
        say(&json!("nobody's"), &connected["node"]),
        say(&connected["session"], &json!("elsewhere")),
    ] {
        let answer = app.rest.send("POST", "/emulation", &kind, said).await;
        judge.check("emulation", &answer);
    }
}
