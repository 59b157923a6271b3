//! Secrets, and what a key's owner wants of user tokens.

use super::world::{World, furnished, text};
use serde_json::{Value, json};

const PEM: &str = include_str!("../../../../tests/keys/p256.pem");

fn key_of(world: &World) -> String {
    text(&world.register()["api_key"]).to_owned()
}

#[test]
fn a_secret_is_rotated_and_the_old_one_taken_back() {
    let world = World::new();
    let made = world.register();
    let key = text(&made["api_key"]).to_owned();
    let path = format!("/api/register/{key}/secret");
    let none = world.call("DELETE", &path).expect(200);
    assert_eq!(none, json!({"status": "ok", "retired": false}));
    let fresh = world.call("POST", &path).expect(201);
    assert_eq!(
        (text(&fresh["secret"]).len(), &fresh["valid"]),
        (64, &json!(2))
    );
    assert_ne!(fresh["secret"], made["secret"]);
    let shown = world
        .call("GET", &format!("/api/register/{key}/tokens"))
        .expect(200);
    assert_eq!(shown["secrets"], 2);
    assert!(!shown.to_string().contains(text(&fresh["secret"])));
    assert_eq!(world.call("DELETE", &path).expect(200)["retired"], true);
    let again = world.call("POST", &path).expect(201);
    assert_eq!(again["valid"], 2);
    world.call("PUT", &path).refused(405, "method_not_allowed");
    for method in ["POST", "DELETE"] {
        let other = format!("/api/register/apikey_{:032x}/secret", 5);
        assert_eq!(
            world.call(method, &other).expect(404)["status"],
            "not_found"
        );
    }
}

#[test]
fn a_secret_can_be_brought() {
    let mut world = World::new();
    let bring = |world: &World, path: &str, secret: &str| {
        let body = json!({ "secret": secret }).to_string();
        world.send("POST", path, &[], &body)
    };
    let long = "a secret that others know already".to_owned();
    let made = bring(&world, "/api/register", &long).expect(201);
    assert_eq!(made["secret"], long);
    let path = format!("/api/register/{}/secret", text(&made["api_key"]));
    for path in ["/api/register", &path] {
        bring(&world, path, "short").refused(400, "bad_secret");
        bring(&world, path, &"s".repeat(257)).refused(400, "bad_secret");
        bring(&world, path, &format!("{long}\n")).refused(400, "bad_secret");
        for wrong in ["[\"x\"]", "{\"secret\":1}", "{\"secrets\":\"x\"}", "x"] {
            let answer = world.send("POST", path, &[], wrong);
            answer.refused(400, "bad_body");
        }
    }
    let fresh = bring(&world, &path, &"s".repeat(256)).expect(201);
    assert_eq!(
        (text(&fresh["secret"]).len(), &fresh["valid"]),
        (256, &json!(2))
    );
    world.variables.insert("short_secrets", "true");
    let made = bring(&world, "/api/register", "short").expect(201);
    assert_eq!(made["secret"], "short");
    bring(&world, "/api/register", "").refused(400, "bad_secret");
}

#[test]
fn what_is_wanted_of_tokens_is_kept_whole_or_refused() {
    let world = World::new();
    let key = key_of(&world);
    let path = format!("/api/register/{key}/tokens");
    let put = |body: &Value| world.send("PUT", &path, &[], body.to_string());
    let wanted = json!({"algorithms": ["ES256", "HS512"], "keys": [PEM, {"pem": PEM, "kid": "k"}],
        "jwks_url": "https://keys.example/set", "issuer": "us", "audience": "chat"});
    let kept = put(&wanted).expect(200);
    let shown = world.call("GET", &path).expect(200);
    assert_eq!(kept, shown);
    assert_eq!(
        (&shown["algorithms"], &shown["issuer"]),
        (&wanted["algorithms"], &json!("us"))
    );
    let [plain, named] = [&shown["keys"][0], &shown["keys"][1]];
    assert_eq!(
        (&plain["kty"], &plain["x"], &named["kid"]),
        (&json!("EC"), &named["x"], &json!("k"))
    );
    // As a JWK it is the same key.
    assert_eq!(
        put(&json!({"keys": [plain]})).expect(200)["keys"],
        json!([plain])
    );
    let before = world.call("GET", &path).expect(200);
    let many = vec![PEM; 17];
    for (bad, code) in [
        (json!([]), "bad_tokens"),
        (json!({"algorithms": ["none"]}), "bad_tokens"),
        (json!({"algorithms": ["RS512"]}), "bad_tokens"),
        (json!({"key": []}), "bad_tokens"),
        (json!({"issuer": ""}), "bad_tokens"),
        (json!({"audience": "x".repeat(513)}), "bad_tokens"),
        (json!({"keys": many}), "too_many_keys"),
        (json!({"keys": ["-----BEGIN PUBLIC KEY-----"]}), "bad_key"),
        (json!({"keys": [{"kty": "oct", "k": "AAAA"}]}), "bad_key"),
        (
            json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}),
            "bad_key",
        ),
        (json!({"jwks_url": "ftp://keys.example/"}), "bad_jwks_url"),
        (json!({"jwks_url": "https://"}), "bad_jwks_url"),
        (
            json!({"jwks_url": "https://me:secret@keys.example/"}),
            "bad_jwks_url",
        ),
    ] {
        put(&bad).refused(400, code);
    }
    assert_eq!(world.call("GET", &path).expect(200), before);
    assert_eq!(put(&json!({})).expect(200)["keys"], json!([]));
}

