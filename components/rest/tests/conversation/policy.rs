//! `/api/policy`: what a tenant chooses to be ruled by.

use crate::world::{Answer, World, text};
use serde_json::{Value, json};
use sschat_domain::upload::{CHUNK, COMPONENT_LIMIT};

/// A component as far as these handlers look: its first bytes, and others.
fn component(size: usize, filling: u8) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.resize(size, filling);
    bytes
}

struct Tenant<'w> {
    world: &'w World,
    key: String,
    app: String,
}

impl<'w> Tenant<'w> {
    fn new(world: &'w World) -> Self {
        let registered = world.register();
        Self {
            world,
            key: text(&registered["api_key"]).to_owned(),
            app: text(&registered["app_id"]).to_owned(),
        }
    }

    fn send(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let headers = [("x-api-key", self.key.as_str())];
        let target = format!("/api/policy{target}");
        self.world.send(method, &target, &headers, body)
    }

    fn call(&self, method: &str, target: &str) -> Answer {
        self.send(method, target, b"")
    }

    fn shown(&self, rule: &str, active: &Value, candidate: &Value) -> Value {
        json!({
            "status": "ok",
            "app_id": self.app,
            "rule": rule,
            "active": active,
            "candidate": candidate,
        })
    }
}

/// The digest of `component(12, 1)`, by `sha256sum`.
const SMALL: &str = "33c3839a2b20ec7b6d0357a9bcc4a8192b68f7fe51fd1b930cb48f4db54a267f";

#[test]
fn a_policy_comes_and_goes() {
    let world = World::new();
    let tenant = Tenant::new(&world);
    let mut shown = tenant.call("GET", "").expect(200);
    let limits = shown.as_object_mut().unwrap().remove("limits").unwrap();
    let wanted = json!({"component_bytes": 33_554_432, "config_bytes": 65_536});
    assert_eq!(limits, wanted);
    assert_eq!(shown, tenant.shown("members", &Value::Null, &Value::Null));

    let small = json!({"digest": SMALL, "size": 12});
    let put = tenant.send("PUT", "", &component(12, 1)).expect(200);
    assert_eq!(put, tenant.shown("members", &small, &Value::Null));
    for rule in ["open", "members", "open"] {
        let put = tenant.call("PUT", &format!("?rule={rule}")).expect(200);
        assert_eq!(put, tenant.shown(rule, &small, &Value::Null));
    }
    tenant.call("POST", "/promote").refused(409, "no_candidate");
    let large = component(3 * CHUNK + 5, 2);
    let put = tenant.send("PUT", "?mode=shadow", &large).expect(200);
    assert_eq!(put["active"], small);
    assert_eq!(put["candidate"]["size"], large.len());
    let promoted = tenant.call("POST", "/promote").expect(200);
    assert_eq!(
        promoted,
        tenant.shown("open", &put["candidate"], &Value::Null)
    );
    tenant
        .send("PUT", "?mode=shadow", &component(12, 1))
        .expect(200);
    for _ in 0..2 {
        let dropped = tenant.call("DELETE", "/candidate").expect(200);
        assert_eq!(dropped, promoted);
    }
    tenant.send("PUT", "/config", b"{}").expect(200);
    for _ in 0..2 {
        let reset = tenant.call("DELETE", "").expect(200);
        assert_eq!(reset, tenant.shown("members", &Value::Null, &Value::Null));
    }
    tenant.call("GET", "/config").refused(404, "not_found");
    let chunks = |key: &&String| key.contains("/policy/component/");
    assert_eq!(world.store.keys().iter().filter(chunks).count(), 0);
}

#[test]
fn a_configuration_is_json() {
    let world = World::new();
    let tenant = Tenant::new(&world);
    tenant.call("GET", "/config").refused(404, "not_found");
    let largest = format!("\"{}\"", "x".repeat(65_534));
    for config in ["{\"limit\": 3, \"a\": [1e3]}", " null\n", "\"ä\"", &largest] {
        let put = tenant.send("PUT", "/config", config.as_bytes()).expect(200);
        let wanted = json!({"status": "ok", "app_id": tenant.app, "size": config.len()});
        assert_eq!(put, wanted);
        let stored = world.store.peek(&format!("{}/policy/config", tenant.app));
        assert_eq!(
            stored.as_deref(),
            Some(config.as_bytes()),
            "as it was given"
        );
        let shown = tenant.call("GET", "/config").expect(200);
        assert_eq!(shown, serde_json::from_str::<Value>(config).unwrap());
    }
    for wrong in [&b""[..], b"{", b"{} {}", b"{a:1}", b"\"\xff\"", b"'x'"] {
        tenant
            .send("PUT", "/config", wrong)
            .refused(400, "invalid_json");
    }
    let larger = format!("{largest} ");
    tenant
        .send("PUT", "/config", larger.as_bytes())
        .refused(413, "too_large");
    let shown = tenant.call("GET", "/config").expect(200);
    assert_eq!(shown, serde_json::from_str::<Value>(&largest).unwrap());
    for _ in 0..2 {
        let gone = tenant.call("DELETE", "/config").expect(200);
        assert_eq!(
            gone,
            json!({"status": "ok", "app_id": tenant.app, "size": 0})
        );
    }
    tenant.call("GET", "/config").refused(404, "not_found");
}

