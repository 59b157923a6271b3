//! permessage-deflate (RFC 7692) between real sockets: what is agreed on, what is shared, what is refused.

use super::{ECHO, close, more, text};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::json;
use sschat_tests::chat::POLLING;
use sschat_tests::raw::opcode::{BINARY, PING, PONG, TEXT};
use sschat_tests::{App, Chat, Frame, Host, Options, RawSocket};

/// What browsers offer.
const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// What is agreed on with them.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The first reserved bit: the message is compressed.
const COMPRESSED: u8 = 4;

/// The end of a flushed stream, which is not sent.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

async fn host() -> Host {
    Host::start(Options::new().arg("--debug-endpoints").arg("--compression")).await
}

/// Opens a WebSocket with these header lines: it, and the head of the answer.
async fn handshake(host: &Host, path: &str, lines: &str) -> (RawSocket, String) {
    let mut raw = RawSocket::dial(host).await;
    raw.write(RawSocket::handshake(host, path, lines).as_bytes())
        .await;
    let head = raw.head().await;
    (raw, head)
}

/// Opens a WebSocket that offers this.
async fn offer(host: &Host, path: &str, offer: &str) -> RawSocket {
    let (raw, head) = handshake(
        host,
        path,
        &format!("Sec-WebSocket-Extensions: {offer}\r\n"),
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    raw
}

fn agreed(head: &str) -> Option<&str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"))
        .map(|(_, value)| value)
}

fn deflate(message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(message.len() + 1_024);
    Compress::new(Compression::best(), false)
        .compress_vec(message, &mut payload, FlushCompress::Sync)
        .unwrap();
    payload.strip_suffix(&TAIL).unwrap().to_vec()
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 << 20);
    Decompress::new(false)
        .decompress_vec(
            &[payload, &TAIL].concat(),
            &mut message,
            FlushDecompress::Sync,
        )
        .unwrap();
    message
}

fn compressed(opcode: u8, message: impl AsRef<[u8]>) -> Frame {
    Frame::new(opcode, deflate(message.as_ref())).with_reserved(COMPRESSED)
}

