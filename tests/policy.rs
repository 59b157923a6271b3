//! Policies that tests upload, and the calls that do it.

use crate::app::App;
use crate::host::repository;
use crate::rest::Answer;
use bytes::Bytes;
use serde_json::Value;

/// A component that `tests/run` or `sschat build` has built, by its crate's name.
pub fn component(name: &str) -> Bytes {
    let path = repository().join(format!("target/wasm32-wasip2/component/{name}.wasm"));
    match std::fs::read(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) => panic!("{}: {error}; `tests/run` builds it", path.display()),
    }
}

/// The policy that does what its configuration says; see `tests/guests/policy`.
pub fn on_command() -> Bytes {
    component("sschat_guest_policy")
}

impl App {
    /// A call about the app's policy; `path` follows `/api/policy`.
    pub async fn policy(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("/api/policy{path}{sign}apikey={}", self.key);
        self.rest.send(method, &path, &[], body).await
    }

    /// Makes this component the app's policy.
    pub async fn rule_by(&self, component: Bytes) -> Value {
        self.policy("PUT", "", component).await.expect(200).json()
    }

    /// Chooses the app's rule by its name.
    pub async fn put_rule(&self, rule: &str) {
        let path = format!("?rule={rule}");
        self.policy("PUT", &path, "").await.expect(200);
    }

    /// Configures the policy.
    pub async fn configure(&self, configuration: &Value) {
        let body = configuration.to_string();
        self.policy("PUT", "/config", body).await.expect(200);
    }

    /// The figures of the app's policy.
    pub async fn figures(&self) -> Value {
        let shown = self.policy("GET", "", "").await.expect(200).json();
        shown["figures"].clone()
    }

    /// Why a decision is as it is.
    pub async fn explain(&self, parameters: &str) -> Value {
        let path = format!("/api/explain?{parameters}&apikey={}", self.key);
        self.rest.get(&path).await.expect(200).json()
    }
}
