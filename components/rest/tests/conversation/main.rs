//! The REST conversation, by the real handlers over the store in memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cost;
mod policy;
mod settings;
mod tokens;
mod world;

use serde_json::json;
use world::{World, furnished, text};

#[test]
fn the_whole_conversation() {
    let world = World::new();
    let registered = world.register();
    let (key, app) = (text(&registered["api_key"]), text(&registered["app_id"]));
    assert!(key.starts_with("apikey_") && app.starts_with("app_"));
    assert_eq!(text(&registered["secret"]).len(), 64);
    let shown = world
        .call("GET", &format!("/api/register/{key}"))
        .expect(200);
    let wanted = json!({"status": "ok", "api_key": key, "app_id": app, "label": null, "require_token": false});
    assert_eq!(shown, wanted);

    let made = world
        .call("POST", &format!("/api/room?apikey={key}"))
        .expect(201);
    let room = text(&made["room_id"]);
    let made = world
        .call("POST", &format!("/api/user?apikey={key}"))
        .expect(201);
    let user = text(&made["user_id"]);
    let list = world
        .call("GET", &format!("/api/room?apikey={key}"))
        .expect(200);
    assert_eq!(
        list,
        json!({"status": "ok", "data": {"rooms": [room], "next": null}})
    );
    let list = world
        .call("GET", &format!("/api/user?apikey={key}"))
        .expect(200);
    assert_eq!(
        list,
        json!({"status": "ok", "data": {"users": [user], "next": null}})
    );

    for (action, members, rooms) in [
        ("add", json!([user]), json!([room])),
        ("remove", json!([]), json!([])),
    ] {
        for _ in 0..2 {
            let changed = world.call(
                "PUT",
                &format!("/api/room/{room}/{user}/{action}?apikey={key}"),
            );
            let wanted = json!({"status": "ok", "action": action, "room": room, "user": user});
            assert_eq!(changed.expect(200), wanted);
        }
        let shown = world
            .call("GET", &format!("/api/room/{room}?apikey={key}"))
            .expect(200);
        let wanted =
            json!({"status": "ok", "data": {"room_id": room, "members": members, "next": null}});
        assert_eq!(shown, wanted);
        let shown = world
            .call("GET", &format!("/api/user/{user}?apikey={key}"))
            .expect(200);
        let wanted =
            json!({"status": "ok", "data": {"user_id": user, "rooms": rooms, "next": null}});
        assert_eq!(shown, wanted);
    }

    let gone = world
        .call("DELETE", &format!("/api/user/{user}?apikey={key}"))
        .expect(200);
    assert_eq!(gone, json!({"status": "ok", "deleted_user": user}));
    let gone = world
        .call("DELETE", &format!("/api/room/{room}?apikey={key}"))
        .expect(200);
    assert_eq!(gone, json!({"status": "ok", "deleted_room": room}));
    for path in [format!("/api/user/{user}"), format!("/api/room/{room}")] {
        for method in ["GET", "DELETE"] {
            world
                .call(method, &format!("{path}?apikey={key}"))
                .refused(404, "not_found");
        }
    }
    let gone = world
        .call("DELETE", &format!("/api/register/{key}"))
        .expect(200);
    assert_eq!(gone, json!({"status": "ok", "deleted_api_key": key}));
    for method in ["GET", "DELETE"] {
        let missing = world
            .call(method, &format!("/api/register/{key}"))
            .expect(404);
        assert_eq!(
            (&missing["status"], &missing["code"]),
            (&json!("not_found"), &json!("not_found"))
        );
    }
    world
        .call("GET", &format!("/api/room?apikey={key}"))
        .refused(401, "unauthorized");
}

#[test]
fn what_is_not_understood_is_refused_and_changes_nothing() {
    let world = World::new();
    let (key, room, user) = furnished(&world);
    let keys = world.store.keys();
    let key_path = format!("/api/register/{key}");
    for (method, path, allow) in [
        ("GET", "/api/register", "POST"),
        ("PATCH", &key_path, "GET, HEAD, DELETE"),
        ("GET", "/api/register/-/sweep", "POST"),
        ("DELETE", "/api/room", "GET, HEAD, POST"),
        ("PUT", &format!("/api/room/{room}"), "GET, HEAD, DELETE"),
        ("POST", &format!("/api/room/{room}/{user}/add"), "PUT"),
        ("OPTIONS", "/api/user/", "GET, HEAD, POST"),
        ("POST", &format!("/api/user/{user}"), "GET, HEAD, DELETE"),
    ] {
        let answer = world.call(method, path);
        assert_eq!(answer.header, Some(("allow", allow)), "{method} {path}");
        answer.refused(405, "method_not_allowed");
    }
    let query = format!("apikey={key}");
    for (method, target, status, code) in [
        (
            "PUT",
            format!("/api/room/{room}/{user}/join?{query}"),
            400,
            "bad_action",
        ),
        (
            "GET",
            format!("/api/room/{room}/{user}?{query}"),
            404,
            "not_found",
        ),
        (
            "GET",
            format!("/api/room/room_/../x?{query}"),
            405,
            "method_not_allowed",
        ),
        (
            "GET",
            format!("/api/room/..%2F{room}?{query}"),
            404,
            "not_found",
        ),
        (
            "GET",
            format!("/api/room/{}?{query}", "r".repeat(5_000)),
            404,
            "not_found",
        ),
        ("GET", format!("/api/room/{user}?{query}"), 404, "not_found"),
        (
            "GET",
            format!("/api/room?{query}&limit=0"),
            400,
            "bad_limit",
        ),
        (
            "GET",
            format!("/api/user?{query}&cursor=x"),
            400,
            "bad_cursor",
        ),
        (
            "GET",
            format!("/api/user?{query}&{query}"),
            400,
            "doubled_key",
        ),
        ("GET", "/api/user?apikey=%".to_owned(), 400, "bad_query"),
        ("GET", "/api/user?apikey=".to_owned(), 401, "unauthorized"),
        ("GET", "/api/user".to_owned(), 401, "unauthorized"),
        ("GET", format!("/api/user?{query}0"), 401, "unauthorized"),
    ] {
        world.call(method, &target).refused(status, code);
    }
    let other = text(&world.register()["api_key"]).to_owned();
    let two = [("x-api-key", other.as_str())];
    let answer = world.send("GET", &format!("/api/user?{query}"), &two, "");
    answer.refused(400, "conflicting_keys");
    world
        .call("DELETE", &format!("/api/register/{other}"))
        .expect(200);
    let left: Vec<_> = world.store.keys();
    let left: Vec<_> = left
        .into_iter()
        .filter(|key| !key.starts_with("index/doomed/"))
        .collect();
    assert_eq!(left, keys);
}

