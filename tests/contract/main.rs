//! The contract suites: one per trait, run over every implementation of it.

// A test that fails says so by panicking; clippy only knows it of the test functions
// themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod policy;
mod redis;
mod sqlite;
mod store;
mod verdicts;
