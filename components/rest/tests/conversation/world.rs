//! The handlers over a store in memory.

use serde_json::{Value, json};
use sschat_domain::Error;
use sschat_domain::memory::{Counters, Memory, block_on};
use sschat_rest::{Body, Host, Method, Outcome, Query, Refusal, Request};
use std::cell::Cell;
use std::collections::BTreeMap;

/// A host whose store is in memory and whose randomness is a counter.
pub(crate) struct World {
    pub store: Memory,
    pub drawn: Cell<u64>,
    pub now: Cell<u64>,
    pub variables: BTreeMap<&'static str, &'static str>,
}

impl Host for World {
    type Store = Memory;

    fn store(&self) -> Result<&Memory, Error> {
        Ok(&self.store)
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        self.drawn.set(self.drawn.get() + 1);
        let drawn = self.drawn.get().to_be_bytes();
        std::array::from_fn(|at| drawn[at % 8] ^ (at as u8).wrapping_mul(37))
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    async fn variable(&self, name: &str) -> Result<String, Refusal> {
        let value = self.variables.get(name).map(|value| (*value).to_owned());
        value.ok_or(Refusal::Misconfigured("not set"))
    }
}

/// A body that comes in uneven parts.
struct Parts<'a>(&'a [u8]);

impl Body for Parts<'_> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (part, rest) = self.0.split_at(self.0.len().div_ceil(3).min(100_000));
        self.0 = rest;
        Ok(Some(part.to_vec()))
    }
}

/// An answer, and how many operations of the store it took.
pub(crate) struct Answer {
    pub status: u16,
    pub header: Option<(&'static str, &'static str)>,
    pub body: Value,
    pub operations: u64,
    pub writes: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            store: Memory::new(Counters::Text),
            drawn: Cell::new(0),
            now: Cell::new(1_800_000_000),
            variables: BTreeMap::from([("registration", "open"), ("admin_token", "")]),
        }
    }

    pub(crate) fn call(&self, method: &str, target: &str) -> Answer {
        self.send(method, target, &[], "")
    }

    pub(crate) fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref().to_vec();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name: &str| {
            let found = headers.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (operations, writes) = (self.store.operations(), self.store.writes());
        let outcome = Query::parse(query).and_then(|query| {
            let request = Request {
                method: Method::parse(method),
                path: path.to_owned(),
                query,
                authorization: header("authorization"),
                api_key: header("x-api-key"),
                admin_token: header("x-admin-token"),
                length: None,
                body,
            };
            self.route(&request)
        });
        let answer = outcome.unwrap_or_else(|refusal| refusal.answer());
        Answer {
            status: answer.status,
            header: answer.header,
            body: serde_json::from_slice(&answer.body).unwrap(),
            operations: self.store.operations() - operations,
            writes: self.store.writes() - writes,
        }
    }

    fn route(&self, request: &Request) -> Outcome {
        let path = &request.path;
        if path.starts_with("/api/register")
            || path.starts_with("/api/token")
            || path.starts_with("/api/settings")
        {
            block_on(sschat_register::handle(self, request))
        } else if path.starts_with("/api/room") {
            block_on(sschat_room::handle(self, request))
        } else if path.starts_with("/api/policy") {
            let body = Parts(request.body.as_slice());
            block_on(sschat_policy::handle(self, request, body))
        } else {
            block_on(sschat_user::handle(self, request))
        }
    }

    pub(crate) fn register(&self) -> Value {
        self.call("POST", "/api/register").expect(201)
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(
            (&body["status"], &body["code"]),
            (&json!("error"), &json!(code))
        );
        assert!(
            body["msg"].is_string() && body.as_object().unwrap().len() == 3,
            "{body}"
        );
        body
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A key, a room and a user.
pub(crate) fn furnished(world: &World) -> (String, String, String) {
    let key = text(&world.register()["api_key"]).to_owned();
    let room = world
        .call("POST", &format!("/api/room?apikey={key}"))
        .expect(201);
    let user = world
        .call("POST", &format!("/api/user?apikey={key}"))
        .expect(201);
    let (room, user) = (text(&room["room_id"]), text(&user["user_id"]));
    (key, room.to_owned(), user.to_owned())
}
