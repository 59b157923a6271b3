//! What requests and answers of the server API look like.

use super::super::policies::Declined;
use super::super::rooms::{Message, Place};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a method comes to: JSON as text, for a message is never read as numbers or maps.
pub(super) type Outcome = Result<Box<RawValue>, Fault>;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reply {
    Result(Box<RawValue>),
    Error(Fault),
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        outcome.map_or_else(Self::Error, Self::Result)
    }
}

#[derive(Serialize)]
pub(super) struct Replies {
    /// By the method, or by `error`.
    pub(super) replies: Vec<BTreeMap<String, Box<RawValue>>>,
}

pub(super) fn raw(value: &impl Serialize) -> Outcome {
    serde_json::value::to_raw_value(value).map_err(|error| {
        tracing::error!(%error, "an answer has no JSON form");
        Fault {
            code: 100,
            message: "internal server error".to_owned(),
        }
    })
}

/// An error as Centrifugo numbers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code: 107, message }
    }
}

impl From<Declined> for Fault {
    fn from(declined: Declined) -> Self {
        let (code, message) = match declined.code {
            "not_found" => (102, "unknown channel"),
            "bad_request" => (107, &declined.msg[..]),
            "too_large" => (106, &declined.msg[..]),
            "no_history" => (108, "not available"),
            "member" => (108, &declined.msg[..]),
            "denied" => (103, &declined.msg[..]),
            "unavailable" => (100, &declined.msg[..]),
            "wrong_epoch" => (112, "unrecoverable position"),
            _ => (100, "internal server error"),
        };
        Self {
            code,
            message: message.to_owned(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Channel<'a> {
    #[serde(borrow)]
    pub(super) channel: Cow<'a, str>,
}

/// What publish and broadcast share.
#[derive(Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    pub(super) data: Option<&'a RawValue>,
    pub(super) idempotency_key: Option<String>,
    #[serde(default)]
    pub(super) skip_history: bool,
    /// In place of `data`: JSON in Base64 (RFC 4648, section 4).
    #[serde(default)]
    pub(super) b64data: String,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Channels {
    pub(super) channels: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct History {
    /// Below 0 for as many as there are.
    #[serde(default)]
    pub(super) limit: i64,
    pub(super) since: Option<Since>,
    #[serde(default)]
    pub(super) reverse: bool,
}

#[derive(Deserialize)]
pub(super) struct Since {
    #[serde(default)]
    pub(super) offset: u64,
    #[serde(default)]
    pub(super) epoch: String,
}

#[derive(Deserialize)]
pub(super) struct Pattern {
    #[serde(default)]
    pub(super) pattern: String,
}

#[derive(Deserialize)]
pub(super) struct Batch<'a> {
    #[serde(borrow)]
    pub(super) commands: Vec<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    pub(super) parallel: bool,
}

#[derive(Serialize)]
pub(super) struct Publications {
    pub(super) publications: Vec<Publication>,
    #[serde(flatten)]
    pub(super) top: Place,
}

#[derive(Serialize)]
pub(super) struct Publication {
    pub(super) data: Box<RawValue>,
    pub(super) offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) info: Option<Info>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(super) struct Info {
    pub(super) client: String,
    pub(super) user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conn_info: Option<Box<RawValue>>,
}

/// A value that is there, `null` too.
fn given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(input).map(Some)
}

impl Said<'_> {
    /// What `b64data` holds, where it is given.
    pub(super) fn decoded(&self) -> Result<Option<Box<RawValue>>, Fault> {
        if self.b64data.is_empty() {
            return Ok(None);
        }
        let bad = || Fault::bad("b64data is JSON in Base64");
        let bytes = STANDARD.decode(&self.b64data).map_err(|_| bad())?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        RawValue::from_string(text).map(Some).map_err(|_| bad())
    }

    /// What is said: `decoded`, or `data`.
    pub(super) fn message<'m>(
        &'m self,
        decoded: Option<&'m RawValue>,
    ) -> Result<Message<'m>, Fault> {
        let data = decoded.or(self.data);
        let tag = |(name, value): (&String, &String)| (name.as_str().into(), value.as_str().into());
        Ok(Message {
            data: data.ok_or_else(|| Fault::bad("data is missing"))?,
            from: "",
            key: self
                .idempotency_key
                .as_deref()
                .filter(|key| !key.is_empty()),
            passing: self.skip_history,
            tags: (!self.tags.is_empty()).then(|| self.tags.iter().map(tag).collect()),
        })
    }
}

pub(super) fn read<'a, T: Deserialize<'a>>(parameters: &'a RawValue) -> Result<T, Fault> {
    serde_json::from_str(parameters.get())
        .map_err(|error| Fault::bad(format!("bad request: {error}")))
}

/// Where a publication went; nothing where the room keeps no history.
pub(super) fn placed(place: Option<Place>) -> Value {
    match place {
        Some(Place { offset, epoch }) => json!({ "offset": offset, "epoch": epoch }),
        None => json!({}),
    }
}