#[test]
fn a_registration_says_what_it_wants_of_tokens() {
    let world = World::new();
    let send = |body: Value| world.send("POST", "/api/register", &[], body.to_string());
    let made = send(json!({"require_token": true, "tokens": {"keys": [PEM]}})).expect(201);
    let path = format!("/api/register/{}/tokens", text(&made["api_key"]));
    let shown = world.call("GET", &path).expect(200);
    assert_eq!(shown["keys"][0]["kty"], "EC");
    send(json!({"tokens": {"keys": ["x"]}})).refused(400, "bad_key");
    send(json!({"tokens": []})).refused(400, "bad_body");
}

#[test]
fn tokens_are_revoked_by_id_by_user_and_by_time() {
    let world = World::new();
    let (key, _, user) = furnished(&world);
    let now = world.now.get();
    let token = format!("/api/token/a%2Fb+c/revoke?apikey={key}");
    assert_eq!(world.call("GET", &token).expect(200)["revoked"], false);
    let made = world
        .send(
            "POST",
            &token,
            &[],
            format!(r#"{{"expires_at":{}}}"#, now + 60),
        )
        .expect(200);
    let shown = json!({"status": "ok", "jti": "a/b+c", "revoked": true, "expires_at": now + 60});
    assert_eq!(
        (&made, world.call("GET", &token).expect(200)),
        (&shown, shown.clone())
    );
    assert_eq!(world.call("DELETE", &token).expect(200)["revoked"], false);
    assert_eq!(world.call("GET", &token).expect(200)["revoked"], false);
    for path in [
        format!("/api/user/{user}/revoke?apikey={key}"),
        format!("/api/token/revoke?apikey={key}"),
    ] {
        let read = || world.call("GET", &path).expect(200)["issued_before"].clone();
        let send = |body: &str| world.send("POST", &path, &[], body);
        assert_eq!(read(), Value::Null);
        assert_eq!(send("").expect(200)["issued_before"], now + 1);
        send(r#"{"issued_before":1700000000}"#).expect(200);
        assert_eq!(read(), 1_700_000_000);
        send(&format!(r#"{{"issued_before":{}}}"#, now + 61)).refused(400, "bad_time");
        for bad in ["[1]", r#"{"issued_before":-1}"#, r#"{"before":1}"#, "{"] {
            send(bad).refused(400, "bad_body");
        }
        world.call("DELETE", &path).expect(200);
        assert_eq!(read(), Value::Null);
        world.call("PUT", &path).refused(405, "method_not_allowed");
    }
    for nobody in [&format!("user_{:032x}", 9)[..], "ann"] {
        let path = format!("/api/user/{nobody}/revoke?apikey={key}");
        world.call("POST", &path).refused(404, "not_found");
    }
    world
        .call("PUT", &format!("/api/policy?rule=open&apikey={key}"))
        .expect(200);
    world
        .call("POST", &format!("/api/user/ann/revoke?apikey={key}"))
        .expect(200);
    world
        .call("POST", &format!("/api/user/a%2Fb/revoke?apikey={key}"))
        .refused(404, "not_found");
    for (path, status, code) in [
        (format!("/api/token//revoke?apikey={key}"), 400, "bad_jti"),
        (
            format!("/api/token/%ff/revoke?apikey={key}"),
            400,
            "bad_jti",
        ),
        (
            format!("/api/token/{}/revoke?apikey={key}", "x".repeat(257)),
            400,
            "bad_jti",
        ),
        (format!("/api/token/x?apikey={key}"), 404, "not_found"),
        (format!("/api/token?apikey={key}"), 404, "not_found"),
        ("/api/token/x/revoke".to_owned(), 401, "unauthorized"),
    ] {
        world.call("POST", &path).refused(status, code);
    }
    // With the key goes all of it.
    world.call("POST", &token).expect(200);
    world
        .call("DELETE", &format!("/api/register/{key}"))
        .expect(200);
    while world.call("POST", "/api/register/-/sweep").expect(200)["more"] == true {}
    assert!(
        world
            .store
            .keys()
            .iter()
            .all(|key| key.starts_with("index/doomed"))
    );
}
