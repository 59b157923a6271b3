//! Whole dialogues through the decoder and the encoders: an echo endpoint as the Autobahn test suite wants it.
//!
//! The modules follow the suite's groups 1 to 10. Every stream is fed whole, byte by byte and cut at many places, and
//! must give the same events each time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod closing;
mod cuts;
mod deflate;
mod deflate_limits;
mod fragmentation;
mod framing;
mod memory;
mod peer;
mod unicode;
