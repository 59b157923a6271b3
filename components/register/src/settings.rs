//! `/api/settings`: what a key's owner chose for its sessions and rooms.

use serde::Serialize;
use sschat_domain::settings::{self, Settings};
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route};

#[derive(Serialize)]
struct Shown {
    status: &'static str,
    settings: Settings,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub(crate) async fn handle<H: Host>(host: &H, request: &Request) -> Outcome {
    let Route::All = request.route("/api/settings")? else {
        return Err(Refusal::NotFound("no such path"));
    };
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?.id;
    let chosen = match request.method {
        Method::Get => settings::of_tenant(store, tenant).await?,
        Method::Put => sschat_rest::settings(&request.body)?,
        Method::Delete => Settings::default(),
        _ => return Err(Refusal::MethodNotAllowed("GET, HEAD, PUT, DELETE")),
    };
    if request.method != Method::Get && !settings::set(store, tenant, &chosen).await? {
        return Err(sschat_rest::unknown_key());
    }
    Answer::ok(&Shown {
        status: "ok",
        settings: chosen,
    })
}
