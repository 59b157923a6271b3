//! Finishing what a component left to do: big deletions are made in steps.
//!
//! The host POSTs to the component's `sweep` path at start-up and after every successful
//! DELETE, again and again until the answer is `{"more":false}`. One call at a time, with
//! a pause between two, so that sweeping never crowds out requests. A component that
//! fails is tried again later, ever more seldom.

use crate::wasm::rest::RestComponent;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Limited};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The pause between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// The pause after a first failure; each further one doubles it.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// The longest pause after failures.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read: it is a small object.
const ANSWER_LIMIT: usize = 4 << 10;

/// Wakes a sweeper. Signals that come while it works are not lost and not counted.
#[derive(Debug, Clone, Default)]
pub(super) struct SweepSignal(Arc<Notify>);

impl SweepSignal {
    pub(super) fn notify(&self) {
        self.0.notify_one();
    }
}

/// Sweeps one component.
pub(super) struct Sweeper {
    pub(super) name: String,
    pub(super) component: RestComponent,
    pub(super) path: String,
    pub(super) signal: SweepSignal,
}

#[derive(serde::Deserialize)]
struct Answer {
    more: bool,
}

impl Sweeper {
    /// Never ends.
    pub(super) async fn run(self) {
        loop {
            self.sweep().await;
            self.signal.0.notified().await;
        }
    }

    async fn sweep(&self) {
        let mut retry = FIRST_RETRY;
        loop {
            match self.step().await {
                Ok(Answer { more: false }) => return,
                Ok(Answer { more: true }) => {
                    retry = FIRST_RETRY;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(reason) => {
                    let component = self.name.as_str();
                    tracing::warn!(component, reason, ?retry, "a sweep failed");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
    }

    async fn step(&self) -> Result<Answer, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://localhost{}", self.path))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let response = self
            .component
            .call(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {status}"));
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
    }
}