#[test]
fn what_is_no_policy_changes_nothing() {
    let world = World::new();
    let tenant = Tenant::new(&world);
    let whole = component(12, 1);
    tenant.send("PUT", "", &whole).expect(200);
    let before = world.store.keys();
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    for wrong in [
        &b""[..],
        &whole[..7],
        &core_module,
        &whole[1..],
        b"(component)",
    ] {
        for mode in ["", "?mode=shadow"] {
            tenant
                .send("PUT", mode, wrong)
                .refused(400, "not_a_component");
        }
    }
    for (target, body, code) in [
        ("?rule=closed", &b""[..], "bad_rule"),
        ("?rule=", b"", "bad_rule"),
        ("?rule=open&rule=open", b"", "bad_query"),
        ("?rule=open&mode=shadow", b"", "bad_mode"),
        ("?mode=active", &whole, "bad_mode"),
        ("?rule=open", &whole, "unexpected_body"),
    ] {
        tenant.send("PUT", target, body).refused(400, code);
    }
    assert_eq!(world.store.keys(), before);
    let limit = usize::try_from(COMPONENT_LIMIT).unwrap();
    let put = tenant.send("PUT", "", &component(limit, 3)).expect(200);
    assert_eq!(put["active"]["size"], limit);
    let large = component(limit + 1, 4);
    tenant.send("PUT", "", &large).refused(413, "too_large");
    let shown = tenant.call("GET", "").expect(200);
    assert_eq!(shown["active"], put["active"]);
    assert_eq!(world.store.keys().len(), before.len() + 31);

    for (method, path, allow) in [
        ("POST", "", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/config", "GET, HEAD, PUT, DELETE"),
        ("GET", "/candidate", "DELETE"),
        ("PUT", "/promote", "POST"),
    ] {
        let answer = tenant.call(method, path);
        assert_eq!(answer.header, Some(("allow", allow)), "{method} {path}");
        answer.refused(405, "method_not_allowed");
    }
    for path in ["/active", "/config/x", "y"] {
        tenant.call("GET", path).refused(404, "not_found");
    }
}

#[test]
fn a_policy_is_its_tenants_own() {
    let world = World::new();
    let (one, other) = (Tenant::new(&world), Tenant::new(&world));
    one.send("PUT", "", &component(12, 1)).expect(200);
    one.send("PUT", "/config", b"1").expect(200);
    other.send("PUT", "", &component(9, 1)).expect(200);
    other.call("PUT", "?rule=open").expect(200);
    other.call("DELETE", "").expect(200);
    let shown = one.call("GET", "").expect(200);
    assert_eq!(
        (text(&shown["rule"]), text(&shown["active"]["digest"])),
        ("members", SMALL)
    );
    world
        .call("DELETE", &format!("/api/register/{}", one.key))
        .expect(200);
    for (method, path) in [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("DELETE", "/candidate"),
        ("POST", "/promote"),
        ("GET", "/config"),
        ("PUT", "/config"),
        ("DELETE", "/config"),
    ] {
        one.call(method, path).refused(401, "unauthorized");
        let nobody = world.call(method, &format!("/api/policy{path}"));
        nobody.refused(401, "unauthorized");
    }
    let of_one = |key: &&String| key.starts_with(&one.app);
    assert_eq!(world.store.keys().iter().filter(of_one).count(), 0);
}

#[test]
fn what_changes_of_a_policy_cost() {
    let world = World::new();
    let tenant = Tenant::new(&world);
    let small = component(12, 1);
    for (what, method, target, body, wanted) in [
        ("show", "GET", "", &b""[..], (5, 0)),
        ("choose a rule", "PUT", "?rule=open", b"", (7, 1)),
        ("the first component", "PUT", "", &small, (25, 6)),
        ("another", "PUT", "", &small, (27, 7)),
        ("a candidate", "PUT", "?mode=shadow", &small, (25, 6)),
        ("promote it", "POST", "/promote", b"", (33, 7)),
        ("configure", "PUT", "/config", b"{}", (4, 1)),
        ("show the configuration", "GET", "/config", b"", (3, 0)),
        ("back to the default", "DELETE", "", b"", (18, 4)),
        ("once more", "DELETE", "", b"", (14, 1)),
    ] {
        let answer = tenant.send(method, target, body);
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        assert_eq!((answer.operations, answer.writes), wanted, "{what}");
    }
}
