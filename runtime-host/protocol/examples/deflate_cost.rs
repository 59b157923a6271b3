//! Measures what compression costs this crate: `cargo run --release -p sschat-protocol --example deflate_cost`.
//!
//! Prints the bytes of a frame and, in microseconds, the best of several rounds: compressing a message, which happens
//! once for a room, and decoding it, which happens once for each that a client sends.

#![allow(clippy::print_stdout)]

use std::{hint::black_box, time::Instant};

use sschat_protocol::websocket::{
    Decoder, Opcode,
    deflate::{Deflater, Inflater, deflate_message},
};

const ROUNDS: usize = 300;
const LIMIT: usize = 1 << 20;

/// Prose as people write it: few words come twice.
const PROSE: &str = "I looked at the logs again this morning. Two of the older nodes were restarted around four, \
    right after the backup had finished, and neither of them wrote anything useful before it went down. My guess is \
    that the disk filled up while it was compacting, because the graphs stop at ninety-eight percent. Could somebody \
    with access check whether the alert was sent, and to whom? If it was not, please open a ticket so that we do not \
    forget it. I would rather not move the remaining customers before we know. Lunch is at one as usual; Maria brings \
    the cake she promised, and there are vegetarian sandwiches for those who asked. See you all downstairs then.";

fn main() {
    let chat = |text: &str| {
        format!(
            r#"{{"type":"message","data":"{text}","from":"user_0f8fad5bd9cb469fa16570867728950e","to":"room_7c9e6679f4c84a27b21f2a1e9dd4f6a0"}}"#
        )
    };
    let said =
        "Well, I never. The meeting moves to Thursday at ten, unless somebody objects today. ";
    let prose = |len| chat(&PROSE[..len]);
    let table: String = (0..400)
        .map(|n| {
            format!(
                r#"{{"id":{n},"symbol":"S{:03}","price":{}}},"#,
                n * 7 % 500,
                n * 7919 % 10_000
            )
        })
        .collect();
    let bomb = "a".repeat(64 << 10);
    println!(
        "{:<28}{:>8}{:>8}{:>10}{:>10}",
        "message", "bytes", "frame", "compress", "decode"
    );
    for (name, message) in [
        ("chat, 10 characters", chat("Hello, all")),
        ("chat, 70 characters", prose(70)),
        ("chat, 130 characters", prose(130)),
        ("chat, 250 characters", prose(250)),
        ("chat, 380 characters", prose(380)),
        ("chat, 600 characters", prose(600)),
        ("chat, 1 KB of one sentence", chat(&said.repeat(12))),
        ("table, 16 KB", table),
        ("64 KB of one letter", bomb),
    ] {
        measure(name, message.as_bytes());
    }
    final_blocks();
}

fn measure(name: &str, message: &[u8]) {
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    let mut out = Vec::new();
    let compress = best(|| {
        out.clear();
        black_box(deflate_message(
            &mut deflater,
            Opcode::Text,
            black_box(message),
            &mut out,
        ));
    });
    let mut decoder = Decoder::for_client().with_deflate();
    let decode = best(|| {
        let decoded = decoder.decode_with(&mut out, LIMIT, &mut inflater);
        assert!(black_box(decoded).is_ok());
    });
    println!(
        "{name:<28}{:>8}{:>8}{compress:>10.2}{decode:>10.2}",
        message.len(),
        out.len()
    );
}

/// The most work for its size that a client can make the decoder do: nothing but ends of streams.
fn final_blocks() {
    let mut frame = vec![0xc2, 127];
    let payload = [0x03, 0x00].repeat(32 << 10);
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend(payload);
    let mut inflater = Inflater::default();
    let mut decoder = Decoder::for_client().with_deflate();
    let decode = best(|| {
        let decoded = decoder.decode_with(&mut frame, LIMIT, &mut inflater);
        assert!(black_box(decoded).is_ok());
    });
    println!(
        "{:<28}{:>8}{:>8}{:>10}{decode:>10.2}",
        "64 KB of empty final blocks",
        0,
        frame.len(),
        ""
    );
}

/// Microseconds of the best round.
fn best(mut round: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64 / 1000.0);
    }
    best
}
