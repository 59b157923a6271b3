//! What commands that are no conversation print. Absent on purpose: the log, which goes to stderr.

use std::io::Write;

/// Prints to stdout. Where nobody reads any more (`sschat bench fanout | head -1`) the rest is lost: the work goes on,
/// and the exit code tells how it ended.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
