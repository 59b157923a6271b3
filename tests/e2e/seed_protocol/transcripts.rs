//! The golden dialogues in `tests/transcripts/seed`, held with a real host, each in an app of its own.
//!
//! In a line `NAME?` somebody connects, with a query. `>` is a message that is sent, `<` the next one that comes, to the
//! letter; `*` a binary one in hex; `!` is the code by which the connection ends, and `/` ends it from this side. `$` is
//! a request to the REST API under the app's key, which has to succeed. The words `$alice` (a member of `$room`), `$bob`
//! (another), `$carol` (a user), `$app` and `$token` (Alice's) stand for what they are called in the app. With `BLESS=1`
//! in the environment the host's part is written anew.

use serde_json::json;
use sschat_tests::chat::{End, POLLING};
use sschat_tests::host::repository;
use sschat_tests::token::sign;
use sschat_tests::{App, Chat, Host, Rest};
use std::collections::HashMap;
use std::fmt::Write;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn dialogues_go_as_written() {
    let bless = std::env::var_os("BLESS").is_some();
    let host = Host::plain().await;
    let folder = std::fs::read_dir(repository().join("tests/transcripts/seed")).unwrap();
    let mut found: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    for path in found {
        let dialogue = std::fs::read_to_string(&path).unwrap();
        let held = hold(&host, &dialogue).await;
        if bless {
            std::fs::write(&path, &held).unwrap();
            continue;
        }
        // Line by line, for a report that can be read.
        for (written, held) in dialogue.lines().zip(held.lines()) {
            assert_eq!(held, written, "{}", path.display());
        }
    }
}

/// Plays the clients' part of a dialogue and gives back the whole.
async fn hold(host: &Host, dialogue: &str) -> String {
    let app = App::register(host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let carol = app.user().await;
    let token = sign(&json!({"sub": alice}), &app.secret);
    let words = [
        ("$alice", &alice),
        ("$bob", &bob),
        ("$carol", &carol),
        ("$room", &room),
        ("$app", &app.id),
        ("$token", &token),
    ];
    let named = |text: &str| {
        let name = |text: String, (word, name): &(&str, &String)| text.replace(word, name);
        words.iter().fold(text.to_owned(), name)
    };
    let worded = |text: &str| {
        let word = |text: String, (word, name): &(&str, &String)| text.replace(*name, word);
        words.iter().fold(text.to_owned(), word)
    };
    let mut present: HashMap<&str, Chat> = HashMap::new();
    let mut held = String::new();
    for line in dialogue.lines() {
        let (who, kind, rest) = parts(line);
        let said = named(rest);
        let answer = match kind {
            '#' => None,
            '$' => {
                request(host, &app, &said).await;
                None
            }
            '?' => {
                let path = format!("{POLLING}?{said}");
                let chat = Chat::open(host.address(), &path, &[]).await.unwrap();
                assert!(present.insert(who, chat).is_none(), "{who} is here already");
                None
            }
            '/' => {
                present.remove(who).unwrap().close().await;
                None
            }
            '!' => Some(ended(present.remove(who).unwrap()).await),
            _ => {
                let chat = present.get_mut(who).unwrap_or_else(|| panic!("{line}"));
                act(chat, kind, &said).await
            }
        };
        match answer {
            Some(answer) => writeln!(held, "{who}{kind} {}", worded(&answer)).unwrap(),
            None => writeln!(held, "{line}").unwrap(),
        }
    }
    // Nobody was told more than that: what comes next is the answer to this.
    for (who, chat) in &mut present {
        chat.send_text(r#"{"command":"shout"}"#).await;
        let next = chat.next_text().await;
        assert!(
            next.contains("unknown_command"),
            "{who} was told more: {next}"
        );
    }
    held
}

/// Who, what kind of line, and the rest of it.
fn parts(line: &str) -> (&str, char, &str) {
    let at = line
        .find(|it: char| !it.is_ascii_lowercase())
        .unwrap_or_else(|| panic!("{line:?}"));
    let (who, rest) = line.split_at(at);
    let mut rest = rest.chars();
    let kind = rest.next().unwrap();
    (who, kind, rest.as_str().trim_start())
}

async fn act(chat: &mut Chat, kind: char, said: &str) -> Option<String> {
    match kind {
        '>' => chat.send_text(said).await,
        '*' => {
            let byte = u8::from_str_radix(said, 16).unwrap();
            chat.send_frame(Message::binary(vec![byte])).await;
        }
        '<' => return Some(chat.next_text().await),
        _ => panic!("what is {kind:?}?"),
    }
    None
}

/// The code by which a connection ends, and the reason.
async fn ended(mut chat: Chat) -> String {
    let (before, end) = chat.end().await;
    assert!(before.is_empty(), "{before:?}");
    let End::Closed(code, reason) = end else {
        panic!("the connection broke off: {end:?}");
    };
    format!("{code} {reason}")
}

/// `METHOD path`, and a body if there is one.
async fn request(host: &Host, app: &App, line: &str) {
    let mut words = line.splitn(3, ' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let body = words.next().unwrap_or_default().to_owned();
    let key = [("x-api-key", app.key.as_str())];
    let answer = Rest::new(host.address())
        .send(method, path, &key, body)
        .await;
    assert!(
        (200..300).contains(&answer.status),
        "{line}: {}",
        answer.text()
    );
}
