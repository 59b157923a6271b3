//! A component's stdout and stderr, line by line, in the host's log.
//!
//! Bounded twice, because a component may print without end: a line is cut at
//! [`LINE_LIMIT`], and of the lines of one component at most [`LINES_PER_SECOND`]
//! a second are kept; how many were not is said once they flow again. Printing never
//! blocks the component.

use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The longest line that is logged whole, in bytes. The rest is cut off.
const LINE_LIMIT: usize = 4 << 10;

/// Lines of one component that are logged a second.
const LINES_PER_SECOND: u32 = 200;

/// Bytes that a component may hand over in one write.
const WRITE_LIMIT: usize = 64 << 10;

/// The log of one component, shared by all of its instances.
#[derive(Debug)]
pub(super) struct Log {
    component: Arc<str>,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// Which stream a line came from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Stdout,
    Stderr,
}

impl Log {
    pub(super) fn new(component: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            component,
            pace: Mutex::new(Pace {
                since: Instant::now(),
                lines: 0,
                dropped: 0,
            }),
        })
    }

    /// A stream of one instance.
    pub(super) fn stream(self: &Arc<Self>, source: Source) -> LogStream {
        LogStream {
            lines: Arc::new(Mutex::new(Lines {
                log: self.clone(),
                source,
                line: Vec::new(),
                cut: false,
            })),
        }
    }

    fn line(&self, source: Source, line: &str) {
        let Some(dropped) = self.admit(Instant::now()) else {
            return;
        };
        let component = &*self.component;
        if dropped > 0 {
            tracing::warn!(component, dropped, "printed too much; lines were left out");
        }
        match source {
            Source::Stdout => tracing::info!(component, "{line}"),
            Source::Stderr => tracing::warn!(component, "{line}"),
        }
    }

    /// Whether one more line may be logged now, and how many were dropped before it.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(pace.since) >= Duration::from_secs(1) {
            pace.since = now;
            pace.lines = 0;
        }
        if pace.lines >= LINES_PER_SECOND {
            pace.dropped += 1;
            return None;
        }
        pace.lines += 1;
        Some(std::mem::take(&mut pace.dropped))
    }
}

/// Collects bytes into lines.
struct Lines {
    log: Arc<Log>,
    source: Source,
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    fn write(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            self.flush();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT - self.line.len();
        self.cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn flush(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end();
        if self.cut {
            self.log.line(self.source, &format!("{line}…"));
        } else if !line.is_empty() {
            self.log.line(self.source, line);
        }
        self.line.clear();
        self.cut = false;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

/// stdout or stderr of one instance, in the shapes that WASI 0.2 and 0.3 want.
#[derive(Clone)]
pub(super) struct LogStream {
    lines: Arc<Mutex<Lines>>,
}

impl LogStream {
    fn write_bytes(&self, bytes: &[u8]) {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes);
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_bytes(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_bytes(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_pace_are_counted_and_dropped() {
        let log = Log::new("loud".into());
        let now = Instant::now();
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(log.admit(now), Some(0));
        }
        assert_eq!(log.admit(now), None);
        assert_eq!(log.admit(now), None);
        let later = now + Duration::from_secs(2);
        assert_eq!(log.admit(later), Some(2));
        assert_eq!(log.admit(later), Some(0));
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let log = Log::new("long".into());
        let stream = log.stream(Source::Stdout);
        stream.write_bytes(&vec![b'x'; 3 * LINE_LIMIT]);
        stream.write_bytes(b"y");
        let lines = stream.lines.lock().unwrap();
        assert_eq!(lines.line.len(), LINE_LIMIT);
        assert!(lines.cut);
    }
}
