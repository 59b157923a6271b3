//! RFC 6455 on `/websocket/echo`, in the spirit of Autobahn's groups 1 to 10, and RFC 7692.

mod closing;
mod compression;
mod connection;
mod framing;

use sschat_tests::raw::opcode::{CONTINUATION, TEXT};
use sschat_tests::{Frame, Host, Options, RawSocket};

const ECHO: &str = "/websocket/echo";

async fn echo_host() -> Host {
    Host::start(Options::new().arg("--debug-endpoints")).await
}

/// Sends frames, then expects exactly these back.
async fn dialogue(host: &Host, sent: &[Frame], expected: &[Frame]) {
    let mut raw = RawSocket::open(host, ECHO).await;
    for frame in sent {
        raw.send(frame.clone()).await;
    }
    for frame in expected {
        assert_eq!(raw.expect().await, *frame, "in answer to {sent:?}");
    }
    close(&mut raw).await;
}

/// Sends frames, then expects `echoed` and a close with `code`.
async fn failure(host: &Host, sent: &[Frame], echoed: &[Frame], code: u16) {
    let bytes: Vec<u8> = sent.iter().flat_map(Frame::masked).collect();
    failure_of(host, &bytes, echoed, code).await;
}

async fn failure_of(host: &Host, bytes: &[u8], echoed: &[Frame], code: u16) {
    let mut raw = RawSocket::open(host, ECHO).await;
    // The host may have hung up before all of it is sent.
    let _ = raw.try_write(bytes).await;
    for frame in echoed {
        assert_eq!(raw.expect().await, *frame);
    }
    let shown = &bytes[..bytes.len().min(32)];
    assert_eq!(raw.closed().await, code, "in answer to {shown:02x?}");
}

/// Closes in good order; nothing else may come first.
async fn close(raw: &mut RawSocket) {
    raw.send(Frame::close(1000, "")).await;
    assert_eq!(raw.expect().await.close_code(), 1000);
    assert_eq!(raw.next().await, None, "the host hangs up first");
}

fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload)
}

fn more(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(CONTINUATION, payload)
}
