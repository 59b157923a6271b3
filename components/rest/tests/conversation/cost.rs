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
    let key_path = format!("/api/register/{key}");
    let [add, remove] = ["add", "remove"].map(|action| on(&format!("{room_path}/{user}/{action}")));
    let sweep = "/api/register/-/sweep".to_owned();
    for (what, method, path, wanted) in [
        ("show a key", "GET", &key_path, (2, 0)),
        ("list rooms", "GET", &on("/api/room"), (5, 0)),
        ("show an empty room", "GET", &on(&room_path), (4, 0)),
        ("add", "PUT", &add, (13, 3)),
        ("add again", "PUT", &add, (5, 0)),
        ("show a room of one", "GET", &on(&room_path), (7, 0)),
        ("show a user in one room", "GET", &on(&user_path), (7, 0)),
        ("remove", "PUT", &remove, (9, 1)),
        ("remove again", "PUT", &remove, (5, 0)),
        ("add once more", "PUT", &add, (9, 1)),
        ("delete a room of one", "DELETE", &on(&room_path), (20, 7)),
        (
            "delete a user of no room",
            "DELETE",
            &on(&user_path),
            (18, 6),
        ),
        ("delete a key", "DELETE", &key_path, (23, 6)),
        ("the sweep after them", "POST", &sweep, (9, 1)),
        ("a sweep of nothing", "POST", &sweep, (2, 0)),
    ] {
        let answer = world.call(method, path);
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        assert_eq!((answer.operations, answer.writes), wanted, "{what}");
    }
}
