//! The log: structured events on stderr.
//!
//! `SSCHAT_LOG` (else `RUST_LOG`) selects what is logged, as `tracing-subscriber` reads it.
//! What could carry an API key is left out whatever is selected.

use super::LogFormat;
use crate::wasm::CROSSING_TARGETS;
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// What is logged if nothing is selected.
const DEFAULT: &str = "info";

pub(super) fn start(format: LogFormat) {
    let selected = ["SSCHAT_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let selected = EnvFilter::builder().parse_lossy(selected.as_deref().unwrap_or(DEFAULT));
    let filter = selected.and(filter_fn(carries_no_key));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second start in one process, as in tests, keeps the first log.
    let _ = registry().with(lines.with_filter(filter)).try_init();
}

fn carries_no_key(metadata: &Metadata<'_>) -> bool {
    let crosses = CROSSING_TARGETS
        .iter()
        .any(|target| metadata.target().starts_with(target));
    !crosses || *metadata.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn what_crosses_an_import_is_not_logged() {
        let written = Written::default();
        let filter = EnvFilter::new("trace").and(filter_fn(carries_no_key));
        let lines = fmt::layer()
            .with_writer(written.clone())
            .with_filter(filter);
        tracing::subscriber::with_default(registry().with(lines), || {
            tracing::trace!(target: "wasmtime_wasi_http::p3", "apikey_secret");
            tracing::debug!(target: "wit-bindgen", "apikey_secret");
            tracing::warn!(target: "wasmtime_wasi_http::ctx", "a warning");
            tracing::trace!(target: "sschat::http", "a detail");
        });
        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(!log.contains("secret"), "{log}");
        assert!(
            log.contains("a warning") && log.contains("a detail"),
            "{log}"
        );
    }
}
