//! Secrets, and what a key's owner wants of user tokens.

use super::world::{World, text};
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
