//! `/api/webhook`: what a tenant's backend wants to be told, and where.
//!
//! Keeps the settings and makes the secrets that sign what is told. How they are stored
//! is `sschat-domain`'s. Absent on purpose: events, and whether an address is one that
//! may be asked: both are the host's.

use serde::{Deserialize, Serialize};
use sschat_domain::events::{self, Events, Kind, Wanted};
use sschat_domain::record::Secret;
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route, is_address, tenant};

/// The longest address, in bytes.
const URL_LIMIT: usize = 512;

const NOTHING: Refusal = Refusal::NotFound("no webhook is set");
const BAD_WEBHOOK: Refusal = Refusal::BadRequest {
    code: "bad_webhook",
    msg: r#"a webhook is an object {"url"?: text, "kinds"?: [connect, disconnect, join, leave, occupied, vacated, published]}"#,
};
const BAD_URL: Refusal = Refusal::BadRequest {
    code: "bad_webhook_url",
    msg: "url is an address https://host/path of up to 512 bytes, without user and fragment",
};

sschat_rest::component!(super::handle);

/// What the body of a change says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wishes {
    url: Option<String>,
    kinds: Option<Vec<Kind>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    status: &'static str,
    url: Option<&'a str>,
    kinds: &'a [Kind],
    /// How many sign.
    secrets: usize,
    /// Shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[derive(Serialize)]
struct Rotated<'a> {
    status: &'static str,
    secret: &'a str,
    secrets: usize,
}

#[derive(Serialize)]
struct Retired {
    status: &'static str,
    retired: bool,
}

#[derive(Serialize)]
struct Deleted {
    status: &'static str,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub async fn handle<H: Host>(host: &H, request: &Request) -> Outcome {
    match (request.route("/api/webhook")?, request.method) {
        (Route::All, Method::Get) => show(host, request).await,
        (Route::All, Method::Put) => want(host, request).await,
        (Route::All, Method::Delete) => forget(host, request).await,
        (Route::All, _) => Err(Refusal::MethodNotAllowed("GET, HEAD, PUT, DELETE")),
        (Route::One("secret"), Method::Post) => rotate(host, request).await,
        (Route::One("secret"), Method::Delete) => retire(host, request).await,
        (Route::One("secret"), _) => Err(Refusal::MethodNotAllowed("POST, DELETE")),
        _ => Err(Refusal::NotFound("no such path")),
    }
}

async fn show<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = tenant(store, request).await?;
    let found = events::wanted(store, tenant.id).await?;
    let (wanted, secrets) = found.ok_or(NOTHING)?;
    Answer::ok(&Shown {
        status: "ok",
        url: wanted.url.as_deref(),
        kinds: &wanted.kinds,
        secrets,
        secret: None,
    })
}

async fn want<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = tenant(store, request).await?;
    let wishes = wishes(&request.body)?;
    let fresh = Secret::from_random(host.random());
    let Wanted::Stored(made) = events::want(store, tenant.id, &wishes, &fresh).await? else {
        return Err(sschat_rest::unknown_key());
    };
    let found = events::wanted(store, tenant.id).await?;
    Answer::ok(&Shown {
        status: "ok",
        url: wishes.url.as_deref(),
        kinds: &wishes.kinds,
        secrets: found.map_or(0, |(_, secrets)| secrets),
        secret: made.as_ref().map(Secret::expose),
    })
}

async fn forget<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = tenant(store, request).await?;
    if !events::forget(store, tenant.id).await? {
        return Err(NOTHING);
    }
    Answer::ok(&Deleted { status: "ok" })
}

async fn rotate<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = tenant(store, request).await?;
    let fresh = Secret::from_random(host.random());
    let secrets = events::rotate(store, tenant.id, &fresh).await?;
    Answer::created(&Rotated {
        status: "ok",
        secret: fresh.expose(),
        secrets: secrets.ok_or(NOTHING)?,
    })
}

async fn retire<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = tenant(store, request).await?;
    let retired = events::retire(store, tenant.id).await?;
    Answer::ok(&Retired {
        status: "ok",
        retired,
    })
}

/// What a body asks for; each kind once, in its order.
fn wishes(body: &[u8]) -> Result<Events, Refusal> {
    // The parser would take an array as an object without names.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(BAD_WEBHOOK);
    }
    let wishes: Wishes = serde_json::from_slice(body).map_err(|_| BAD_WEBHOOK)?;
    let url = wishes.url;
    if url
        .as_deref()
        .is_some_and(|url| url.len() > URL_LIMIT || !is_address(url))
    {
        return Err(BAD_URL);
    }
    let wanted = wishes.kinds.unwrap_or_else(|| Kind::USUAL.into());
    let all = Kind::USUAL.into_iter().chain([Kind::Published]);
    Ok(Events {
        kinds: all.filter(|kind| wanted.contains(kind)).collect(),
        url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Result<Events, &'static str> {
        wishes(body.as_bytes()).map_err(|refusal| match refusal {
            Refusal::BadRequest { code, .. } => code,
            _ => "?",
        })
    }

    #[test]
    fn what_is_said_is_off_unless_it_is_asked_for() {
        let kinds = |body| code(body).map(|it| it.kinds);
        assert_eq!(kinds("{}"), Ok(Kind::USUAL.into()));
        assert_eq!(kinds(r#"{"kinds":[]}"#), Ok(Vec::new()));
        let two = r#"{"kinds":["published","join","published"]}"#;
        assert_eq!(kinds(two), Ok(vec![Kind::Join, Kind::Published]));
    }

    #[test]
    fn what_is_no_webhook_is_refused() {
        for body in ["", "[]", "{", r#"{"kind":[]}"#, r#"{"kinds":["joined"]}"#] {
            assert_eq!(code(body), Err("bad_webhook"), "{body}");
        }
        for url in [
            "",
            "x",
            "ftp://a/",
            "https://",
            "https://u@h/",
            "https://h/#f",
            "https://h/ä",
        ] {
            let body = format!(r#"{{"url":"{url}"}}"#);
            assert_eq!(code(&body), Err("bad_webhook_url"), "{url}");
        }
        let long = format!(r#"{{"url":"https://h/{}"}}"#, "x".repeat(512));
        assert_eq!(code(&long), Err("bad_webhook_url"));
        let url = "https://example.com:8443/hook?a=b";
        let good = code(&format!(r#"{{"url":"{url}"}}"#)).map(|it| it.url);
        assert_eq!(good, Ok(Some(url.to_owned())));
    }
}
