//! What one evaluation observes, noted as it observes it.

use super::memo::{Finding, Index, Verdict};
use crate::clock::unix_now;
use crate::digest::sha256;
use crate::store::{Store, StoreError};
use crate::wasm::calls::{Attribute, ReadError, Reads};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The most keys that one decision may read: a page of 100 rooms takes about 400.
const KEYS_PER_DECISION: usize = 4_096;

/// The most bytes that one decision may read.
const BYTES_PER_DECISION: usize = 4 << 20;

/// A connection, as a policy can ask about it.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The other end.
    pub remote: Option<IpAddr>,
    /// Headers of its handshake: name and value, the name in lower case.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// The token that logged in.
    pub token: Option<Box<str>>,
}

impl Connection {
    fn attribute(&self, attribute: Attribute<'_>) -> Option<String> {
        match attribute {
            Attribute::RemoteAddress => self.remote.map(|address| address.to_string()),
            Attribute::Header(name) => self
                .headers
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_string()),
            Attribute::Claim(name) => {
                // The authority has verified it, or nobody would be asked about the session.
                let claims = self.token.as_deref()?.split('.').nth(1)?;
                let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
                let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
                claims.get(name).map(ToString::to_string)
            }
        }
    }
}

/// What a decision is about beside its question.
#[derive(Debug, Clone, Default)]
pub struct Occasion {
    /// The connection that it is made for, if one is.
    pub connection: Option<Arc<Connection>>,
    /// What is about to be published.
    pub payload: Option<Arc<str>>,
}

/// A key that was read, for those who want an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRead {
    /// The key.
    pub key: String,
    /// The first 16 hex digits of the value's SHA-256; `None` where it is absent.
    pub version: Option<String>,
}

/// Where reads are written down for an explanation.
pub(super) type Record = Arc<Mutex<Vec<KeyRead>>>;

/// The reads of one evaluation. See [`super::memo`] for why a key is noted first and read then.
pub(super) struct Trace {
    pub(super) verdict: Arc<Verdict>,
    index: Arc<Index>,
    store: Arc<dyn Store>,
    occasion: Occasion,
    record: Option<Record>,
    keys: usize,
    bytes: usize,
    /// One evaluation sees one time, so that what it derives from it is of a piece.
    time: u64,
}

impl Trace {
    pub(super) fn new(index: &Arc<Index>, store: &Arc<dyn Store>, occasion: &Occasion) -> Self {
        Self {
            verdict: index.begin(Finding::default()),
            index: Arc::clone(index),
            store: Arc::clone(store),
            occasion: occasion.clone(),
            record: None,
            keys: 0,
            bytes: 0,
            time: unix_now(),
        }
    }

    /// Writes every read down in `record`.
    pub(super) fn recording(mut self, record: Record) -> Self {
        self.record = Some(record);
        self
    }
}

fn version(value: &[u8]) -> String {
    let mut digest = sha256(value);
    digest.truncate(16);
    digest
}

impl Reads for Trace {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Bytes>>, ReadError> {
        self.keys += keys.len();
        if self.keys > KEYS_PER_DECISION {
            return Err(ReadError::Limit);
        }
        for key in keys {
            self.index.note(key, &self.verdict);
        }
        let values = self
            .store
            .get_many_blocking(keys)
            .map_err(|error| match error {
                // The policy's doing, and no fault of the store.
                StoreError::TooLarge(_) => ReadError::Limit,
                error => ReadError::Store(error.to_string()),
            })?;
        self.bytes += values.iter().flatten().map(Bytes::len).sum::<usize>();
        if self.bytes > BYTES_PER_DECISION {
            return Err(ReadError::Limit);
        }
        if let Some(record) = &self.record {
            let reads = keys.iter().zip(&values).map(|(key, value)| KeyRead {
                key: key.clone(),
                version: value.as_deref().map(version),
            });
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            record.extend(reads);
        }
        Ok(values)
    }

    fn time(&self) -> u64 {
        self.time
    }

    fn note_time(&mut self) {
        self.verdict.saw_time();
    }

    fn payload(&mut self) -> Arc<str> {
        self.verdict.saw_payload();
        self.occasion.payload.clone().unwrap_or_default()
    }

    fn attribute(&mut self, attribute: Attribute<'_>) -> Option<String> {
        self.verdict.saw_connection();
        self.occasion.connection.as_ref()?.attribute(attribute)
    }
}
