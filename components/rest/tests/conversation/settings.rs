//! Settings of keys and rooms.

use super::world::{World, furnished};
use serde_json::{Value, json};

#[test]
fn settings_are_replaced_whole_and_go_with_what_they_are_about() {
    let world = World::new();
    let (key, room, _) = furnished(&world);
    let of_key = format!("/api/settings?apikey={key}");
    let of_room = format!("/api/room/{room}/settings?apikey={key}");
    let put = |path: &str, body: Value| world.send("PUT", path, &[], body.to_string());
    let read = |path: &str| world.call("GET", path).expect(200)["settings"].clone();
    let nothing = read(&of_key);
    assert_eq!(nothing["limits"]["channels"], Value::Null);
    put(
        &of_key,
        json!({"limits": {"channels": 5}, "require_token": true}),
    )
    .expect(200);
    put(&of_key, json!({"history": {"size": 0, "age": 60}})).expect(200);
    let shown = read(&of_key);
    assert_eq!(shown["history"], json!({"size": 0, "age": 60}));
    assert_eq!(shown["limits"], nothing["limits"], "a PUT replaces");
    put(&of_room, json!({"history": {"size": 7}})).expect(200);
    assert_eq!(read(&of_room)["history"]["size"], 7);
    put(&of_room, json!({"limits": {}})).refused(400, "unknown_setting");
    put(&of_key, json!({"limits": {"mesage_size": 1}})).refused(400, "unknown_setting");
    for bad in [
        json!({"limits": {"queue_size": 65_535}}),
        json!({"limits": {"message_size": 0}}),
        json!({"history": {"size": 4_294_967_296_u64}}),
        json!({"history": []}),
    ] {
        put(&of_key, bad).refused(400, "bad_settings");
    }
    assert_eq!(read(&of_key), shown);
    world
        .call("POST", &of_key)
        .refused(405, "method_not_allowed");
    let nowhere = format!("/api/room/room_{:032x}/settings?apikey={key}", 1);
    world.call("GET", &nowhere).refused(404, "not_found");
    world
        .call("DELETE", &format!("/api/room/{room}?apikey={key}"))
        .expect(200);
    put(&of_room, json!({})).refused(404, "not_found");
    let left = world.store.keys();
    assert!(
        !left.iter().any(|key| key.contains("/settings/room/")),
        "{left:?}"
    );
    assert_eq!(
        world.call("DELETE", &of_key).expect(200)["settings"],
        nothing
    );
    put(&of_key, json!({"require_token": false})).expect(200);
    world
        .call("DELETE", &format!("/api/register/{key}"))
        .expect(200);
    while world.call("POST", "/api/register/-/sweep").expect(200)["more"] == true {}
    let left = world.store.keys();
    assert!(
        left.iter().all(|key| key.starts_with("index/doomed")),
        "{left:?}"
    );
}
