//! `/api/register`: who is a tenant.
//!
//! Registers, shows and deletes API keys, and lets the host finish what a deletion
//! left to do; rotates their secrets, keeps what they want of user tokens ([`tokens`])
//! and which of those they took back ([`revocation`], `/api/token`), and what they chose for
//! their sessions and rooms ([`settings`], `/api/settings`). Who may register is the manifest's word (variables `registration`
//! and `admin_token`). The rules of the data are `sschat-domain`'s.

use serde::{Deserialize, Serialize};
use sschat_domain::record::App;
use sschat_domain::tenant::Tenant;
use sschat_domain::{ApiKey, AppId, removal, tenant};
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route};

mod revocation;
mod settings;
mod tokens;

use tokens::Wanted;

/// The longest label, in characters.
const LABEL_LIMIT: usize = 200;

sschat_rest::component!(super::handle);

/// What a registration may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    label: Option<String>,
    require_token: bool,
    secret: Option<String>,
    tokens: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Serialize)]
struct Registered<'a> {
    status: &'static str,
    api_key: String,
    app_id: AppId,
    secret: &'a str,
}

#[derive(Serialize)]
struct Shown<'a> {
    status: &'static str,
    api_key: &'a str,
    app_id: AppId,
    label: Option<&'a str>,
    require_token: bool,
}

#[derive(Serialize)]
struct Deleted<'a> {
    status: &'static str,
    deleted_api_key: &'a str,
}

#[derive(Serialize)]
struct Swept {
    status: &'static str,
    more: bool,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub async fn handle<H: Host>(host: &H, request: &Request) -> Outcome {
    if request.path.starts_with("/api/token") {
        return revocation::handle(host, request).await;
    }
    if request.path.starts_with("/api/settings") {
        return settings::handle(host, request).await;
    }
    let route = request.route("/api/register");
    match (route.map_err(|_| Refusal::NoSuchKey)?, request.method) {
        (Route::All, Method::Post) => register(host, request).await,
        (Route::All, _) => Err(Refusal::MethodNotAllowed("POST")),
        (Route::Two("-", "sweep"), Method::Post) => sweep(host).await,
        (Route::Two("-", "sweep"), _) => Err(Refusal::MethodNotAllowed("POST")),
        (Route::One(key), Method::Get) => show(host, key).await,
        (Route::One(key), Method::Delete) => delete(host, key).await,
        (Route::One(_), _) => Err(Refusal::MethodNotAllowed("GET, HEAD, DELETE")),
        (Route::Two(key, "secret"), Method::Post) => tokens::rotate(host, key, &request.body).await,
        (Route::Two(key, "secret"), Method::Delete) => tokens::retire(host, key).await,
        (Route::Two(_, "secret"), _) => Err(Refusal::MethodNotAllowed("POST, DELETE")),
        (Route::Two(key, "tokens"), Method::Get) => tokens::show(host, key).await,
        (Route::Two(key, "tokens"), Method::Put) => tokens::want(host, key, &request.body).await,
        (Route::Two(_, "tokens"), _) => Err(Refusal::MethodNotAllowed("GET, HEAD, PUT")),
        _ => Err(Refusal::NoSuchKey),
    }
}

async fn register<H: Host>(host: &H, request: &Request) -> Outcome {
    may_register(host, request).await?;
    let wishes = wishes(&request.body)?;
    let tokens = wishes.tokens.map(Wanted::parse).transpose()?;
    let api_key = ApiKey::from_random(host.random());
    let app_id = AppId::from_random(host.random());
    let secret = tokens::secret(host, wishes.secret).await?;
    let app = App {
        key: api_key.digest(),
        label: wishes.label,
        require_token: wishes.require_token,
        secrets: vec![secret.clone()],
    };
    tenant::register_with(host.store()?, app_id, &app, tokens.as_ref()).await?;
    Answer::created(&Registered {
        status: "ok",
        api_key: api_key.to_string(),
        app_id,
        secret: secret.expose(),
    })
}

/// The tenant whose key stands in the path.
async fn named<H: Host>(host: &H, key: &str) -> Result<Tenant, Refusal> {
    let parsed: ApiKey = key.parse().map_err(|_| Refusal::NoSuchKey)?;
    let tenant = tenant::authenticate(host.store()?, &parsed).await?;
    tenant.ok_or(Refusal::NoSuchKey)
}

async fn show<H: Host>(host: &H, key: &str) -> Outcome {
    let tenant = named(host, key).await?;
    Answer::ok(&Shown {
        status: "ok",
        api_key: key,
        app_id: tenant.id,
        label: tenant.app.label.as_deref(),
        require_token: tenant.app.require_token,
    })
}

async fn delete<H: Host>(host: &H, key: &str) -> Outcome {
    let parsed: ApiKey = key.parse().map_err(|_| Refusal::NoSuchKey)?;
    if !removal::remove_tenant(host.store()?, &parsed).await? {
        return Err(Refusal::NoSuchKey);
    }
    Answer::ok(&Deleted {
        status: "ok",
        deleted_api_key: key,
    })
}

/// One step of any unfinished deletion. Harmless in anybody's hands: it does what
/// was accepted long ago, and nothing where nothing is left.
async fn sweep<H: Host>(host: &H) -> Outcome {
    let more = removal::sweep(host.store()?).await?;
    Answer::ok(&Swept { status: "ok", more })
}

async fn may_register<H: Host>(host: &H, request: &Request) -> Result<(), Refusal> {
    match host.variable("registration").await?.as_str() {
        "open" => Ok(()),
        "closed" => Err(Refusal::Forbidden {
            code: "registration_closed",
            msg: "this server takes no registrations",
        }),
        "token" => {
            let token = host.variable("admin_token").await?;
            if token.is_empty() {
                return Err(Refusal::Misconfigured(
                    "registration needs a token, and the variable admin_token is empty",
                ));
            }
            let given = request.admin_token.as_deref().unwrap_or_default();
            if same(given.as_bytes(), token.as_bytes()) {
                return Ok(());
            }
            Err(Refusal::Forbidden {
                code: "admin_token_required",
                msg: "registration needs the right token in the header X-Admin-Token",
            })
        }
        _ => Err(Refusal::Misconfigured(
            "the variable registration is none of open, closed and token",
        )),
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differences = given.iter().zip(wanted).map(|(a, b)| a ^ b);
    let differs = differences.fold(0, |all, one| all | one);
    std::hint::black_box(differs) == 0 && given.len() == wanted.len()
}

fn wishes(body: &[u8]) -> Result<Wishes, Refusal> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(Wishes::default());
    }
    let bad = Refusal::BadRequest {
        code: "bad_body",
        msg: r#"the body is an object {"label"?: text, "require_token"?: true or false, "secret"?: text, "tokens"?: object}"#,
    };
    // The parser would take an array as an object without names.
    if !body.starts_with(b"{") {
        return Err(bad);
    }
    let wishes: Wishes = serde_json::from_slice(body).map_err(|_| bad)?;
    let label = wishes.label.as_deref().unwrap_or_default();
    if label.chars().count() > LABEL_LIMIT {
        return Err(Refusal::BadRequest {
            code: "bad_label",
            msg: "label is longer than 200 characters",
        });
    }
    Ok(wishes)
}
