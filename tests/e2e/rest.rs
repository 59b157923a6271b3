//! The REST conversation of the specification and every row of its table.

use serde_json::{Value, json};
use sschat_tests::{App, Host, Options, Rest};
use std::collections::BTreeSet;

/// Whether `id` is `prefix` and 32 lower-case hex digits of a version 4 UUID.
fn is_id(id: &Value, prefix: &str) -> bool {
    id.as_str()
        .and_then(|id| id.strip_prefix(prefix))
        .is_some_and(|hex| {
            hex.len() == 32
                && hex
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                && hex.as_bytes()[12] == b'4'
        })
}

fn members(answer: &Value) -> BTreeSet<String> {
    let list = answer["data"]["members"].as_array().unwrap();
    list.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

fn rooms(answer: &Value) -> BTreeSet<String> {
    let list = answer["data"]["rooms"].as_array().unwrap();
    list.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

fn set<const N: usize>(ids: [&String; N]) -> BTreeSet<String> {
    ids.into_iter().cloned().collect()
}

#[tokio::test]
async fn the_conversation_of_the_specification() {
    let host = Host::plain().await;
    let rest = Rest::new(host.address());

    let registered = rest.call("POST", "/api/register").await.expect(201).json();
    assert_eq!(registered["status"], "ok");
    assert!(is_id(&registered["api_key"], "apikey_"), "{registered}");
    assert!(is_id(&registered["app_id"], "app_"), "{registered}");
    assert!(
        registered["secret"]
            .as_str()
            .is_some_and(|secret| secret.len() >= 32),
        "{registered}"
    );
    let key = registered["api_key"].as_str().unwrap();

    let shown = rest
        .get(&format!("/api/register/{key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(shown["status"], "ok");
    assert_eq!(shown["api_key"], key);

    let created = rest
        .call("POST", &format!("/api/room?apikey={key}"))
        .await
        .expect(201)
        .json();
    assert_eq!(created["status"], "ok");
    assert!(is_id(&created["room_id"], "room_"), "{created}");
    let room = created["room_id"].as_str().unwrap();

    let created = rest
        .call("POST", &format!("/api/user?apikey={key}"))
        .await
        .expect(201)
        .json();
    assert_eq!(created["status"], "ok");
    assert!(is_id(&created["user_id"], "user_"), "{created}");
    let user = created["user_id"].as_str().unwrap();

    let empty = rest
        .get(&format!("/api/room/{room}?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        empty,
        json!({"status": "ok", "data": {"room_id": room, "members": [], "next": null}})
    );

    let added = rest
        .call("PUT", &format!("/api/room/{room}/{user}/add?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        added,
        json!({"status": "ok", "action": "add", "room": room, "user": user})
    );
    let one = rest
        .get(&format!("/api/room/{room}?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(one["data"]["members"], json!([user]));
    let of_user = rest
        .get(&format!("/api/user/{user}?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(of_user["data"]["user_id"], user);
    assert_eq!(of_user["data"]["rooms"], json!([room]));

    let removed = rest
        .call(
            "PUT",
            &format!("/api/room/{room}/{user}/remove?apikey={key}"),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        removed,
        json!({"status": "ok", "action": "remove", "room": room, "user": user})
    );
    let empty = rest
        .get(&format!("/api/room/{room}?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(empty["data"]["members"], json!([]));

    let gone = rest
        .call("DELETE", &format!("/api/user/{user}?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(gone, json!({"status": "ok", "deleted_user": user}));
    rest.get(&format!("/api/user/{user}?apikey={key}"))
        .await
        .expect_error(404, "not_found");

    let gone = rest
        .call("DELETE", &format!("/api/room/{room}?apikey={key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(gone, json!({"status": "ok", "deleted_room": room}));
    rest.get(&format!("/api/room/{room}?apikey={key}"))
        .await
        .expect_error(404, "not_found");

    let gone = rest
        .call("DELETE", &format!("/api/register/{key}"))
        .await
        .expect(200)
        .json();
    assert_eq!(gone, json!({"status": "ok", "deleted_api_key": key}));
    let missing = rest
        .get(&format!("/api/register/{key}"))
        .await
        .expect(404)
        .json();
    assert_eq!(missing["status"], "not_found", "{missing}");
    rest.call("POST", &format!("/api/room?apikey={key}"))
        .await
        .expect_error(401, "unauthorized");
}

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
async fn a_membership_changes_once_however_often_it_is_asked_for() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [first, second]) = app.room_of().await;
    for _ in 0..3 {
        app.add(&room, &first).await;
    }
    assert_eq!(
        app.get(&format!("/api/room/{room}")).await["data"]["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for _ in 0..3 {
        app.remove(&room, &first).await;
    }
    assert_eq!(
        members(&app.get(&format!("/api/room/{room}")).await),
        set([&second])
    );
    app.add(&room, &first).await;
    assert_eq!(
        members(&app.get(&format!("/api/room/{room}")).await),
        set([&first, &second])
    );
    for action in ["ADD", "join", "addd", "%61dd%00", "-"] {
        let answer = app
            .call("PUT", &format!("/api/room/{room}/{first}/{action}"))
            .await;
        answer.expect_error(400, "bad_action");
    }
}

#[tokio::test]
async fn deletions_take_their_memberships_along() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [first, second]) = app.room_of().await;
    let other = app.room().await;
    app.add(&other, &first).await;
    assert_eq!(
        rooms(&app.get(&format!("/api/user/{first}")).await),
        set([&room, &other])
    );

    app.delete_user(&second).await;
    assert_eq!(
        members(&app.get(&format!("/api/room/{room}")).await),
        set([&first])
    );
    app.delete_room(&room).await;
    assert_eq!(
        rooms(&app.get(&format!("/api/user/{first}")).await),
        set([&other])
    );
    assert_eq!(app.get("/api/room").await["data"]["rooms"], json!([other]));
    assert_eq!(app.get("/api/user").await["data"]["users"], json!([first]));
    app.call("DELETE", &format!("/api/room/{room}"))
        .await
        .expect_error(404, "not_found");
    app.call("DELETE", &format!("/api/user/{second}"))
        .await
        .expect_error(404, "not_found");

    app.delete().await;
    for path in [
        format!("/api/room/{other}"),
        format!("/api/user/{first}"),
        "/api/room".into(),
        "/api/user".into(),
    ] {
        app.call("GET", &path)
            .await
            .expect_error(401, "unauthorized");
    }
    // Nor does a key registered afterwards see any of it.
    let next = App::register(&host).await;
    next.call("GET", &format!("/api/room/{other}"))
        .await
        .expect_error(404, "not_found");
    assert_eq!(next.get("/api/room").await["data"]["rooms"], json!([]));
}

#[tokio::test]
async fn the_sweep_removes_what_a_deleted_key_left() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    app.room_of::<3>().await;
    app.delete().await;
    let rest = Rest::new(host.address());
    for _ in 0..100 {
        let swept = rest
            .call("POST", "/api/register/-/sweep")
            .await
            .expect(200)
            .json();
        assert_eq!(swept["status"], "ok", "{swept}");
        if swept["more"] == false {
            return;
        }
        assert_eq!(swept["more"], true, "{swept}");
    }
    panic!("a sweep of one small app has no end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_of_2500_is_read_in_pages() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (app, room) = (app.clone(), room.clone());
        tasks.spawn(async move {
            let mut users = Vec::new();
            for _ in 0..250 {
                let user = app.user().await;
                app.add(&room, &user).await;
                users.push(user);
            }
            users
        });
    }
    let added: BTreeSet<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(added.len(), 2_500);

    let path = format!("/api/room/{room}");
    let first = app.get(&path).await;
    let most = first["data"]["members"].as_array().unwrap().len();
    assert!(most <= 1_000, "{most} members on a page");
    assert!(
        first["data"]["next"].is_string(),
        "{}",
        first["data"]["next"]
    );
    for limit in [1_000, 333] {
        let all = app
            .pages(&path, limit, |page| {
                (&page["data"]["members"], &page["data"]["next"])
            })
            .await;
        assert_eq!(all.len(), 2_500, "none is listed twice");
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), added);
    }
    let users = app
        .pages("/api/user", 1_000, |page| {
            (&page["data"]["users"], &page["data"]["next"])
        })
        .await;
    assert_eq!(users.into_iter().collect::<BTreeSet<_>>(), added);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "cursor=%2e%2e",
        "cursor=",
    ] {
        app.call("GET", &format!("{path}?{bad}")).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_one_room_lose_nothing() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..64 {
        let (app, room) = (app.clone(), room.clone());
        tasks.spawn(async move {
            let user = app.user().await;
            app.add(&room, &user).await;
            if turn % 2 == 0 {
                app.remove(&room, &user).await;
            }
            (turn % 2 == 1).then_some(user)
        });
    }
    let stay: BTreeSet<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(members(&app.get(&format!("/api/room/{room}")).await), stay);
    for user in &stay {
        assert_eq!(
            rooms(&app.get(&format!("/api/user/{user}")).await),
            set([&room])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let state = tempfile::tempdir().unwrap();
    let options = || Options::new().state(state.path());
    let host = Host::start(options()).await;
    let app = App::register(&host).await;
    let (room, [keeps]) = app.room_of().await;

    // Writers go on until the host is gone; each reports what was acknowledged.
    let (acknowledged, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (address, key, room) = (host.address(), app.key.clone(), room.clone());
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                loop {
                    let rest = Rest::new(address);
                    let made = rest
                        .call("POST", &format!("/api/user?apikey={key}"))
                        .await
                        .expect(201)
                        .json();
                    let user = made["user_id"].as_str().unwrap().to_owned();
                    rest.call("PUT", &format!("/api/room/{room}/{user}/add?apikey={key}"))
                        .await
                        .expect(200);
                    if acknowledged.send(user).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(acknowledged);
    let mut users = BTreeSet::from([keeps]);
    while users.len() < 100 {
        users.insert(
            sschat_tests::within("an acknowledged add", seen.recv())
                .await
                .unwrap(),
        );
    }
    host.kill().await;
    for writer in writers {
        // Its last request met a host that is gone.
        let _ = writer.await;
    }
    while let Some(user) = seen.recv().await {
        users.insert(user);
    }

    let host = Host::start(options()).await;
    let app = app.at(&host);
    let path = format!("/api/room/{room}");
    let found = app.pages(&path, 1_000, |page| {
        (&page["data"]["members"], &page["data"]["next"])
    });
    let found: BTreeSet<String> = found.await.into_iter().collect();
    let lost: Vec<_> = users.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged members are lost",
        lost.len(),
        users.len()
    );
    for user in &users {
        assert_eq!(
            rooms(&app.get(&format!("/api/user/{user}")).await),
            set([&room])
        );
    }
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
async fn a_label_is_kept_and_a_wrong_body_is_refused() {
    let host = Host::plain().await;
    let app = App::register_with(&host, r#"{"label":"Größe & <b>"}"#).await;
    let shown = app
        .rest
        .get(&format!("/api/register/{}", app.key))
        .await
        .expect(200)
        .json();
    assert_eq!(shown["label"], "Größe & <b>", "{shown}");
    assert!(
        !shown.to_string().contains(&app.secret),
        "the secret is shown once"
    );

    let headers = [("content-type", "application/json")];
    for body in [
        "{",
        "[]",
        "1",
        "\"x\"",
        r#"{"label":1}"#,
        r#"{"require_token":"yes"}"#,
    ] {
        let answer = app.rest.send("POST", "/api/register", &headers, body).await;
        answer.expect_error(400, "bad_body");
    }
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