async fn log_in(mut raw: RawSocket, user: &str) -> RawSocket {
    let login = json!({"command": "login", "user": user}).to_string();
    raw.send(text(login)).await;
    let answer = raw.expect().await;
    assert!(
        answer.payload.starts_with(br#"{"type":"login""#),
        "{answer:?}"
    );
    raw
}

/// The next message of a room, as it came; news of presence are passed over.
async fn message(raw: &mut RawSocket) -> Frame {
    loop {
        let frame = raw.expect().await;
        if !frame.payload.starts_with(br#"{"type":"presense""#) {
            return frame;
        }
    }
}

#[tokio::test]
async fn what_is_agreed_on() {
    let host = host().await;
    let cases = [
        ("permessage-deflate", Some(AGREED.to_owned())),
        (OFFER, Some(AGREED.to_owned())),
        (
            "permessage-deflate; server_max_window_bits=10",
            Some(format!("{AGREED}; server_max_window_bits=10")),
        ),
        (
            "permessage-deflate; mistaken, permessage-deflate; server_no_context_takeover",
            Some(AGREED.to_owned()),
        ),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("x-webkit-deflate-frame", None),
    ];
    for (offered, expected) in cases {
        let (mut raw, head) = handshake(
            &host,
            ECHO,
            &format!("Sec-WebSocket-Extensions: {offered}\r\n"),
        )
        .await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{offered}: {head}");
        assert_eq!(agreed(&head), expected.as_deref(), "{offered}");
        raw.send(text("hi")).await;
        assert_eq!(raw.expect().await, text("hi"), "{offered}");
    }
    let lines =
        "Sec-WebSocket-Extensions: x-other\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let (_, head) = handshake(&host, ECHO, lines).await;
    assert_eq!(agreed(&head), Some(AGREED), "in a second line");
    let (_, head) = handshake(&host, ECHO, "").await;
    assert_eq!(agreed(&head), None, "where nothing is offered");
    let (_, head) = handshake(&host, ECHO, "Sec-WebSocket-Extensions: ;=\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[tokio::test]
async fn without_an_agreement_the_bit_is_refused() {
    let (with, without) = (
        host().await,
        Host::start(Options::new().arg("--debug-endpoints")).await,
    );
    let (_, head) = handshake(
        &without,
        ECHO,
        &format!("Sec-WebSocket-Extensions: {OFFER}\r\n"),
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(agreed(&head), None, "it is off unless asked for");
    let sockets = [
        ("not offered", RawSocket::open(&with, ECHO).await),
        ("off", offer(&without, ECHO, OFFER).await),
    ];
    for (what, mut raw) in sockets {
        raw.send(compressed(TEXT, "hi")).await;
        assert_eq!(raw.closed().await, 1002, "{what}");
    }
}

#[tokio::test]
async fn messages_in_fragments_and_control_frames_between() {
    let host = host().await;
    let said = "the same, the same, and once more the same; ".repeat(40);
    let whole = deflate(said.as_bytes());
    for part in [1, 7, whole.len().div_ceil(2)] {
        let mut raw = offer(&host, ECHO, OFFER).await;
        let parts: Vec<&[u8]> = whole.chunks(part).collect();
        for (at, part) in parts.iter().enumerate() {
            let frame = match at {
                0 => text(*part).with_reserved(COMPRESSED),
                _ => more(*part),
            };
            let last = at + 1 == parts.len();
            raw.send(if last { frame } else { frame.unfinished() })
                .await;
            if at == 0 && !last {
                raw.send(Frame::new(PING, "between")).await;
                assert_eq!(raw.expect().await, Frame::new(PONG, "between"));
            }
        }
        let echoed = raw.expect().await;
        assert_eq!((echoed.opcode, echoed.reserved), (TEXT, COMPRESSED));
        assert_eq!(inflate(&echoed.payload), said.as_bytes());
        // Not compressed, which is always allowed.
        raw.send(Frame::new(BINARY, said.clone())).await;
        let echoed = raw.expect().await;
        assert_eq!((echoed.opcode, echoed.reserved), (BINARY, COMPRESSED));
        assert_eq!(inflate(&echoed.payload), said.as_bytes());
        close(&mut raw).await;
    }
    let wrong = [
        vec![Frame::new(PING, "").with_reserved(COMPRESSED)],
        vec![Frame::close(1000, "").with_reserved(COMPRESSED)],
        vec![text("x").with_reserved(COMPRESSED | 2)],
        vec![
            text(&whole[..9]).with_reserved(COMPRESSED).unfinished(),
            more(&whole[9..]).with_reserved(COMPRESSED),
        ],
    ];
    for frames in wrong {
        let mut raw = offer(&host, ECHO, OFFER).await;
        for frame in &frames {
            raw.send(frame.clone()).await;
        }
        assert_eq!(raw.closed().await, 1002, "{frames:?}");
    }
    for payload in [
        b"no deflate at all".to_vec(),
        deflate(b"caf\xe9"),
        whole[..20].to_vec(),
    ] {
        let mut raw = offer(&host, ECHO, OFFER).await;
        raw.send(text(payload).with_reserved(COMPRESSED)).await;
        assert_eq!(raw.closed().await, 1007);
    }
}

#[tokio::test]
async fn a_publication_is_the_same_compressed_and_plain() {
    let host = host().await;
    let app = App::register(&host).await;
    let (room, [alice, bob, erin, carol, dave]) = app.room_of().await;
    let mut a = log_in(offer(&host, POLLING, OFFER).await, &alice).await;
    let mut b = log_in(offer(&host, POLLING, OFFER).await, &bob).await;
    let mut e = log_in(offer(&host, POLLING, "permessage-deflate").await, &erin).await;
    let mut c = log_in(RawSocket::open(&host, POLLING).await, &carol).await;
    let small = "permessage-deflate; server_max_window_bits=9";
    let mut d = log_in(offer(&host, POLLING, small).await, &dave).await;
    let long = "What a member says in a room reaches the other members. ".repeat(30);
    for said in [&long[..], "short", &long[..700]] {
        let command = json!({"command": "room", "room": room, "msg": said}).to_string();
        a.send(compressed(TEXT, command)).await;
        let wanted = json!({"type": "message", "data": said, "from": alice, "to": room});
        let plain = message(&mut c).await;
        assert_eq!(plain.reserved, 0);
        let heard: serde_json::Value = serde_json::from_slice(&plain.payload).unwrap();
        assert_eq!(heard, wanted);
        let shared = message(&mut b).await;
        assert_eq!(
            message(&mut e).await,
            shared,
            "the same bytes for all who agreed"
        );
        if said == "short" {
            assert_eq!(shared, plain, "too short to gain");
        } else {
            assert_eq!(shared.reserved, COMPRESSED);
            assert!(2 * shared.payload.len() < plain.payload.len());
            assert_eq!(inflate(&shared.payload), plain.payload);
        }
        assert_eq!(
            message(&mut d).await,
            plain,
            "its window is too small to share"
        );
    }
    // One who leaves takes nothing with him, and one who comes back shares again.
    close(&mut b).await;
    let mut b = log_in(offer(&host, POLLING, OFFER).await, &bob).await;
    let command = json!({"command": "room", "room": room, "msg": long}).to_string();
    c.send(text(command)).await;
    let heard = message(&mut b).await;
    assert_eq!(heard.reserved, COMPRESSED);
    assert_eq!(message(&mut a).await, heard);
    assert_eq!(message(&mut d).await.payload, inflate(&heard.payload));
}

#[tokio::test]
async fn presence_reaches_those_who_agreed_too() {
    let host = host().await;
    let app = App::register(&host).await;
    let (_, [alice, bob]) = app.room_of().await;
    let mut a = log_in(offer(&host, POLLING, OFFER).await, &alice).await;
    let _bob = log_in(RawSocket::open(&host, POLLING).await, &bob).await;
    let expected = json!({"type": "presense", "data": "online", "from": bob});
    let heard: serde_json::Value = serde_json::from_slice(&a.expect().await.payload).unwrap();
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs() {
    let host = host().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let before = host.resident();
    // 64 MiB in 64 KiB.
    let bomb = compressed(TEXT, vec![b' '; 64 << 20]);
    assert!(bomb.payload.len() < 70_000, "{}", bomb.payload.len());
    for round in 0..20 {
        let mut raw = offer(&host, POLLING, OFFER).await;
        let _ = raw.try_write(&bomb.masked()).await;
        assert_eq!(raw.expect().await.close_code(), 1009);
        a.say(&room, round).await;
        b.expect_message(round, &alice, &room).await;
    }
    // Each as large as a message may be: 32 MiB from 40 KB.
    const MESSAGES: usize = 512;
    let mut raw = offer(&host, POLLING, OFFER).await;
    let largest = compressed(TEXT, vec![b' '; 64 << 10]).masked();
    raw.write(&largest.repeat(MESSAGES)).await;
    a.say(&room, "meanwhile").await;
    b.expect_message("meanwhile", &alice, &room).await;
    for _ in 0..MESSAGES {
        let answer = raw.expect().await;
        assert!(
            answer.payload.starts_with(br#"{"type":"error""#),
            "{answer:?}"
        );
    }
    close(&mut raw).await;
    let grown = host.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "the host grew by {grown} bytes");
}
