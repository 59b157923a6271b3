//! `/api/policy`: the rules that a tenant brings.
//!
//! Chooses a built-in rule, takes components in, as the one that is asked or as the
//! candidate beside it, and keeps their configuration. How all of that is stored is
//! `sschat-domain`'s. Absent on purpose: whether a component is one that can be asked,
//! beyond its first bytes, which the host sees to before it hands the request on.

use serde::Serialize;
use serde::de::IgnoredAny;
use sschat_domain::policy::{self, CONFIG_LIMIT, Chosen, Promoted};
use sschat_domain::record::{Component, Role, Rule};
use sschat_domain::tenant::Tenant;
use sschat_domain::upload::{COMPONENT_LIMIT, Finished, Progress, Upload};
use sschat_domain::{AppId, Write};
use sschat_rest::{Answer, Body, Host, Method, Outcome, Refusal, Request, Route};

/// How every component begins: the magic number, and the version and layer of the
/// binary format of components.
const PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";

const NOT_A_COMPONENT: Refusal = Refusal::BadRequest {
    code: "not_a_component",
    msg: "the body is not a WebAssembly component",
};
const COMPONENT_TOO_LARGE: Refusal = Refusal::TooLarge("the component is larger than 32 MiB");
const CONFIG_TOO_LARGE: Refusal = Refusal::TooLarge("the configuration is larger than 64 KiB");
const SUPERSEDED: Refusal = Refusal::Conflict {
    code: "superseded",
    msg: "a newer change of the policy came in between",
};

sschat_rest::component!(streaming super::handle);

#[derive(Serialize)]
struct Shown {
    status: &'static str,
    app_id: AppId,
    rule: Rule,
    active: Option<Brief>,
    candidate: Option<Brief>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
}

#[derive(Serialize)]
struct Brief {
    digest: String,
    size: u64,
}

#[derive(Serialize)]
struct Limits {
    component_bytes: u64,
    config_bytes: usize,
}

#[derive(Serialize)]
struct Configured {
    status: &'static str,
    app_id: AppId,
    size: usize,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub async fn handle<H: Host, B: Body>(host: &H, request: &Request, body: B) -> Outcome {
    match (request.route("/api/policy")?, request.method) {
        (Route::All, Method::Get) => show(host, request).await,
        (Route::All, Method::Put) => change(host, request, body).await,
        (Route::All, Method::Delete) => reset(host, request).await,
        (Route::All, _) => Err(Refusal::MethodNotAllowed("GET, HEAD, PUT, DELETE")),
        (Route::One("config"), Method::Get) => show_config(host, request).await,
        (Route::One("config"), Method::Put) => set_config(host, request, body).await,
        (Route::One("config"), Method::Delete) => delete_config(host, request).await,
        (Route::One("config"), _) => Err(Refusal::MethodNotAllowed("GET, HEAD, PUT, DELETE")),
        (Route::One("candidate"), Method::Delete) => drop_candidate(host, request).await,
        (Route::One("candidate"), _) => Err(Refusal::MethodNotAllowed("DELETE")),
        (Route::One("promote"), Method::Post) => promote(host, request).await,
        (Route::One("promote"), _) => Err(Refusal::MethodNotAllowed("POST")),
        _ => Err(Refusal::NotFound("no such path")),
    }
}

async fn show<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let chosen = policy::chosen(store, tenant.id).await?;
    Answer::ok(&Shown {
        limits: Some(Limits {
            component_bytes: COMPONENT_LIMIT,
            config_bytes: CONFIG_LIMIT,
        }),
        ..shown(&tenant, chosen)
    })
}

async fn change<H: Host, B: Body>(host: &H, request: &Request, body: B) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    match (request.query.rule.as_deref(), request.query.mode.as_deref()) {
        (Some("members"), None) => choose(store, &tenant, Rule::Members, body).await?,
        (Some("open"), None) => choose(store, &tenant, Rule::Open, body).await?,
        (None, None) => take(store, &tenant, Role::Active, request, body).await?,
        (None, Some("shadow")) => take(store, &tenant, Role::Candidate, request, body).await?,
        (Some(_), None) => {
            return Err(Refusal::BadRequest {
                code: "bad_rule",
                msg: "rule is members or open",
            });
        }
        (_, Some(_)) => {
            return Err(Refusal::BadRequest {
                code: "bad_mode",
                msg: "mode is shadow, for a component, or absent",
            });
        }
    }
    answer(store, &tenant).await
}

async fn reset<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    exists(policy::reset(store, tenant.id).await?)?;
    answer(store, &tenant).await
}

async fn drop_candidate<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    exists(policy::drop_candidate(store, tenant.id).await?)?;
    answer(store, &tenant).await
}

