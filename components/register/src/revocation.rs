//! `/api/token`: tokens that are taken back, one by its `jti` or all by when they were
//! made. A user's are under `/api/user`.

use serde::{Deserialize, Serialize};
use sschat_domain::id::TokenDigest;
use sschat_domain::revocation::{self, Outcome as Change, Revoked, Subject};
use sschat_rest::{Answer, Host, Method, Outcome, Refusal, Request, Route, segment};

/// The longest `jti`, in bytes. Those in use are UUIDs and the like.
const JTI_LIMIT: usize = 256;

const BAD_JTI: Refusal = Refusal::BadRequest {
    code: "bad_jti",
    msg: "a jti is 1 to 256 bytes of percent-encoded UTF-8",
};
const BAD_BODY: Refusal = Refusal::BadRequest {
    code: "bad_body",
    msg: r#"the body is an object {"expires_at"?: seconds since 1970}"#,
};

/// What the body of a revocation may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    expires_at: Option<u64>,
}

#[derive(Serialize)]
struct Shown<'a> {
    status: &'static str,
    jti: &'a str,
    revoked: bool,
    expires_at: Option<u64>,
}

#[derive(Serialize)]
struct All {
    status: &'static str,
    issued_before: Option<u64>,
}

/// Handles a request.
///
/// # Errors
///
/// Why it is refused.
pub(crate) async fn handle<H: Host>(host: &H, request: &Request) -> Outcome {
    match (request.route("/api/token")?, request.method) {
        (Route::One("revoke"), method) => all(host, request, method).await,
        (Route::Two(jti, "revoke"), method) => one(host, request, jti, method).await,
        _ => Err(Refusal::NotFound("no such path")),
    }
}

async fn one<H: Host>(host: &H, request: &Request, jti: &str, method: Method) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?.id;
    let jti = segment(jti).map_err(|_| BAD_JTI)?;
    if !(1..=JTI_LIMIT).contains(&jti.len()) {
        return Err(BAD_JTI);
    }
    let subject = Subject::Token(TokenDigest::of(&jti));
    let found = match method {
        Method::Post => {
            let body = sschat_rest::object(&request.body).ok_or(BAD_BODY)?;
            let Wishes { expires_at } = body;
            let wanted = Revoked::token(expires_at);
            let change = revocation::revoke(store, tenant, subject, wanted, host.now()).await?;
            done(change)?;
            Some(wanted)
        }
        Method::Get => revocation::revoked(store, tenant, subject).await?,
        Method::Delete => {
            revocation::restore(store, tenant, subject).await?;
            None
        }
        _ => return Err(Refusal::MethodNotAllowed("GET, HEAD, POST, DELETE")),
    };
    Answer::ok(&Shown {
        status: "ok",
        jti: &jti,
        revoked: found.is_some(),
        expires_at: found.and_then(|found| found.until),
    })
}

async fn all<H: Host>(host: &H, request: &Request, method: Method) -> Outcome {
    let store = host.store()?;
    let tenant = sschat_rest::tenant(store, request).await?.id;
    let found = match method {
        Method::Post => {
            let wanted = sschat_rest::issued_before(&request.body, host.now())?;
            let change = revocation::revoke(store, tenant, Subject::All, wanted, host.now());
            done(change.await?)?;
            Some(wanted)
        }
        Method::Get => revocation::revoked(store, tenant, Subject::All).await?,
        Method::Delete => {
            revocation::restore(store, tenant, Subject::All).await?;
            None
        }
        _ => return Err(Refusal::MethodNotAllowed("GET, HEAD, POST, DELETE")),
    };
    Answer::ok(&All {
        status: "ok",
        issued_before: found.and_then(|found| found.issued_before),
    })
}

fn done(change: Change) -> Result<(), Refusal> {
    match change {
        Change::Done => Ok(()),
        Change::Gone => Err(sschat_rest::unknown_key()),
        Change::TooMany => Err(sschat_rest::too_many_revocations()),
    }
}
