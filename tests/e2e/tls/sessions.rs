//! Members and the command line over TLS.

use super::{host, host_with, open};
use sschat_tests::chat::POLLING;
use sschat_tests::{Certificates, Chat, RawSocket, Terminal, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ECHO: &str = "/websocket/echo";

/// The command line makes everything over HTTPS, and says and hears over secure WebSockets.
#[tokio::test]
async fn the_command_line_and_members_talk_over_tls() {
    let certificates = Certificates::new();
    let host = host(&certificates).await;
    let url = format!("https://localhost:{}", host.address().port());
    let authority = certificates.authority();
    let trusting = || {
        Terminal::default()
            .with("SSCHAT_URL", &url)
            .with("SSL_CERT_FILE", authority.to_str().unwrap())
    };
    let made = trusting().run(&["register", "--json"]).await.json();
    let key = made["api_key"].as_str().unwrap();
    let terminal = trusting().with("SSCHAT_APIKEY", key);
    let room = terminal.run(&["room", "create"]).await.ok();
    let room = room.trim();
    let mut users = Vec::new();
    for _ in 0..2 {
        let user = terminal.run(&["user", "create"]).await.ok();
        let user = user.trim().to_owned();
        terminal.run(&["member", "add", room, &user]).await.ok();
        users.push(user);
    }
    let mut listener = open(&certificates, &host, POLLING).await;
    listener.log_in(&users[0]).await;
    let said = ["publish", room, "by command", "--user", &users[1]];
    terminal.run(&said).await.ok();
    listener.expect_message("by command", &users[1], room).await;
    let mut speaker = open(&certificates, &host, POLLING).await;
    speaker.log_in(&users[1]).await;
    for number in 0..200 {
        speaker.say(room, number).await;
    }
    for number in 0..200 {
        listener.expect_message(number, &users[1], room).await;
    }
    // It takes effect at once here, too.
    terminal
        .run(&["member", "remove", room, &users[0]])
        .await
        .ok();
    listener.membership(room, "remove").await;
    let untrusting = Terminal::default().with("SSCHAT_URL", &url);
    let strange = untrusting.run(&["status"]).await;
    strange.refused(3, &["can't be reached", "certificate"]);
}

/// More than any buffer on the way holds, both ways at once, in sizes on both sides of a record's.
#[tokio::test]
async fn what_goes_out_and_comes_back_is_the_same_whatever_its_size() {
    let certificates = Certificates::new();
    let host = host_with(&certificates, &["--debug-endpoints"]).await;
    let mut chat = open(&certificates, &host, ECHO).await;
    let sizes = [1, 125, 16_383, 16_384, 16_385, 32_768, 65_000, 1_000_000];
    let texts: Vec<String> = (0..64)
        .map(|round| {
            let letter = char::from(b'a' + round % 26);
            letter
                .to_string()
                .repeat(sizes[usize::from(round) % sizes.len()])
        })
        .collect();
    // Nothing is read before everything is written: far more waits than sockets hold.
    for text in &texts {
        chat.send_text(text).await;
        assert_eq!(&chat.next_text().await, text);
    }
    for text in &texts[..6] {
        chat.send_text(text).await;
    }
    for text in &texts[..6] {
        assert_eq!(&chat.next_text().await, text);
    }
}

/// A member who reads nothing is told why it is closed, behind whole frames.
#[tokio::test]
async fn who_reads_too_slowly_is_closed_and_nobody_else_waits() {
    let certificates = Certificates::new();
    let host = host_with(&certificates, &["--queue-limit", "128KiB"]).await;
    let url = format!("https://localhost:{}", host.address().port());
    let trusting = Terminal::default()
        .with("SSCHAT_URL", &url)
        .with("SSL_CERT_FILE", certificates.authority().to_str().unwrap());
    let made = trusting.run(&["register", "--json"]).await.json();
    let terminal = trusting.with("SSCHAT_APIKEY", made["api_key"].as_str().unwrap());
    let room = terminal.run(&["room", "create"]).await.ok();
    let room = room.trim();
    let mut members: Vec<(String, Chat)> = Vec::new();
    for _ in 0..3 {
        let user = terminal.run(&["user", "create"]).await.ok();
        let user = user.trim().to_owned();
        terminal.run(&["member", "add", room, &user]).await.ok();
        let mut chat = open(&certificates, &host, POLLING).await;
        chat.log_in(&user).await;
        members.push((user, chat));
    }
    let (_, mut sleeper) = members.pop().unwrap();
    let (_, mut listener) = members.pop().unwrap();
    let (speaker_name, mut speaker) = members.pop().unwrap();
    let text = "x".repeat(60_000);
    for _ in 0..400 {
        speaker.say(room, text.as_str()).await;
        listener
            .expect_message(text.as_str(), &speaker_name, room)
            .await;
    }
    sleeper.expect_close(3008).await;
}

/// Bytes that are no TLS, and handshakes that stop half way, end by themselves.
#[tokio::test]
async fn those_who_speak_no_tls_cost_nobody_else_anything() {
    let certificates = Certificates::new();
    let host = host_with(&certificates, &["--handshake-timeout", "1s"]).await;
    let mut plain = RawSocket::dial(&host).await;
    plain.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let alert = plain.rest().await;
    assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
    let mut silent = RawSocket::dial(&host).await;
    let mut half = RawSocket::dial(&host).await;
    half.write(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await;
    assert_eq!(silent.rest().await, b"");
    half.rest().await;
    // Records that are broken after a good handshake.
    let mut stream = certificates
        .connect(host.address(), &["http/1.1"])
        .await
        .unwrap();
    let head = RawSocket::handshake(&host, POLLING, "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within("the answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    let (mut socket, _) = stream.into_inner();
    socket.write_all(&[0x17, 3, 3, 0, 32]).await.unwrap();
    socket.write_all(&[7; 32]).await.unwrap();
    let mut rest = Vec::new();
    // A reset ends the stream as well.
    let _ = within("the connection ends", socket.read_to_end(&mut rest)).await;
    let mut good = open(&certificates, &host, POLLING).await;
    good.send_text("{}").await;
    assert_eq!(good.next().await["type"], "error");
}
