//! `/metrics`: who may read it, and what the HTTP side adds to it.
//!
//! On the common listener it is for programs on the same machine that come without a
//! proxy; to everybody else it does not exist. On a listener of its own
//! ([`super::Bound::for_metrics`]) it is for whoever reaches that.

use super::body::Body;
use super::tls::Tls;
use super::{Remote, Server, refuse_method, reply};
use crate::metrics::Counter;
use crate::metrics::text::{CONTENT_TYPE, Text};
use crate::store::latency::Latency;
use crate::wasm::rest::CallFailure;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;

/// Where the figures are.
const PATH: &str = "/metrics";

/// What a proxy adds to what it passes on.
const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Writes what the rest of the host counts.
pub type Figures = Arc<dyn Fn(&mut Text) + Send + Sync>;

/// How the calls of one component went.
#[derive(Debug, Default)]
pub(super) struct Calls {
    answered: Counter,
    failed: Counter,
    timed_out: Counter,
    overloaded: Counter,
    latency: Latency,
}

impl Calls {
    /// Counts a call.
    pub(super) fn record<T>(&self, outcome: &Result<T, CallFailure>, took: Duration) {
        self.latency.record(took);
        match outcome {
            Ok(_) => self.answered.count(),
            Err(CallFailure::Failed) => self.failed.count(),
            Err(CallFailure::TimedOut) => self.timed_out.count(),
            Err(CallFailure::Overloaded) => self.overloaded.count(),
        }
    }
}

/// Answers by their class.
#[derive(Debug, Default)]
pub(super) struct Statuses([Counter; CLASSES.len()]);

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Statuses {
    pub(super) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.count();
        }
    }
}

impl Server {
    /// Counts an answer.
    pub(super) fn count(&self, status: StatusCode) {
        self.statuses.count(status);
    }

    /// Answers a request for the figures on the common listener, if it may have them.
    pub(super) fn local_metrics<B>(
        &self,
        request: &Request<B>,
        remote: &Remote,
    ) -> Option<Response<Body>> {
        let here = self.local_metrics && request.uri().path() == PATH;
        let headers = request.headers();
        let direct = || FORWARDING.iter().all(|name| !headers.contains_key(*name));
        let local = || remote.address.ip().to_canonical().is_loopback();
        (here && local() && direct()).then(|| self.metrics(request))
    }

    /// Answers a request on the listener that is for figures alone.
    pub(super) fn only_metrics<B>(&self, request: &Request<B>) -> Response<Body> {
        match request.uri().path() {
            PATH => self.metrics(request),
            _ => reply::not_found(),
        }
    }

    fn metrics<B>(&self, request: &Request<B>) -> Response<Body> {
        if let Some(refusal) = refuse_method(request.method()) {
            return refusal;
        }
        let mut text = Text::default();
        (self.figures)(&mut text);
        self.write_figures(&mut text);
        let mut response = Response::new(Body::full(Bytes::from(text.finish())));
        let kind = HeaderValue::from_static(CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    fn write_figures(&self, text: &mut Text) {
        let help = "Until when the certificate in use holds, in seconds since 1970; 0 without TLS.";
        text.gauge("sschat_tls_certificate_expiry_timestamp_seconds", help)
            .value(self.certificate.get().map_or(0, Tls::until));
        let mut metric = text.counter("sschat_http_requests_total", "HTTP answers, by class.");
        for (class, counter) in CLASSES.iter().zip(&self.statuses.0) {
            metric.sample(&[("status", class)], counter.total());
        }
        let help = "Requests to REST components, by what came of them: a failure is a trap.";
        let mut metric = text.counter("sschat_component_calls_total", help);
        for forward in &self.forwards {
            let (name, calls) = (forward.name(), forward.calls());
            for (outcome, counter) in [
                ("answered", &calls.answered),
                ("failed", &calls.failed),
                ("timed_out", &calls.timed_out),
                ("overloaded", &calls.overloaded),
            ] {
                let labels = [("component", name), ("outcome", outcome)];
                metric.sample(&labels, counter.total());
            }
        }
        let help = "From a request's arrival at a REST component to the head of its answer.";
        let mut metric = text.histogram("sschat_component_call_seconds", help);
        for forward in &self.forwards {
            let labels = [("component", forward.name())];
            metric.latency(&labels, &forward.calls().latency);
        }
    }
}
