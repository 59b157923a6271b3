//! The limit on open files: every connection is one.
//!
//! The soft limit is often 1,024, for programs of old that used `select`. This is none, so
//! it takes what it may.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that is asked for: some systems allow a billion, and tables grow with it.
const WANTED: u64 = 1 << 20;

/// Below this the log says so at start-up.
const FEW: u64 = 4_096;

/// Raises the limit as far as this process may.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is `None`.
    let most = maximum.unwrap_or(WANTED).min(WANTED);
    let Some(now) = current.filter(|now| *now < most) else {
        return warn_if_few(current);
    };
    let raised = Rlimit {
        current: Some(most),
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::debug!(from = now, to = most, "the limit on open files is raised");
            warn_if_few(Some(most));
        }
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            warn_if_few(current);
        }
    }
}

fn warn_if_few(limit: Option<u64>) {
    if let Some(limit) = limit.filter(|limit| *limit < FEW) {
        tracing::warn!(
            "at most {limit} open files, and every connection is one; \
             raise the hard limit (ulimit -Hn, LimitNOFILE=)"
        );
    }
}
