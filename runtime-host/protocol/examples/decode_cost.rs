//! Measures what one message costs this crate: `cargo run --release -p sschat-protocol --example decode_cost`.
//!
//! Prints nanoseconds per message, the best of several rounds, each over a read buffer full of frames that is copied
//! anew (the copy is measured too and listed by itself).

#![allow(clippy::print_stdout)]

use std::{hint::black_box, time::Instant};

use sschat_protocol::{
    seed::{self, Command},
    websocket::{Decoder, Event, Opcode, frame_header, push_masked_frame},
};

/// Frames in a read buffer.
const FRAMES: usize = 256;
const ROUNDS: usize = 2000;
const LIMIT: usize = 65_536;

fn main() {
    let short = r#"{"command":"room","room":"room_00112233445566","msg":"Hello, all"}"#;
    let spaced = r#"{"msg": "Hello, all", "room": "room_0011223344", "command": "room"}"#;
    let greek = r#"{"command":"room","room":"room_00112233445566","msg":"κόσμε κόσμε"}"#;
    let object = r#"{"command":"room","room":"room_00112233445566778899aabbccddeeff","msg":{"text":"Hello, all of you in this room","at":1700000000,"tags":["a","b"]}}"#;
    let long = format!(
        r#"{{"command":"room","room":"room_00112233445566778899aabbccddeeff","msg":"{}"}}"#,
        "Grüße an alle. ".repeat(64)
    );
    println!(
        "{:<34}{:>6}{:>8}{:>8}{:>8}{:>8}",
        "message", "bytes", "copy", "decode", "+parse", "+encode"
    );
    for (name, text) in [
        ("compact, msg a short string", short),
        ("other order, with spaces", spaced),
        ("compact, Greek msg", greek),
        ("compact, msg an object", object),
        ("compact, msg 1 KB of German", &long),
    ] {
        measure(name, text);
    }
}

fn measure(name: &str, text: &str) {
    let mut stream = Vec::new();
    for index in 0..FRAMES {
        let mask = [index as u8, 0x5a, 0xc3, 0x17];
        push_masked_frame(&mut stream, Opcode::Text, mask, text.as_bytes());
    }
    let mut buffer = stream.clone();
    let mut out = Vec::new();
    let copy = best(|| {
        buffer.copy_from_slice(&stream);
        black_box(&mut buffer);
    });
    let decode = best(|| {
        buffer.copy_from_slice(&stream);
        each_text(&mut buffer, |text| {
            black_box(text);
        });
    });
    let parse = best(|| {
        buffer.copy_from_slice(&stream);
        each_text(&mut buffer, |text| {
            black_box(seed::parse(text).is_ok());
        });
    });
    let encode = best(|| {
        buffer.copy_from_slice(&stream);
        each_text(&mut buffer, |text| {
            if let Ok(Command::Room { room, msg }) = seed::parse(text) {
                out.clear();
                frame_header(&mut out, Opcode::Text, msg.get().len() + room.len() + 60);
                seed::message(
                    &mut out,
                    msg.get(),
                    "user_00112233445566778899aabbccddeeff",
                    &room,
                );
                black_box(&out);
            }
        });
    });
    let size = text.len();
    println!("{name:<34}{size:>6}{copy:>8.1}{decode:>8.1}{parse:>8.1}{encode:>8.1}");
}

/// Decodes the buffer as a shard does.
fn each_text(buffer: &mut [u8], mut on_text: impl FnMut(&str)) {
    let mut decoder = Decoder::new();
    let mut at = 0;
    while at < buffer.len() {
        let Ok((consumed, event)) = decoder.decode(&mut buffer[at..], LIMIT) else {
            return;
        };
        at += consumed;
        if let Some(Event::Text(text)) = event {
            on_text(text);
        }
    }
}

/// Nanoseconds per frame in the best round.
fn best(mut round: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64);
    }
    best / FRAMES as f64
}
