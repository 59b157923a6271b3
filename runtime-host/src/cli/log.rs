//! The log: structured events on stderr.
//!
//! `SSCHAT_LOG` (else `RUST_LOG`) selects what is logged, as `tracing-subscriber` reads it.

use super::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged if nothing is selected.
const DEFAULT: &str = "info,wasmtime_wasi_http=error";

pub(super) fn start(format: LogFormat) {
    let selected = ["SSCHAT_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let filter = EnvFilter::builder().parse_lossy(selected.as_deref().unwrap_or(DEFAULT));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in one process, as in tests, keeps the first log.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
