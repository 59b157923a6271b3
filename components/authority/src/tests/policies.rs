//! Whose key it is, and what a tenant uploaded.

use super::*;
use sschat_domain::key;

#[test]
fn a_key_leads_to_its_tenant() {
    let world = World::new();
    let (app, other) = (world.tenant(1, false), world.tenant(2, false));
    let of = |key: &str| block_on(decisions::tenant_of_key(&world.store, key)).map_err(checked);
    let api_key = app.key.to_string();
    assert_eq!(of(&api_key), Ok(app.id));
    assert_eq!(of(&other.key.to_string()), Ok(other.id));
    let unknown = ApiKey::from_random(bytes(9)).to_string();
    for wrong in ["", "apikey_", &app.id.to_string(), &unknown] {
        assert_eq!(of(wrong), Err("unknown_key"));
    }
    let (_, calls, keys) = world.reads(|| of(&api_key));
    assert_eq!((calls, keys), (0, 2), "the pointer, then the record");
    let removed = block_on(removal::remove_tenant(&world.store, &app.key));
    assert_eq!((removed, of(&api_key)), (Ok(true), Err("unknown_key")));
}

#[test]
fn a_room_is_its_tenant_s_alone_unless_any_name_is_one() {
    let world = World::new();
    let (app, other) = (world.tenant(1, false), world.tenant(2, false));
    let has = |tenant: AppId, room: &str| {
        block_on(decisions::has_room(&world.store, &tenant.to_string(), room)).map_err(checked)
    };
    let room = RoomId::from_random(bytes(3));
    assert_eq!(has(app.id, &room.to_string()), Err("unknown_room"));
    assert!(block_on(tenant::create_room(&world.store, app.id, room)).unwrap());
    let room = room.to_string();
    assert_eq!(has(app.id, &room), Ok(()));
    assert_eq!(has(other.id, &room), Err("unknown_room"));
    assert_eq!(has(app.id, "lobby"), Err("unknown_room"));
    let open = json!({"v": 1, "rule": "open"}).to_string();
    world.store.put(&key::policy(other.id), open.as_bytes());
    assert_eq!(has(other.id, &room), Ok(()), "under its own tenant");
    assert_eq!(has(other.id, "lobby"), Ok(()));
    assert_eq!(has(other.id, "a/b"), Ok(()));
    assert_eq!(has(other.id, "a b"), Err("unknown_room"));
    let removed = block_on(removal::remove_tenant(&world.store, &other.key));
    assert_eq!(
        (removed, has(other.id, "lobby")),
        (Ok(true), Err("unknown_room"))
    );
}

#[test]
fn what_a_tenant_uploaded_is_named_by_its_keys() {
    let world = World::new();
    let app = world.tenant(1, false);
    let of = |tenant: &str| block_on(decisions::policies_of(&world.store, tenant));
    let none = of(&app.id.to_string()).unwrap();
    assert_eq!((none.active, none.candidate), (None, None));
    assert_eq!(none.configuration, format!("{}/policy/config", app.id));
    let digest = "ab".repeat(32);
    let place = |upload: u64, chunks: u64| {
        let size = chunks << 20;
        let component = json!({"digest": digest, "size": size, "chunks": chunks, "upload": upload});
        json!({"v": 1, "component": component}).to_string()
    };
    let put = |key: String, text: &str| world.store.put(&key, text.as_bytes());
    put(key::active_policy(app.id), &place(7, 2));
    put(key::candidate_policy(app.id), &place(9, 1));
    let (found, calls, keys) = world.reads(|| of(&app.id.to_string()).unwrap());
    assert_eq!((calls, keys), (1, 3));
    let stored = |upload: u64, chunks: u64| {
        let chunk = |chunk| format!("{}/policy/component/{upload}/{chunk}", app.id);
        Some(decisions::Stored {
            digest: digest.clone(),
            chunks: (0..chunks).map(chunk).collect(),
        })
    };
    assert_eq!(
        (found.active, found.candidate),
        (stored(7, 2), stored(9, 1))
    );
    put(key::candidate_policy(app.id), r#"{"v":1,"component":null}"#);
    assert_eq!(of(&app.id.to_string()).unwrap().candidate, None);
    for wrong in ["", "app_", &AppId::from_random(bytes(9)).to_string()] {
        assert_eq!(of(wrong).map_err(checked), Err("unknown_app"));
    }
    put(key::active_policy(app.id), r#"{"v":1,"component":{}}"#);
    let refused = of(&app.id.to_string()).map_err(checked);
    assert_eq!(refused, Err("unreadable_record"));
}

#[test]
fn at_most_sixteen_shared_rooms_are_named() {
    let world = World::new();
    let app = world.tenant(1, false);
    let (one, two) = (world.user(&app, 1), world.user(&app, 2));
    let rooms: Vec<_> = (1..=20)
        .map(|number| world.room(&app, number, &[one, two]))
        .collect();
    let who = identity(&app, one);
    let (seen, calls, _) =
        world.reads(|| block_on(decisions::may_see(&world.store, &who, &two.to_string())));
    assert_eq!((seen, calls), (Ok(rooms[..16].to_vec()), 4));
}
