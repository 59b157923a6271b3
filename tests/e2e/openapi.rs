//! `/openapi.json` is true: it is well-formed, complete, and real answers match it.

mod calls;
mod streams;

use calls::{check_events, check_policies, check_rooms, check_tokens};
use serde_json::Value;
use sschat_tests::schema::faults;
use sschat_tests::{Answer, App, Host, Options, Rest};
use std::collections::BTreeSet;
use streams::check_streams;

async fn document(host: &Host) -> Value {
    let answer = Rest::new(host.address())
        .get("/openapi.json")
        .await
        .expect(200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("application/json")
    );
    answer.json()
}

/// Follows a reference within the document.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference}")),
        None => value,
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "parameters" {
                all.push((path.clone(), method.clone(), operation));
            }
        }
    }
    all
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(reference) = object.get("$ref") {
                found.insert(reference.as_str().unwrap().to_owned());
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_well_formed() {
    let host = Host::plain().await;
    let document = document(&host).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    for reference in &used {
        assert!(
            document
                .pointer(reference.strip_prefix('#').unwrap())
                .is_some(),
            "{reference} leads nowhere"
        );
    }
    for kind in ["schemas", "responses", "parameters"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(
                used.contains(&format!("#/components/{kind}/{name}")),
                "{kind}/{name} is never used"
            );
        }
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} {path}: no operationId"));
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(operation["summary"].is_string(), "{id}");
        let declared: BTreeSet<String> = [
            &operation["parameters"],
            &document["paths"][&path]["parameters"],
        ]
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .map(|parameter| resolve(&document, parameter))
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect();
        let named: BTreeSet<String> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect();
        assert_eq!(declared, named, "{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                resolve(&document, response)["description"].is_string(),
                "{id} {status}"
            );
        }
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(
                    document["components"]["securitySchemes"][scheme].is_object(),
                    "{scheme}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_route_is_in_it() {
    let host = Host::plain().await;
    let document = document(&host).await;
    let rows = [
        ("post", "/api/register"),
        ("get", "/api/register/{api_key}"),
        ("delete", "/api/register/{api_key}"),
        ("post", "/api/register/{api_key}/secret"),
        ("delete", "/api/register/{api_key}/secret"),
        ("get", "/api/register/{api_key}/tokens"),
        ("put", "/api/register/{api_key}/tokens"),
        ("post", "/api/register/-/sweep"),
        ("get", "/api/room"),
        ("post", "/api/room"),
        ("get", "/api/room/{room_id}"),
        ("delete", "/api/room/{room_id}"),
        ("put", "/api/room/{room_id}/{user_id}/{action}"),
        ("post", "/api/room/{room_id}/message"),
        ("get", "/api/room/{room_id}/history"),
        ("post", "/api/publish"),
        ("post", "/api/broadcast"),
        ("post", "/api/subscribe"),
        ("post", "/api/unsubscribe"),
        ("post", "/api/disconnect"),
        ("post", "/api/refresh"),
        ("post", "/api/presence"),
        ("post", "/api/presence_stats"),
        ("post", "/api/history"),
        ("post", "/api/history_remove"),
        ("post", "/api/channels"),
        ("post", "/api/info"),
        ("post", "/api/batch"),
        ("get", "/api/user"),
        ("post", "/api/user"),
        ("get", "/api/user/{user_id}"),
        ("delete", "/api/user/{user_id}"),
        ("get", "/api/policy"),
        ("put", "/api/policy"),
        ("delete", "/api/policy"),
        ("delete", "/api/policy/candidate"),
        ("post", "/api/policy/promote"),
        ("get", "/api/policy/config"),
        ("put", "/api/policy/config"),
        ("delete", "/api/policy/config"),
        ("get", "/api/explain"),
        ("post", "/connection/http_stream"),
        ("get", "/connection/sse"),
        ("post", "/connection/sse"),
        ("post", "/emulation"),
        ("get", "/api/webhook"),
        ("put", "/api/webhook"),
        ("delete", "/api/webhook"),
        ("post", "/api/webhook/secret"),
        ("delete", "/api/webhook/secret"),
        ("get", "/api/events"),
        ("get", "/healthz"),
        ("get", "/readyz"),
    ];
    let listed: BTreeSet<(String, String)> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (method, path))
        .collect();
    let table: BTreeSet<(String, String)> = rows
        .iter()
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(listed, table);
}

/// Holds answers against the document and remembers which responses were seen.
struct Judge {
    document: Value,
    seen: BTreeSet<(String, u16)>,
}

