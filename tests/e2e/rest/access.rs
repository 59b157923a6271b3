//! Who may do what: keys, methods, other tenants, registration.

use super::{members, set};
use serde_json::{Value, json};
use sschat_tests::{App, Host, Options, Rest};
use std::collections::BTreeSet;

#[tokio::test]
async fn the_key_is_taken_from_the_query_and_two_headers() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let path = format!("/api/room/{room}");

    for name in ["x-api-key", "X-API-Key"] {
        app.rest
            .send("GET", &path, &[(name, &app.key)], "")
            .await
            .expect(200);
    }
    for scheme in ["Bearer", "bearer"] {
        let value = format!("{scheme} {}", app.key);
        app.rest
            .send("GET", &path, &[("authorization", &value)], "")
            .await
            .expect(200);
    }
    // Said twice, but the same.
    let value = format!("Bearer {}", app.key);
    let both = format!("{path}?apikey={}", app.key);
    app.rest
        .send("GET", &both, &[("authorization", &value)], "")
        .await
        .expect(200);

    app.rest.get(&path).await.expect_error(401, "unauthorized");
    let other = App::register(&host).await;
    let unknown = other
        .key
        .replace("apikey_", "apikey_0")
        .chars()
        .take(39)
        .collect::<String>();
    for wrong in ["apikey_", "x", "", &unknown] {
        app.rest
            .get(&format!("{path}?apikey={wrong}"))
            .await
            .expect(401);
        app.rest
            .send("GET", &path, &[("x-api-key", wrong)], "")
            .await
            .expect(401);
        app.rest
            .send(
                "GET",
                &path,
                &[("authorization", &format!("Bearer {wrong}"))],
                "",
            )
            .await
            .expect(401);
    }
    app.rest
        .send(
            "GET",
            &path,
            &[("authorization", &format!("Basic {}", app.key))],
            "",
        )
        .await
        .expect(401);
    let challenge = app.rest.get(&path).await;
    assert!(
        challenge
            .header("www-authenticate")
            .is_some_and(|it| it.starts_with("Bearer")),
        "RFC 9110, 11.6.1"
    );
}

#[tokio::test]
async fn the_key_is_never_logged() {
    let host = Host::start(
        Options::new()
            .env("RUST_LOG", "debug")
            .env("SSCHAT_LOG", "debug"),
    )
    .await;
    let app = App::register(&host).await;
    let room = app.room().await;
    app.get(&format!("/api/room/{room}")).await;
    app.rest
        .send("GET", "/api/room", &[("x-api-key", &app.key)], "")
        .await
        .expect(200);
    app.delete().await;
    host.signal("TERM").await;
    let mut host = host;
    host.ended().await;
    let said = host.said();
    assert!(!said.contains(&app.key), "{said}");
    assert!(!said.contains(&app.secret), "{said}");
}

#[tokio::test]
async fn other_methods_are_refused_with_allow() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let rows = [
        (
            "/api/register".to_owned(),
            &["POST"][..],
            &["GET", "PUT", "DELETE", "PATCH"][..],
        ),
        (
            format!("/api/register/{}", app.key),
            &["GET", "DELETE"],
            &["POST", "PUT", "PATCH"],
        ),
        (
            "/api/room".to_owned(),
            &["GET", "POST"],
            &["PUT", "DELETE", "PATCH"],
        ),
        (
            format!("/api/room/{room}"),
            &["GET", "DELETE"],
            &["POST", "PUT", "PATCH"],
        ),
        (
            format!("/api/room/{room}/{user}/add"),
            &["PUT"],
            &["GET", "POST", "DELETE", "PATCH"],
        ),
        (
            "/api/user".to_owned(),
            &["GET", "POST"],
            &["PUT", "DELETE", "PATCH"],
        ),
        (
            format!("/api/user/{user}"),
            &["GET", "DELETE"],
            &["POST", "PUT", "PATCH"],
        ),
    ];
    for (path, allowed, refused) in rows {
        for method in refused {
            let answer = app
                .call(method, &path)
                .await
                .expect_error(405, "method_not_allowed");
            let allow = answer
                .header("allow")
                .unwrap_or_else(|| panic!("{method} {path}: no Allow"));
            let listed: BTreeSet<&str> = allow.split(',').map(str::trim).collect();
            for method in allowed {
                assert!(
                    listed.contains(method),
                    "{path} allows {allow}, not {method}"
                );
            }
            assert!(
                !listed.contains(method),
                "{path}: {method} is refused and allowed: {allow}"
            );
        }
    }
    // Nothing of that did anything.
    assert_eq!(
        members(&app.get(&format!("/api/room/{room}")).await),
        set([&user])
    );
}

