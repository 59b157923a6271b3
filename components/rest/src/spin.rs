//! The handlers' host under Spin's interfaces.
//!
//! The store is reached through `wasi:keyvalue` alone: it has every operation that
//! the data model needs, its calls are plain ones that cost no task, and one open
//! bucket serves all requests of an instance. `get-many`, compare-and-swap and the
//! listing of keys are never called; not every backend does them correctly.

use crate::{Answer, BODY_LIMIT, Host, Method, Outcome, Query, Refusal, Request};
use spin_sdk::experimental::wasi::keyvalue::store::{self, Bucket};
use spin_sdk::experimental::wasi::keyvalue::{atomics, batch};
use spin_sdk::http::{HeaderMap, HeaderValue, StatusCode};
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use spin_sdk::wasip3::random::random::get_random_bytes;
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::wit_future;
use sschat_domain::{Error, Read, Write};
use std::cell::OnceCell;

/// How much of a body is read at once.
const READ_SIZE: usize = 4 << 10;

/// What an HTTP component returns.
pub type HttpAnswer = (StatusCode, HeaderMap, String);

/// The host of a component under Spin.
#[derive(Debug, Clone, Copy)]
pub struct Spin;

/// The key-value store `default`.
#[derive(Debug)]
pub struct Store(Bucket);

/// Reads the request, has it handled and makes the answer.
pub async fn serve<F>(request: spin_sdk::http::Request, handle: F) -> HttpAnswer
where
    F: AsyncFnOnce(Request) -> Outcome,
{
    let outcome = match read(request).await {
        Ok(request) => handle(request).await,
        Err(refusal) => Err(refusal),
    };
    let answer = outcome.unwrap_or_else(|refusal| {
        if let Refusal::Store(error) = &refusal {
            // Keys of the store carry ids and digests, never an API key.
            eprintln!("{error}");
        }
        refusal.answer()
    });
    respond(answer)
}

impl Host for Spin {
    type Store = Store;

    fn store(&self) -> Result<&Store, Error> {
        thread_local! {
            static STORE: OnceCell<&'static Store> = const { OnceCell::new() };
        }
        STORE.with(|cell| {
            if let Some(store) = cell.get() {
                return Ok(*store);
            }
            let bucket = store::open("default").map_err(failed)?;
            // One bucket for the life of the instance.
            Ok(*cell.get_or_init(|| Box::leak(Box::new(Store(bucket)))))
        })
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            // WASI may return fewer bytes than were asked for.
            let more = get_random_bytes((N - filled) as u64);
            let taken = more.len().min(N - filled);
            bytes[filled..filled + taken].copy_from_slice(&more[..taken]);
            filled += taken;
        }
        bytes
    }

    async fn variable(&self, name: &str) -> Result<String, Refusal> {
        let value = spin_sdk::variables::get(name).await;
        value.map_err(|_| Refusal::Misconfigured("a variable of the manifest is not set"))
    }
}

impl Read for Store {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key).map_err(failed)
    }

    async fn exists(&self, key: &str) -> Result<bool, Error> {
        self.0.exists(key).map_err(failed)
    }
}

impl Write for Store {
    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Error> {
        self.0.set(key, &value).map_err(failed)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.delete(key).map_err(failed)
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        batch::set_many(&self.0, &entries).map_err(failed)
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        batch::delete_many(&self.0, &keys).map_err(failed)
    }

    async fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        atomics::increment(&self.0, key, delta).map_err(failed)
    }
}

fn failed(error: store::Error) -> Error {
    Error::Store(match error {
        store::Error::NoSuchStore => "there is no store named default".to_owned(),
        store::Error::AccessDenied => "the component may not use the store default".to_owned(),
        store::Error::Other(text) => text,
    })
}

async fn read(request: spin_sdk::http::Request) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let method = Method::parse(parts.method.as_str());
    let length = text_of(&parts.headers, "content-length")?;
    let length = length.and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(Refusal::TooLarge);
    }
    let expected = matches!(method, Method::Post | Method::Put) && length != Some(0);
    let body = if expected {
        read_body(body).await?
    } else {
        Vec::new()
    };
    Ok(Request {
        method,
        path: parts.uri.path().to_owned(),
        query: Query::parse(parts.uri.query().unwrap_or_default())?,
        authorization: text_of(&parts.headers, "authorization")?,
        api_key: text_of(&parts.headers, "x-api-key")?,
        admin_token: text_of(&parts.headers, "x-admin-token")?,
        body,
    })
}

/// The text of a header that may be given once.
fn text_of(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.to_owned()))
        .ok_or(Refusal::BadRequest {
            code: "bad_header",
            msg: "a header is given more than once or is not ASCII text",
        })
}

/// Reads a body of at most [`BODY_LIMIT`] bytes; what lies beyond is not read.
async fn read_body(mut body: IncomingRequestBody) -> Result<Vec<u8>, Refusal> {
    let Some(request) = body.take_unstarted() else {
        return Ok(Vec::new());
    };
    let (_read, reader) = wit_future::new(|| Ok(()));
    let (mut stream, _trailers) = types::Request::consume_body(request, reader);
    let mut bytes = Vec::new();
    loop {
        let (result, more) = stream.read(Vec::with_capacity(READ_SIZE)).await;
        if bytes.len() + more.len() > BODY_LIMIT {
            return Err(Refusal::TooLarge);
        }
        bytes.extend_from_slice(&more);
        if !matches!(result, StreamResult::Complete(_)) {
            return Ok(bytes);
        }
    }
}

fn respond(answer: Answer) -> HttpAnswer {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    headers.insert("content-length", HeaderValue::from(answer.body.len()));
    if let Some((name, value)) = answer.header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let body = String::from_utf8(answer.body).unwrap_or_default();
    (status, headers, body)
}
