//! One limit for everything that is awaited.

use std::future::Future;
use std::time::Duration;

/// How long any awaited event may take. Generous: two cores may be running a
/// browser and several hosts beside the test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits `event`, or fails the test with a sentence that names it.
pub async fn within<F: Future>(what: &str, event: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: did not happen within {PATIENCE:?}"),
    }
}
