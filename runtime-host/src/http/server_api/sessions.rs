//! What the server API does to sessions: subscribe, unsubscribe, disconnect, refresh.

use super::super::rooms::Backend;
use super::shapes::{Channel, Fault, Outcome, raw, read};
use crate::peers::{Act, Errand};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// The longest reason of a close frame, in bytes (RFC 6455 section 5.5, less the code).
const REASON_LIMIT: usize = 123;

/// The most connections that a disconnect spares.
const SPARED_LIMIT: usize = 1_000;

/// Codes that a backend may close connections with: those for libraries and for applications (RFC 6455 section 7.4.2).
const CODES: std::ops::RangeInclusive<u16> = 3000..=4999;

/// Whose sessions are meant; `session` is what nothing here has.
#[derive(Deserialize)]
struct Meant {
    user: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    session: String,
}

#[derive(Deserialize)]
struct Ending {
    #[serde(default)]
    whitelist: Vec<String>,
    disconnect: Option<Why>,
}

#[derive(Deserialize)]
struct Why {
    code: u16,
    #[serde(default)]
    reason: String,
}

impl Default for Why {
    fn default() -> Self {
        Self {
            code: 3503,
            reason: "force disconnect".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct Lasting {
    #[serde(default)]
    expired: bool,
}

/// Answers one of these methods.
pub(super) async fn act(
    (backend, tenant): (&dyn Backend, &str),
    method: &str,
    parameters: &RawValue,
) -> Outcome {
    let Meant {
        user,
        client,
        session,
    } = read(parameters)?;
    if !session.is_empty() {
        return Err(Fault::bad("session is not supported"));
    }
    let mut spared = Vec::new();
    let act = match method {
        "subscribe" => Act::Subscribe(read::<Channel<'_>>(parameters)?.channel.into()),
        "unsubscribe" => Act::Unsubscribe(read::<Channel<'_>>(parameters)?.channel.into()),
        "disconnect" => {
            let Ending {
                whitelist,
                disconnect,
            } = read(parameters)?;
            let why = disconnect.unwrap_or_default();
            if !CODES.contains(&why.code) || why.reason.len() > REASON_LIMIT {
                let text = "a code is 3000 to 4999, a reason up to 123 bytes";
                return Err(Fault::bad(text));
            }
            if whitelist.len() > SPARED_LIMIT {
                return Err(Fault::bad(format!("at most {SPARED_LIMIT} in a whitelist")));
            }
            spared = whitelist.into_iter().map(String::into_boxed_str).collect();
            Act::Disconnect(why.code, why.reason.into())
        }
        _ => {
            let Lasting { expired } = read(parameters)?;
            if !expired {
                return Err(Fault {
                    code: 108,
                    message: "a session lasts as long as its token: give the client another one"
                        .to_owned(),
                });
            }
            Act::Disconnect(3005, "connection expired".into())
        }
    };
    let errand = Errand {
        tenant: tenant.into(),
        user: user.into(),
        client: Some(client).filter(|it| !it.is_empty()).map(Into::into),
        spared,
        act,
    };
    backend.act(errand).await?;
    raw(&json!({}))
}
