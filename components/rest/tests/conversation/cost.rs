//! What each call costs, in operations of the store.

use crate::world::{World, text};

#[test]
fn what_each_call_costs() {
    let world = World::new();
    let cost = |method: &str, target: &str, status: u16| {
        let answer = world.call(method, target);
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.body);
        (answer.operations, answer.writes, answer.body)
    };
    let (operations, writes, body) = cost("POST", "/api/register", 201);
    assert_eq!((operations, writes), (1, 1), "register");
    let key = text(&body["api_key"]).to_owned();
    let on = |path: &str| format!("{path}?apikey={key}");
    let (operations, writes, body) = cost("POST", &on("/api/room"), 201);
    assert_eq!((operations, writes), (6, 2), "create a room");
    let room = text(&body["room_id"]).to_owned();
    let (operations, writes, body) = cost("POST", &on("/api/user"), 201);
    assert_eq!((operations, writes), (6, 2), "create a user");
    let user = text(&body["user_id"]).to_owned();
    let (room_path, user_path) = (format!("/api/room/{room}"), format!("/api/user/{user}"));
    for (what, method, path, operations, writes) in [
        ("show a key", "GET", format!("/api/register/{key}"), 2, 0),
        ("list rooms", "GET", on("/api/room"), 5, 0),
        ("show an empty room", "GET", on(&room_path), 4, 0),
        ("add", "PUT", on(&format!("{room_path}/{user}/add")), 13, 3),
        (
            "add again",
            "PUT",
            on(&format!("{room_path}/{user}/add")),
            5,
            0,
        ),
        ("show a room of one", "GET", on(&room_path), 7, 0),
        ("show a user in one room", "GET", on(&user_path), 7, 0),
        (
            "remove",
            "PUT",
            on(&format!("{room_path}/{user}/remove")),
            9,
            1,
        ),
        (
            "remove again",
            "PUT",
            on(&format!("{room_path}/{user}/remove")),
            5,
            0,
        ),
        (
            "add once more",
            "PUT",
            on(&format!("{room_path}/{user}/add")),
            9,
            1,
        ),
        ("delete a room of one", "DELETE", on(&room_path), 20, 7),
        ("delete a user in no room", "DELETE", on(&user_path), 19, 7),
        (
            "delete a key",
            "DELETE",
            format!("/api/register/{key}"),
            16,
            4,
        ),
        (
            "sweep where nothing is left",
            "POST",
            "/api/register/-/sweep".to_owned(),
            3,
            0,
        ),
    ] {
        let answer = world.call(method, &path);
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        println!(
            "{what}: {} operations, {} of them writes",
            answer.operations, answer.writes
        );
        assert!(
            answer.operations <= operations && answer.writes <= writes,
            "{what}: {} operations, {} writes",
            answer.operations,
            answer.writes
        );
    }
}
