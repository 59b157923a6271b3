//! What the REST handlers share, so that each handler is only its resource's rules.
//!
//! This crate owns the shape of a request and of every answer, where the API key is
//! taken from, and the one place where an error becomes an answer. All of it is
//! plain Rust and runs natively in tests; what touches Spin's interfaces is in
//! the `spin` module, which exists on wasm alone. Absent on purpose: the data model,
//! which is `sschat-domain`, and any log line but a failing store's, so that an API
//! key can't end up in one.

mod address;
mod answer;
mod auth;
mod query;
mod refusal;
mod request;
#[cfg(target_family = "wasm")]
pub mod spin;

pub use address::is_address;
pub use answer::{Answer, Outcome};
pub use auth::{presented_key, tenant, unknown_key};
pub use query::{PageQuery, Query};
pub use refusal::Refusal;
pub use request::{BODY_LIMIT, Body, Method, PATH_LIMIT, Request, Route};

use sschat_domain::{Error, Write};
use std::future::Future;

/// Makes the crate an HTTP component that answers with this handler. With `streaming`
/// the handler gets the body as well, a [`Body`], to read as much of it as it wants.
///
/// What `#[spin_sdk::http_service]` does, without the second form of request and
/// response that it builds, which was a third of a component's own time in a
/// request that touches no store.
#[macro_export]
macro_rules! component {
    ($handle:path) => {
        $crate::component!(
            |request| serve(request, async |request| $handle(&Spin, &request).await)
        );
    };
    (streaming $handle:path) => {
        $crate::component!(|request| serve_streaming(request, async |request, body| {
            $handle(&Spin, &request, body).await
        }));
    };
    (|$request:ident| $serve:expr) => {
        #[cfg(target_family = "wasm")]
        mod component {
            use $crate::spin::spin_sdk::wasip3;
            #[allow(unused_imports, reason = "one of the two is used")]
            use $crate::spin::{ErrorCode, Response, Spin, serve, serve_streaming};
            struct Component;
            wasip3::http::service::export!(Component);
            impl wasip3::exports::http::handler::Guest for Component {
                async fn handle(
                    $request: wasip3::http::types::Request,
                ) -> Result<Response, ErrorCode> {
                    Ok($serve.await)
                }
            }
        }
    };
}

/// What a handler runs on.
pub trait Host {
    /// The key-value store.
    type Store: Write;

    /// The store `default`.
    ///
    /// # Errors
    ///
    /// Where the store is not granted or can't be reached.
    fn store(&self) -> Result<&Self::Store, Error>;

    /// Random bytes that can't be guessed.
    fn random<const N: usize>(&self) -> [u8; N];

    /// A variable of the manifest.
    ///
    /// # Errors
    ///
    /// Where it is not defined.
    fn variable(&self, name: &str) -> impl Future<Output = Result<String, Refusal>>;
}
