//! REST components: from a compiled component to the response to a request.
//!
//! One [`RestComponent`] per component of the manifest. It holds the pre-instantiated
//! component, bounds how many instances work and how many requests wait, and turns
//! whatever goes wrong into a [`CallFailure`], which concerns that one request. It does
//! not know routes, and it neither adds nor removes headers.

use super::engine::{Compiled, Engines};
use super::guest::{self, Guest};
use super::handler::{self, Handler, Work};
use super::logs::Log;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError, ProxyHandler, ProxyPre};
use wasmtime_wasi_http::{WasiBody, p2, p3};

pub use super::guest::Grants;
pub use super::keyvalue::Stores;

/// How long an instance waits for its next request.
pub const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The bounds of one component.
#[derive(Debug, Clone, Copy)]
pub struct RestLimits {
    /// Requests that are worked on at once, each in an instance of its own.
    pub instances: usize,
    /// Requests that wait for an instance. Those beyond are refused.
    pub waiting: usize,
    /// Requests that one instance answers before it is replaced. Most of the cost of an
    /// instance is spread by 128, and a component that leaks is still contained.
    pub reuse: usize,
    /// From the start of an instance's work on a request to the end of its response.
    pub budget: Duration,
}

impl Default for RestLimits {
    fn default() -> Self {
        Self {
            instances: 64,
            waiting: 1_024,
            reuse: 128,
            budget: Duration::from_secs(5),
        }
    }
}

/// Why a component gave no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// It trapped, returned an error in place of a response, or could not be instantiated.
    #[error("the component failed")]
    Failed,
    /// It did not respond within its budget.
    #[error("the component took too long")]
    TimedOut,
    /// Too many requests are being worked on and waiting.
    #[error("too many requests are waiting for the component")]
    Overloaded,
}

/// Why a component cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It imports something that the host does not offer.
    #[error("an import is not offered: {0}")]
    Import(String),
    /// It does not export an HTTP handler.
    #[error(
        "it exports neither wasi:http/handler@0.3 nor wasi:http/incoming-handler@0.2, so it cannot answer requests"
    )]
    NoHandler,
}

/// A component that answers HTTP requests.
#[derive(Clone)]
pub struct RestComponent {
    handler: ProxyHandler<Handler>,
    instances: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    limits: RestLimits,
}

impl std::fmt::Debug for RestComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestComponent")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl RestComponent {
    /// Links a component to its imports and finds its handler.
    pub fn new(
        engines: &Engines,
        compiled: &Compiled,
        grants: Grants,
        limits: RestLimits,
    ) -> Result<Self, LinkError> {
        let mut linker = Linker::<Guest>::new(&engines.rest);
        let import = |error: wasmtime::Error| LinkError::Import(format!("{error:#}"));
        guest::link(&mut linker, &grants).map_err(import)?;
        let pre = linker.instantiate_pre(&compiled.0).map_err(import)?;
        let pre = match p3::bindings::ServicePre::new(pre.clone()) {
            Ok(pre) => ProxyPre::P3(pre),
            Err(_) => {
                let pre = p2::bindings::ProxyPre::new(pre).map_err(|_| LinkError::NoHandler)?;
                ProxyPre::P2(pre)
            }
        };
        let log = Log::new(grants.component.clone());
        Ok(Self {
            handler: ProxyHandler::new(Handler {
                pre,
                engine: engines.rest.clone(),
                grants: Arc::new(grants),
                log,
                limits,
            }),
            instances: Arc::new(Semaphore::new(limits.instances)),
            waiting: Arc::new(AtomicUsize::new(0)),
            limits,
        })
    }

    /// Answers one request. The response's body may still be being made when this returns.
    pub async fn call<B>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Response<ResponseBody>, CallFailure>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let work = Arc::new(Work::new(self.admit().await?));
        let request = request.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        let budget = self.limits.budget;
        let answer = self.handler.handle(work.clone(), request);
        // The handler enforces the budget itself; this is for what it cannot see,
        // such as the wait for a worker task.
        match tokio::time::timeout(budget + handler::GRACE, answer).await {
            Ok(Ok(response)) => Ok(response.map(ResponseBody)),
            Ok(Err(error)) => Err(self.failure(&error, &work)),
            Err(_) => Err(CallFailure::TimedOut),
        }
    }

    /// Takes a place among the working instances, waiting for it among a bounded number.
    async fn admit(&self) -> Result<OwnedSemaphorePermit, CallFailure> {
        if let Ok(permit) = self.instances.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Waiting::enter(&self.waiting, self.limits.waiting)?;
        let permit = self.instances.clone().acquire_owned();
        let permit = tokio::time::timeout(self.limits.budget, permit).await;
        drop(waiting);
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(CallFailure::Overloaded),
        }
    }

    fn failure(&self, error: &wasmtime::Error, work: &Work) -> CallFailure {
        if error.is::<ExpirationError>() || work.timed_out() {
            return CallFailure::TimedOut;
        }
        let component = &*self.handler.state().grants.component;
        if let Some(error) = error.downcast_ref::<InstantiationError<Arc<Work>>>() {
            let error = &error.error;
            if handler::is_pool_exhausted(error) {
                return CallFailure::Overloaded;
            }
            if error.is::<handler::InstantiationTimeout>() {
                return CallFailure::TimedOut;
            }
            tracing::error!(component, error = %format_args!("{error:#}"), "could not be instantiated");
            return CallFailure::Failed;
        }
        // A trap was logged where it happened, with its backtrace.
        tracing::debug!(component, error = %format_args!("{error:#}"), "gave no response");
        CallFailure::Failed
    }
}

/// One request among those that wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, limit: usize) -> Result<Self, CallFailure> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= limit {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(CallFailure::Overloaded);
        }
        Ok(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a response.
pub struct ResponseBody(WasiBody);

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

/// A response's body broke off: the component failed while it made it.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off: {0}")]
pub struct ResponseBodyError(String);

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        Pin::new(&mut self.0)
            .poll_frame(cx)
            .map_err(|error| ResponseBodyError(error.to_string()))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