#[test]
fn another_tenants_id_answers_as_a_missing_one() {
    let world = World::new();
    let (key, room, user) = furnished(&world);
    let (_, their_room, their_user) = furnished(&world);
    let (no_room, no_user) = (format!("room_{:032x}", 7), format!("user_{:032x}", 7));
    for (method, theirs, missing) in [
        (
            "GET",
            format!("/api/room/{their_room}"),
            format!("/api/room/{no_room}"),
        ),
        (
            "DELETE",
            format!("/api/room/{their_room}"),
            format!("/api/room/{no_room}"),
        ),
        (
            "GET",
            format!("/api/user/{their_user}"),
            format!("/api/user/{no_user}"),
        ),
        (
            "DELETE",
            format!("/api/user/{their_user}"),
            format!("/api/user/{no_user}"),
        ),
        (
            "PUT",
            format!("/api/room/{their_room}/{user}/add"),
            format!("/api/room/{no_room}/{user}/add"),
        ),
        (
            "PUT",
            format!("/api/room/{room}/{their_user}/add"),
            format!("/api/room/{room}/{no_user}/add"),
        ),
        (
            "PUT",
            format!("/api/room/{their_room}/{their_user}/remove"),
            format!("/api/room/{no_room}/{no_user}/remove"),
        ),
    ] {
        let theirs = world.call(method, &format!("{theirs}?apikey={key}"));
        let missing = world.call(method, &format!("{missing}?apikey={key}"));
        assert_eq!(
            theirs.operations, missing.operations,
            "nor does it take longer"
        );
        assert_eq!(
            theirs.refused(404, "not_found"),
            missing.refused(404, "not_found")
        );
    }
}

#[test]
fn registration_follows_the_variables() {
    let mut world = World::new();
    world.variables.insert("registration", "closed");
    world
        .call("POST", "/api/register")
        .refused(403, "registration_closed");
    world.variables.insert("registration", "perhaps");
    world
        .call("POST", "/api/register")
        .refused(500, "misconfigured");
    world.variables.insert("registration", "token");
    let send =
        |world: &World, token| world.send("POST", "/api/register", &[("x-admin-token", token)], "");
    send(&world, "").refused(500, "misconfigured");
    world.variables.insert("admin_token", "sesame");
    world
        .call("POST", "/api/register")
        .refused(403, "admin_token_required");
    for wrong in ["", "s", "sesam", "sesame ", "Sesame"] {
        send(&world, wrong).refused(403, "admin_token_required");
    }
    send(&world, "sesame").expect(201);
    world.variables.remove("registration");
    world
        .call("POST", "/api/register")
        .refused(500, "misconfigured");
}

#[test]
fn a_registration_may_say_what_it_wants() {
    let world = World::new();
    let send = |body: &str| world.send("POST", "/api/register", &[], body);
    let made = send(r#" {"label":"Größe","require_token":true} "#).expect(201);
    let shown = world.call("GET", &format!("/api/register/{}", text(&made["api_key"])));
    assert_eq!(shown.body["label"], "Größe");
    assert_eq!(shown.body["require_token"], true);
    assert!(!shown.body.to_string().contains(text(&made["secret"])));
    let longest = format!(r#"{{"label":"{}"}}"#, "ä".repeat(200));
    send(&longest).expect(201);
    send(&longest.replace("ää", "äää")).refused(400, "bad_label");
    for body in [
        "{",
        "[]",
        "[null,true]",
        "1",
        r#""x""#,
        r#"{"label":1}"#,
        r#"{"lable":"x"}"#,
        r#"{"require_token":"yes"}"#,
        "{} {}",
    ] {
        send(body).refused(400, "bad_body");
    }
}