async fn promote<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    match policy::promote(store, tenant.id).await? {
        Promoted::Done => answer(store, &tenant).await,
        Promoted::NoCandidate => Err(Refusal::Conflict {
            code: "no_candidate",
            msg: "there is no candidate to promote",
        }),
        Promoted::Superseded => Err(SUPERSEDED),
        Promoted::Gone => Err(sschat_rest::unknown_key()),
    }
}

/// Answers with the configuration as it was given.
async fn show_config<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let config = policy::config(store, tenant.id).await?;
    Ok(Answer {
        status: 200,
        header: None,
        body: config.ok_or(Refusal::NotFound("no configuration was given"))?,
    })
}

async fn set_config<H: Host, B: Body>(host: &H, request: &Request, mut body: B) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    let claimed = request.length.unwrap_or_default();
    if claimed > CONFIG_LIMIT as u64 {
        return Err(CONFIG_TOO_LARGE);
    }
    let mut config = Vec::new();
    while let Some(part) = body.next().await? {
        if config.len() + part.len() > CONFIG_LIMIT {
            return Err(CONFIG_TOO_LARGE);
        }
        config.extend_from_slice(&part);
    }
    let size = config.len();
    let text = std::str::from_utf8(&config).ok();
    if text.is_none_or(|text| serde_json::from_str::<IgnoredAny>(text).is_err()) {
        return Err(Refusal::BadRequest {
            code: "invalid_json",
            msg: "the configuration is not JSON",
        });
    }
    exists(policy::set_config(store, tenant.id, config).await?)?;
    configured(&tenant, size)
}

async fn delete_config<H: Host>(host: &H, request: &Request) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?;
    policy::delete_config(store, tenant.id).await?;
    configured(&tenant, 0)
}

async fn choose<S: Write, B: Body>(
    store: &S,
    tenant: &Tenant,
    rule: Rule,
    mut body: B,
) -> Result<(), Refusal> {
    if body.next().await?.is_some() {
        return Err(Refusal::BadRequest {
            code: "unexpected_body",
            msg: "a rule is chosen with an empty body, a component uploaded without rule",
        });
    }
    exists(policy::set_rule(store, tenant.id, rule).await?)
}

/// Takes a component in. Nothing is written before its first bytes are right.
async fn take<S: Write, B: Body>(
    store: &S,
    tenant: &Tenant,
    role: Role,
    request: &Request,
    mut body: B,
) -> Result<(), Refusal> {
    if request.length.unwrap_or_default() > COMPONENT_LIMIT {
        return Err(COMPONENT_TOO_LARGE);
    }
    let mut first = Vec::new();
    while first.len() < PREAMBLE.len()
        && let Some(part) = body.next().await?
    {
        first.extend_from_slice(&part);
    }
    if !first.starts_with(&PREAMBLE) {
        return Err(NOT_A_COMPONENT);
    }
    let upload = Upload::begin(store, tenant.id, role).await?;
    let mut upload = upload.ok_or_else(sschat_rest::unknown_key)?;
    if let Err(refusal) = receive(&mut upload, first, body).await {
        // Should this fail, the next upload sees to it.
        return Err(match upload.abandon().await {
            Ok(false) => sschat_rest::unknown_key(),
            _ => refusal,
        });
    }
    match upload.finish().await? {
        Finished::Placed(_) => Ok(()),
        Finished::Superseded => Err(SUPERSEDED),
        Finished::Gone => Err(sschat_rest::unknown_key()),
    }
}

async fn receive<S: Write, B: Body>(
    upload: &mut Upload<'_, S>,
    first: Vec<u8>,
    mut body: B,
) -> Result<(), Refusal> {
    let mut part = Some(first);
    while let Some(bytes) = part {
        match upload.write(&bytes).await? {
            Progress::More => {}
            Progress::TooLarge => return Err(COMPONENT_TOO_LARGE),
            Progress::Superseded => return Err(SUPERSEDED),
        }
        part = body.next().await?;
    }
    Ok(())
}

/// Refuses where the tenant was deleted meanwhile.
fn exists(exists: bool) -> Result<(), Refusal> {
    if exists {
        Ok(())
    } else {
        Err(sschat_rest::unknown_key())
    }
}

/// What the tenant has chosen now.
async fn answer<S: Write>(store: &S, tenant: &Tenant) -> Outcome {
    let chosen = policy::chosen(store, tenant.id).await?;
    Answer::ok(&shown(tenant, chosen))
}

fn configured(tenant: &Tenant, size: usize) -> Outcome {
    Answer::ok(&Configured {
        status: "ok",
        app_id: tenant.id,
        size,
    })
}

fn shown(tenant: &Tenant, chosen: Chosen) -> Shown {
    let brief = |component: Component| Brief {
        digest: component.digest.to_string(),
        size: component.size,
    };
    Shown {
        status: "ok",
        app_id: tenant.id,
        rule: chosen.rule,
        active: chosen.components.active.map(brief),
        candidate: chosen.components.candidate.map(brief),
        limits: None,
    }
}
