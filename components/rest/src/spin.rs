//! The handlers' host under Spin's interfaces.
//!
//! The store is reached through `wasi:keyvalue` alone: it has every operation that
//! the data model needs, its calls are plain ones that cost no task, and one open
//! bucket serves all requests of an instance. `get-many`, compare-and-swap and the
//! listing of keys are never called; not every backend does them correctly.

use crate::{Answer, BODY_LIMIT, Body, Host, Method, Outcome, Query, Refusal, Request};
pub use spin_sdk;
use spin_sdk::experimental::wasi::keyvalue::store::{self, Bucket};
use spin_sdk::experimental::wasi::keyvalue::{atomics, batch};
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::random::random::get_random_bytes;
use spin_sdk::wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult};
use spin_sdk::wasip3::{spawn, wit_future};
use sschat_domain::{Error, Read, Write};
use std::cell::OnceCell;
use std::time::SystemTime;
pub use types::{ErrorCode, Response};

/// How much of a body that is read as a whole is read at once.
const READ_SIZE: usize = 4 << 10;

/// The refusal of a body larger than [`BODY_LIMIT`].
const TOO_LARGE: Refusal = Refusal::TooLarge("the body is larger than 64 KiB");

/// How much of a body is read at once where the handler wants it part by part.
const PART_SIZE: usize = 64 << 10;

/// The host of a component under Spin.
#[derive(Debug, Clone, Copy)]
pub struct Spin;

/// The key-value store `default`.
#[derive(Debug)]
pub struct Store(Bucket);

/// Reads the request, has it handled and makes the answer.
pub async fn serve<F>(request: types::Request, handle: F) -> types::Response
where
    F: AsyncFnOnce(Request) -> Outcome,
{
    let outcome = match head(&request) {
        Ok(head) => match read(request, head).await {
            Ok(request) => handle(request).await,
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    answer(outcome)
}

/// As [`serve`], for a handler that reads the body itself.
pub async fn serve_streaming<F>(request: types::Request, handle: F) -> types::Response
where
    F: AsyncFnOnce(Request, Incoming) -> Outcome,
{
    let outcome = match head(&request) {
        Ok(head) => {
            let body = Incoming::of(request, &head);
            handle(head, body).await
        }
        Err(refusal) => Err(refusal),
    };
    answer(outcome)
}

fn answer(outcome: Outcome) -> types::Response {
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

    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
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

/// The request without its body.
fn head(request: &types::Request) -> Result<Request, Refusal> {
    let method = match request.get_method() {
        types::Method::Get | types::Method::Head => Method::Get,
        types::Method::Post => Method::Post,
        types::Method::Put => Method::Put,
        types::Method::Delete => Method::Delete,
        _ => Method::Other,
    };
    let target = request.get_path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // By name: a request carries many headers that are of no interest.
    let fields = request.get_headers();
    let length = header(&fields, "content-length")?;
    Ok(Request {
        method,
        path: path.to_owned(),
        query: Query::parse(query)?,
        authorization: header(&fields, "authorization")?,
        api_key: header(&fields, "x-api-key")?,
        admin_token: header(&fields, "x-admin-token")?,
        length: length.and_then(|text| text.parse().ok()),
        body: Vec::new(),
    })
}

/// Whether the request is one that has a body.
fn has_body(head: &Request) -> bool {
    matches!(head.method, Method::Post | Method::Put) && head.length != Some(0)
}

async fn read(request: types::Request, mut head: Request) -> Result<Request, Refusal> {
    if head.length.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(TOO_LARGE);
    }
    if has_body(&head) {
        head.body = read_body(request).await?;
    }
    Ok(head)
}

/// A body that comes in part by part.
pub struct Incoming {
    /// `None` once it has ended.
    reading: Option<Reading>,
    /// How many bytes are still to come, where the request says so.
    left: Option<u64>,
}

struct Reading {
    stream: StreamReader<u8>,
    /// Says at the end whether the body was received whole.
    end: FutureReader<Result<Option<types::Trailers>, ErrorCode>>,
    /// Held for as long as the body is read.
    _result: FutureWriter<Result<(), ErrorCode>>,
}

impl Incoming {
    fn of(request: types::Request, head: &Request) -> Self {
        let reading = has_body(head).then(|| {
            let (result, reader) = wit_future::new(|| Ok(()));
            let (stream, end) = types::Request::consume_body(request, reader);
            Reading {
                stream,
                end,
                _result: result,
            }
        });
        Self {
            reading,
            left: head.length,
        }
    }
}

impl Body for Incoming {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        const BROKEN_OFF: Refusal = Refusal::BadRequest {
            code: "incomplete_body",
            msg: "the body broke off",
        };
        let Some(mut reading) = self.reading.take() else {
            return Ok(None);
        };
        loop {
            let (result, part) = reading.stream.read(Vec::with_capacity(PART_SIZE)).await;
            if !part.is_empty() {
                let length = part.len() as u64;
                let left = self.left.map(|left| left.checked_sub(length));
                self.left = left.map(|left| left.ok_or(BROKEN_OFF)).transpose()?;
                self.reading = Some(reading);
                return Ok(Some(part));
            }
            if !matches!(result, StreamResult::Complete(_)) {
                break;
            }
        }
        let whole = reading.end.await.is_ok() && self.left.is_none_or(|left| left == 0);
        if whole { Ok(None) } else { Err(BROKEN_OFF) }
    }
}

/// A header that may be given once.
fn header(fields: &types::Fields, name: &str) -> Result<Option<String>, Refusal> {
    let refusal = Refusal::BadRequest {
        code: "bad_header",
        msg: "a header is given more than once or is not UTF-8",
    };
    let mut values = fields.get(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => String::from_utf8(value).map(Some).map_err(|_| refusal),
        _ => Err(refusal),
    }
}

/// Reads a body of at most [`BODY_LIMIT`] bytes; what lies beyond is not read.
async fn read_body(request: types::Request) -> Result<Vec<u8>, Refusal> {
    let (_read, reader) = wit_future::new(|| Ok(()));
    let (mut stream, _trailers) = types::Request::consume_body(request, reader);
    let mut bytes = Vec::new();
    loop {
        let (result, more) = stream.read(Vec::with_capacity(READ_SIZE)).await;
        if bytes.len() + more.len() > BODY_LIMIT {
            return Err(TOO_LARGE);
        }
        bytes.extend_from_slice(&more);
        if !matches!(result, StreamResult::Complete(_)) {
            return Ok(bytes);
        }
    }
}

/// Makes the answer. Its body is written once the caller has returned the head.
fn respond(answer: Answer) -> types::Response {
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut headers = vec![
        header("content-type", "application/json"),
        header("cache-control", "no-store"),
        header("content-length", &answer.body.len().to_string()),
    ];
    headers.extend(answer.header.map(|(name, value)| header(name, value)));
    // Only malformed or forbidden headers are refused, and these are neither.
    let headers = types::Fields::from_list(&headers).unwrap_or_else(|_| types::Fields::new());
    let (mut writer, body, result) = BodyWriter::new();
    let (response, _sent) = types::Response::new(headers, Some(body), result);
    // Every status of ours is one that HTTP has; a new response says 200.
    let _ = response.set_status_code(answer.status);
    spawn(async move {
        // Whoever no longer reads does not want the rest.
        let _unread = writer.stream_writer.write_all(answer.body).await;
        drop(writer.stream_writer);
        let _ = writer.result_writer.write(Ok(None)).await;
    });
    response
}
