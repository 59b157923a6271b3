//! The golden dialogues in `tests/transcripts/centrifuge`.
//!
//! In a `.txt`, `>` is a line that the client sends, as the JavaScript SDK does; consecutive ones are one frame. `<` is
//! a line of the server's answer, `@` passes time until that millisecond, `!` is the code that ends the session, and
//! `#` a remark. In the `.hex` beside it the same dialogue is in Protobuf, a frame a line; its frames were held against
//! the SDK's own decoder. With `BLESS=1` in the environment the server's part is written anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use sschat_protocol::centrifuge::{Commands, Format, session::Settings};

use crate::node::Talk;

fn transcripts() -> Vec<PathBuf> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/transcripts/centrifuge"
    );
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "txt"))
        .collect();
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Plays the client's part of a dialogue and gives back the whole.
fn play(format: Format, dialogue: &str) -> String {
    let mut talk = Talk::new(format, Settings::default());
    let mut played = String::new();
    let mut frame = Vec::new();
    for line in dialogue.lines().chain(["#end"]) {
        let (kind, rest) = line.split_at(line.len().min(2));
        if kind == "> " {
            writeln!(played, "{line}").unwrap();
            if format == Format::Json {
                if !frame.is_empty() {
                    frame.push(b'\n');
                }
                frame.extend_from_slice(rest.as_bytes());
                continue;
            }
            talk.frame(&unhex(rest));
        } else if !frame.is_empty() {
            talk.frame(&std::mem::take(&mut frame));
        }
        listen(format, &mut talk, &mut played);
        match kind {
            "@ " => {
                writeln!(played, "{line}").unwrap();
                talk.wait(rest.parse().unwrap());
                listen(format, &mut talk, &mut played);
            }
            "# " => writeln!(played, "{line}").unwrap(),
            _ => {}
        }
    }
    played
}

fn listen(format: Format, talk: &mut Talk, played: &mut String) {
    for frame in talk.said.drain(..) {
        match format {
            Format::Json => {
                for line in str::from_utf8(&frame).unwrap().split('\n') {
                    writeln!(played, "< {line}").unwrap();
                }
            }
            Format::Protobuf => writeln!(played, "< {}", hex(&frame)).unwrap(),
        }
    }
    if let Some(closed) = talk.closed.take() {
        writeln!(played, "! {} {}", closed.code, closed.reason).unwrap();
    }
}

/// The client's part of a JSON dialogue, in Protobuf.
fn translated(dialogue: &str) -> String {
    let mut translated = String::new();
    let mut frame = Vec::new();
    for line in dialogue.lines().chain(["#end"]) {
        if let Some(command) = line.strip_prefix("> ") {
            for command in Commands::new(Format::Json, command.as_bytes()) {
                command.unwrap().encode(Format::Protobuf, &mut frame);
            }
            continue;
        }
        if !frame.is_empty() {
            writeln!(translated, "> {}", hex(&std::mem::take(&mut frame))).unwrap();
        }
        if line.starts_with(['@', '#']) {
            writeln!(translated, "{line}").unwrap();
        }
    }
    translated.replace("#end\n", "")
}

#[test]
fn dialogues_go_as_written() {
    let bless = std::env::var_os("BLESS").is_some();
    for path in transcripts() {
        let dialogue = fs::read_to_string(&path).unwrap();
        let played = play(Format::Json, &dialogue);
        let binary = path.with_extension("hex");
        let played_binary = play(Format::Protobuf, &translated(&dialogue));
        if bless {
            fs::write(&path, &played).unwrap();
            fs::write(&binary, &played_binary).unwrap();
            continue;
        }
        assert!(
            played.contains("\n< ") || played.contains("\n! "),
            "{path:?} says nothing"
        );
        assert_eq!(played, dialogue, "{path:?}");
        let expected = fs::read_to_string(&binary).unwrap();
        assert_eq!(play(Format::Protobuf, &expected), expected, "{binary:?}");
        assert_eq!(played_binary, expected, "{binary:?}");
    }
}
