//! What is said in good order: create, show, change, delete.

use super::{is_id, members, rooms, set};
use serde_json::json;
use sschat_tests::{App, Host, Rest};

#[tokio::test]
async fn the_conversation_of_the_specification() {
    let host = Host::plain().await;
    converse(&Rest::new(host.address())).await;
}

/// All that the specification says over REST.
pub(crate) async fn converse(rest: &Rest) {
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