impl Judge {
    fn check(&mut self, operation_id: &str, answer: &Answer) {
        let found = operations(&self.document)
            .into_iter()
            .find(|(_, _, operation)| operation["operationId"] == operation_id);
        let (_, _, operation) = found.unwrap_or_else(|| panic!("no operation {operation_id}"));
        let response = &operation["responses"][answer.status.to_string()];
        assert!(
            response.is_object(),
            "{operation_id}: {} is not documented: {}",
            answer.status,
            answer.text()
        );
        let response = resolve(&self.document, response);
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{operation_id}: {}", answer.text());
            self.seen.insert((operation_id.to_owned(), answer.status));
            return;
        };
        let kind = answer
            .header("content-type")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        let media = content.get(kind).unwrap_or_else(|| {
            panic!("{operation_id} {}: {kind} is not documented", answer.status)
        });
        let body = if kind == "application/json" {
            answer.json()
        } else {
            answer.text().into()
        };
        let faults = faults(&self.document, &media["schema"], &body);
        assert!(
            faults.is_empty(),
            "{operation_id} {}: {faults:#?}\n{body}",
            answer.status
        );
        for header in response["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            assert!(
                answer.header(&header.to_lowercase()).is_some(),
                "{operation_id} {}: no {header}",
                answer.status
            );
        }
        self.seen.insert((operation_id.to_owned(), answer.status));
    }
}

#[tokio::test]
async fn real_answers_match_it() {
    let host = Host::plain().await;
    let mut judge = Judge {
        document: document(&host).await,
        seen: BTreeSet::new(),
    };
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let (no_room, no_user) = (
        "room_00000000000040008000000000000000",
        "user_00000000000040008000000000000000",
    );
    let key_path = format!("/api/register/{}", app.key);
    let (room_path, user_path) = (format!("/api/room/{room}"), format!("/api/user/{user}"));
    let member = format!("{room_path}/{user}");
    let calls = [
        ("register", "POST", "/api/register".to_owned()),
        ("showKey", "GET", key_path.clone()),
        (
            "showKey",
            "GET",
            "/api/register/apikey_00000000000040008000000000000000".into(),
        ),
        ("listRooms", "GET", "/api/room".into()),
        ("listRooms", "GET", "/api/room?limit=0".into()),
        ("createRoom", "POST", "/api/room".into()),
        ("showRoom", "GET", room_path.clone()),
        ("showRoom", "GET", format!("/api/room/{no_room}")),
        ("showRoom", "GET", format!("{room_path}?limit=x")),
        ("changeMembership", "PUT", format!("{member}/add")),
        ("changeMembership", "PUT", format!("{member}/remove")),
        ("changeMembership", "PUT", format!("{member}/promote")),
        (
            "changeMembership",
            "PUT",
            format!("{room_path}/{no_user}/add"),
        ),
        ("listUsers", "GET", "/api/user".into()),
        ("createUser", "POST", "/api/user".into()),
        ("showUser", "GET", user_path.clone()),
        ("showUser", "GET", format!("/api/user/{no_user}")),
        ("register", "PUT", "/api/register".into()),
        ("createRoom", "PUT", "/api/room".into()),
        ("createUser", "PATCH", "/api/user".into()),
        ("deleteUser", "DELETE", user_path.clone()),
        ("deleteUser", "DELETE", user_path.clone()),
        ("deleteRoom", "DELETE", room_path.clone()),
        ("deleteRoom", "DELETE", room_path.clone()),
    ];
    for (id, method, path) in calls {
        judge.check(id, &app.call(method, &path).await);
    }
    for (id, method, path) in [
        ("listRooms", "GET", "/api/room"),
        ("createRoom", "POST", "/api/room"),
        ("listUsers", "GET", "/api/user"),
        ("createUser", "POST", "/api/user"),
        ("health", "GET", "/healthz"),
        ("readiness", "GET", "/readyz"),
        ("sweep", "POST", "/api/register/-/sweep"),
    ] {
        judge.check(id, &app.rest.call(method, path).await);
    }
    let full = app
        .rest
        .send(
            "POST",
            "/api/register",
            &[("content-type", "application/json")],
            r#"{"label":"x","require_token":true}"#,
        )
        .await;
    judge.check("register", &full);
    let headers = [("content-type", "application/json")];
    judge.check(
        "register",
        &app.rest.send("POST", "/api/register", &headers, "[").await,
    );
    let labelled = full.json()["api_key"].as_str().unwrap().to_owned();
    judge.check(
        "showKey",
        &app.rest.get(&format!("/api/register/{labelled}")).await,
    );
    check_tokens(&mut judge, &app).await;
    check_policies(&mut judge, &app).await;
    check_rooms(&mut judge, &app).await;
    check_streams(&mut judge, &app, &host).await;
    check_events(&mut judge, &app).await;
    judge.check("deleteKey", &app.rest.call("DELETE", &key_path).await);
    judge.check("deleteKey", &app.rest.call("DELETE", &key_path).await);

    // Every operation was seen to succeed.
    for (path, method, operation) in operations(&judge.document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(
            judge
                .seen
                .iter()
                .any(|(seen, status)| seen == id && *status < 300),
            "{method} {path} was never called with success"
        );
    }

    let closed = Host::start(Options::new().env("SPIN_VARIABLE_REGISTRATION", "closed")).await;
    judge.check(
        "register",
        &Rest::new(closed.address())
            .call("POST", "/api/register")
            .await,
    );
}
