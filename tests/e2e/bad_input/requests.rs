//! Requests whose bodies stall or never end, and more requests than there are instances.

use super::Bystanders;
use sschat_tests::host::guests;
use sschat_tests::{Answer, Host, Options, RawSocket, Rest, within};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The body of what is left of a response.
async fn error_code(raw: &mut RawSocket) -> serde_json::Value {
    let body: serde_json::Value = serde_json::from_slice(&raw.rest().await).unwrap();
    assert_eq!(body["status"], "error", "{body}");
    body["code"].clone()
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_the_clients_mistake() {
    // One instance and no queue: whoever stalled would keep everybody out.
    let mut options = Options::new();
    for argument in ["--handshake-timeout", "700ms", "--instances", "1"] {
        options = options.arg(argument);
    }
    let host = Host::start(options).await;
    let mut others = Bystanders::meet(&host).await;
    let path = format!("/api/room?apikey={}", others.app.key);
    let head = |size: &str| {
        let address = host.address();
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{size}\r\n\r\n")
    };
    let mut stalled = Vec::new();
    for size in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        for part in ["", "1"] {
            let mut raw = RawSocket::dial(&host).await;
            raw.write((head(size) + part).as_bytes()).await;
            stalled.push(raw);
        }
    }
    others.still_talk().await;
    // A byte now and then does not help.
    let mut trickling = RawSocket::dial(&host).await;
    trickling
        .write(head("Content-Length: 100000").as_bytes())
        .await;
    within("the host has enough of it", async {
        while trickling.try_write(b" ").await.is_ok() {
            others.still_talk().await;
        }
    })
    .await;
    for mut raw in stalled {
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
        assert!(head.to_lowercase().contains("connection: close"), "{head}");
        assert_eq!(error_code(&mut raw).await, "request_timeout");
    }
    // One that comes in pieces and in time is fine.
    let mut raw = RawSocket::dial(&host).await;
    raw.write(head("Content-Length: 4").as_bytes()).await;
    for byte in [b"{", b"\n", b"\n", b"}"] {
        raw.write(byte).await;
        others.still_talk().await;
    }
    assert!(raw.head().await.starts_with("HTTP/1.1 201 "));
    others.still_talk().await;
}

#[tokio::test]
async fn a_body_without_end_that_the_component_does_not_read() {
    let options = Options::new().from(guests()).arg("--body-limit");
    let host = Host::start(options.arg("4KiB")).await;
    for path in ["/hostile/ok", "/hostile/loop"] {
        let mut raw = RawSocket::dial(&host).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            host.address()
        );
        raw.write(head.as_bytes()).await;
        for _ in 0..65 {
            raw.write(format!("40\r\n{:64}\r\n", "").as_bytes()).await;
        }
        let head = raw.head().await;
        // It was never asked: one that loops would have been out of time.
        assert!(head.starts_with("HTTP/1.1 413 "), "{path}: {head}");
        assert_eq!(error_code(&mut raw).await, "too_large");
    }
    let mut raw = RawSocket::dial(&host).await;
    let head = "POST /hostile/ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    raw.write(head.as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 400 "));
}

fn ask(rest: &Arc<Rest>, path: &'static str) -> JoinHandle<Answer> {
    let rest = Arc::clone(rest);
    tokio::spawn(async move { rest.get(path).await })
}

async fn answer(asked: JoinHandle<Answer>) -> Answer {
    within("an answer", asked).await.unwrap()
}

/// A host whose hostile component has one instance and lets `waiting` requests wait for it.
async fn narrow(waiting: &str) -> (Host, Arc<Rest>) {
    let mut options = Options::new().from(guests());
    for argument in ["--instances", "1", "--waiting", waiting] {
        options = options.arg(argument);
    }
    let host = Host::start(options).await;
    let rest = Arc::new(Rest::new(host.address()));
    (host, rest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_instances_and_places_to_wait() {
    let (_host, rest) = narrow("1").await;
    rest.get("/hostile/ok").await.expect(200);
    let looping = ask(&rest, "/hostile/loop");
    let mut refused = 0;
    // One of them waits while the instance loops; what comes before or after is served.
    while refused == 0 {
        for asked in [(); 6].map(|()| ask(&rest, "/hostile/ok")) {
            let answer = answer(asked).await;
            if answer.status != 200 {
                let answer = answer.expect_error(503, "overloaded");
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused += 1;
            }
        }
    }
    // Neither the host's own pages nor other components wait for this one.
    rest.get("/healthz").await.expect(200);
    let looped = answer(looping).await;
    looped.expect_error(500, "component_timeout");
    rest.get("/hostile/ok").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_whose_client_is_gone_or_does_not_read_comes_back() {
    let (host, rest) = narrow("8").await;
    for path in ["/hostile/loop", "/hostile/large"] {
        let mut deaf = RawSocket::dial(&host).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        deaf.write(request.as_bytes()).await;
        if path == "/hostile/loop" {
            drop(deaf);
        } else {
            // The head has come, so the instance is at its body.
            assert!(deaf.head().await.starts_with("HTTP/1.1 200 "));
            std::mem::forget(deaf);
        }
        within("the instance comes back", async {
            loop {
                let asked = [(); 4].map(|()| ask(&rest, "/hostile/ok"));
                let mut served = 0;
                for asked in asked {
                    let answer = answer(asked).await;
                    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
                    served += u32::from(answer.status == 200);
                }
                if served == 4 {
                    return;
                }
            }
        })
        .await;
    }
}