#[tokio::test]
async fn what_belongs_to_another_answers_as_what_does_not_exist() {
    let host = Host::plain().await;
    let mine = App::register(&host).await;
    let theirs = App::register(&host).await;
    let (room, [user]) = theirs.room_of().await;
    let (own_room, [own_user]) = mine.room_of().await;
    let no_room = "room_00000000000040008000000000000000";
    let no_user = "user_00000000000040008000000000000000";

    let pairs = [
        (
            "GET",
            format!("/api/room/{room}"),
            format!("/api/room/{no_room}"),
        ),
        (
            "DELETE",
            format!("/api/room/{room}"),
            format!("/api/room/{no_room}"),
        ),
        (
            "GET",
            format!("/api/user/{user}"),
            format!("/api/user/{no_user}"),
        ),
        (
            "DELETE",
            format!("/api/user/{user}"),
            format!("/api/user/{no_user}"),
        ),
        (
            "PUT",
            format!("/api/room/{room}/{own_user}/add"),
            format!("/api/room/{no_room}/{own_user}/add"),
        ),
        (
            "PUT",
            format!("/api/room/{own_room}/{user}/add"),
            format!("/api/room/{own_room}/{no_user}/add"),
        ),
        (
            "PUT",
            format!("/api/room/{room}/{user}/remove"),
            format!("/api/room/{no_room}/{no_user}/remove"),
        ),
    ];
    for (method, other, missing) in pairs {
        let other = mine
            .call(method, &other)
            .await
            .expect_error(404, "not_found");
        let missing = mine
            .call(method, &missing)
            .await
            .expect_error(404, "not_found");
        let hide = |text: String| {
            text.replace(&room, "ROOM")
                .replace(&user, "USER")
                .replace(no_room, "ROOM")
                .replace(no_user, "USER")
        };
        assert_eq!(
            hide(other.text()),
            hide(missing.text()),
            "{method}: the answers tell them apart"
        );
        let names = |answer: &sschat_tests::Answer| -> Vec<String> {
            answer.headers.keys().map(ToString::to_string).collect()
        };
        assert_eq!(
            names(&other),
            names(&missing),
            "{method}: the headers tell them apart"
        );
    }
    // The owner still has everything, and each sees only what is their own.
    assert_eq!(
        members(&theirs.get(&format!("/api/room/{room}")).await),
        set([&user])
    );
    let list = |answer: Value, what: &str| answer["data"][what].clone();
    assert_eq!(
        list(mine.get("/api/room").await, "rooms"),
        json!([own_room])
    );
    assert_eq!(
        list(mine.get("/api/user").await, "users"),
        json!([own_user])
    );
}

#[tokio::test]
async fn registration_follows_the_variable() {
    let closed = Host::start(Options::new().env("SPIN_VARIABLE_REGISTRATION", "closed")).await;
    let rest = Rest::new(closed.address());
    rest.call("POST", "/api/register")
        .await
        .expect_error(403, "registration_closed");

    let options = Options::new()
        .env("SPIN_VARIABLE_REGISTRATION", "token")
        .env(
            "SPIN_VARIABLE_ADMIN_TOKEN",
            "a-long-admin-token-of-the-test",
        );
    let guarded = Host::start(options).await;
    let rest = Rest::new(guarded.address());
    rest.call("POST", "/api/register").await.expect(403);
    rest.send("POST", "/api/register", &[("x-admin-token", "wrong")], "")
        .await
        .expect(403);
    let good = [("x-admin-token", "a-long-admin-token-of-the-test")];
    rest.send("POST", "/api/register", &good, "")
        .await
        .expect(201);
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    for path in [
        "/api",
        "/api/",
        "/nothing",
        "/api/rooms",
        &format!("/api/room/{room}/x"),
        &format!("/api/room/{room}/a/b/c"),
    ] {
        let answer = app.call("GET", path).await;
        assert!(
            matches!(answer.status, 404 | 405),
            "{path}: {}",
            answer.status
        );
    }
}
