//! The Centrifuge protocol as the SDKs speak it: golden dialogues, bad input, properties.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod delta;
mod dialogues;
mod encoding;
mod limits;
mod node;
mod properties;
mod recovery;
mod time;
