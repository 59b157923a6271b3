//! Deltas against an applier written from the description of the format.

use proptest::prelude::*;
use sschat_protocol::centrifuge::{
    Payload,
    delta::{create, payload},
};

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

fn number(delta: &mut &[u8]) -> usize {
    let mut value = 0;
    while let Some(digit) = DIGITS.iter().position(|it| Some(it) == delta.first()) {
        value = value << 6 | digit;
        *delta = &delta[1..];
    }
    value
}

fn byte(delta: &mut &[u8]) -> u8 {
    let (first, rest) = delta.split_first().unwrap();
    *delta = rest;
    *first
}

fn apply(source: &[u8], mut delta: &[u8]) -> Vec<u8> {
    let size = number(&mut delta);
    assert_eq!(byte(&mut delta), b'\n');
    let mut target = Vec::new();
    loop {
        let value = number(&mut delta);
        match byte(&mut delta) {
            b'@' => {
                let offset = number(&mut delta);
                assert_eq!(byte(&mut delta), b',');
                target.extend_from_slice(&source[offset..offset + value]);
            }
            b':' => {
                target.extend_from_slice(&delta[..value]);
                delta = &delta[value..];
            }
            b';' => {
                let words = target.chunks(4).map(|chunk| {
                    let mut word = [0; 4];
                    word[..chunk.len()].copy_from_slice(chunk);
                    u32::from_be_bytes(word)
                });
                assert_eq!(value, words.fold(0, u32::wrapping_add) as usize);
                assert_eq!((target.len(), delta.len()), (size, 0));
                return target;
            }
            other => panic!("operator {other}"),
        }
    }
}

#[test]
fn a_small_change_is_a_small_delta() {
    let rows: Vec<String> = (0..200)
        .map(|row| format!(r#"{{"row":{row},"text":"grüße"}}"#))
        .collect();
    let old = format!("[{}]", rows.join(","));
    let new = old.replace(r#"{"row":77,"#, r#"{"row":77,"changed":true,"#);
    let delta = create(old.as_bytes(), new.as_bytes()).unwrap();
    assert!(delta.len() < 100, "{}", String::from_utf8_lossy(&delta));
    assert_eq!(apply(old.as_bytes(), &delta), new.as_bytes());
}

#[test]
fn what_does_not_help_is_not_made() {
    assert_eq!(create(b"", b""), None);
    assert_eq!(create(b"something", b"else"), None);
    assert_eq!(create(&[7; 100], b"short"), None);
    assert_eq!(create(&[0; (1 << 20) + 1], &[0; 100]), None);
}

#[test]
fn a_payload_is_whole_without_a_previous_one() {
    let mut buffer = Vec::new();
    let data = [b'x'; 100];
    assert_eq!(payload(None, &data, &mut buffer), Payload::Base(&data));
    let Payload::Delta(delta) = payload(Some(&data), &data, &mut buffer) else {
        panic!("no delta");
    };
    assert_eq!(apply(&data, delta), data);
}

#[test]
fn repetitive_texts_do_not_cost_the_square() {
    let started = std::time::Instant::now();
    let zeros = vec![0; 1 << 20];
    let mut nearly = zeros.clone();
    for at in (0..nearly.len()).step_by(31) {
        nearly[at] = 1;
    }
    // Bytes that look like the inside of characters, and are no text at all.
    let inside = vec![0x80; 1 << 20];
    for (source, target) in [
        (&zeros, &nearly),
        (&nearly, &zeros),
        (&nearly, &nearly),
        (&inside, &inside),
    ] {
        if let Some(delta) = create(source, target) {
            assert_eq!(&apply(source, &delta), target);
        }
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

/// A text made of few pieces, so that two of them have much in common.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "The quick brown fox ",
        "jumps over the lazy dog. ",
        "ä",
        "𝄞",
        "grüße und küsse ",
        "0123456789abcdef",
        "x",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_delta_makes_the_target_and_stays_text(source in text(), target in text()) {
        if let Some(delta) = create(source.as_bytes(), target.as_bytes()) {
            prop_assert!(delta.len() < target.len());
            prop_assert!(str::from_utf8(&delta).is_ok());
            prop_assert_eq!(apply(source.as_bytes(), &delta), target.as_bytes());
        }
    }

    #[test]
    fn any_bytes_will_do(
        source in prop::collection::vec(0_u8..3, 0..400),
        target in prop::collection::vec(0_u8..3, 0..400),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mixed = [&source[..source.len() / 2], &noise, &target].concat();
        for (source, target) in [(&source, &target), (&source, &mixed), (&mixed, &target)] {
            if let Some(delta) = create(source, target) {
                prop_assert_eq!(&apply(source, &delta), target);
            }
        }
    }
}
