//! Logins by user id, and what an identity may do.

use super::tokens::signed;
use super::*;

#[test]
fn a_bare_user_id_is_a_login_unless_the_app_wants_tokens() {
    let world = World::new();
    let (app, other, strict) = (
        world.tenant(1, false),
        world.tenant(2, false),
        world.tenant(3, true),
    );
    let (user, guarded) = (world.user(&app, 1), world.user(&strict, 3));
    let name = user.to_string();
    let who = identity(&app, user);
    assert_eq!(world.by_user(None, &name), Ok(who.clone()));
    assert_eq!(world.by_user(Some(app.id), &name), Ok(who));
    assert_eq!(world.by_user(Some(other.id), &name), Err("unknown_user"));
    assert_eq!(
        world.by_user(None, &guarded.to_string()),
        Err("token_required")
    );
    for wrong in [
        "",
        "user_",
        "x",
        &name.to_uppercase(),
        &UserId::from_random(bytes(9)).to_string(),
    ] {
        assert_eq!(world.by_user(None, wrong), Err("unknown_user"));
        assert_eq!(world.by_user(Some(strict.id), wrong), Err("unknown_user"));
    }
    assert_eq!(world.log_in(Credential::default()), Err("no_credential"));
    assert_eq!(
        block_on(removal::remove_user(&world.store, app.id, user)),
        Ok(true)
    );
    assert_eq!(world.by_user(None, &name), Err("unknown_user"));
    assert_eq!(world.watch.0.get(), 0, "the clock was read");
}

#[test]
fn a_pointer_without_its_record_grants_nothing() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    block_on(sschat_domain::Write::delete(
        &world.store,
        &sschat_domain::key::app(app.id),
    ))
    .unwrap();
    assert_eq!(world.by_user(None, &user.to_string()), Err("unknown_user"));
    let other = world.tenant(2, false);
    let user = world.user(&other, 2);
    let record = sschat_domain::key::user(other.id, user);
    block_on(sschat_domain::Write::delete(&world.store, &record)).unwrap();
    assert_eq!(world.by_user(None, &user.to_string()), Err("unknown_user"));
    let token = signed(
        "HS256",
        &json!({"sub": user, "app": other.id}),
        other.secret.expose(),
    );
    assert_eq!(world.by_token(None, &token), Err("unknown_user"));
}

#[test]
fn members_publish_and_nobody_else() {
    let world = World::new();
    let (app, other) = (world.tenant(1, false), world.tenant(2, false));
    let (user, guest) = (world.user(&app, 1), world.user(&app, 2));
    let stranger = world.user(&other, 3);
    let room = world.room(&app, 1, &[user]);
    let theirs = world.room(&other, 2, &[stranger]);
    let may = |tenant: AppId, user: UserId, room: &str| {
        let who = Identity {
            tenant,
            user: Name::Id(user),
        };
        let verdict = block_on(decisions::may_publish(&world.store, &who, room));
        let join = block_on(decisions::may_join(
            &world.store,
            &world.watch,
            &who,
            room,
            None,
        ));
        assert_eq!(join.map(|_| ()), verdict);
        verdict.map_err(|refusal| (checked(refusal.clone()), refusal.reason))
    };
    let not_a_member = may(app.id, guest, &room.to_string()).unwrap_err();
    assert_eq!(not_a_member.0, "not_a_member");
    assert_eq!(may(app.id, user, &room.to_string()), Ok(()));
    let missing = RoomId::from_random(bytes(9)).to_string();
    for room in [
        theirs.to_string(),
        missing,
        "room_".to_owned(),
        "../app".to_owned(),
    ] {
        assert_eq!(may(app.id, user, &room), Err(not_a_member));
    }
    assert_eq!(may(other.id, user, &room.to_string()), Err(not_a_member));
    assert_eq!(
        block_on(removal::remove_tenant(&world.store, &app.key)),
        Ok(true)
    );
    assert_eq!(may(app.id, user, &room.to_string()), Err(not_a_member));
}

#[test]
fn one_sees_oneself_and_those_one_shares_a_room_with() {
    let world = World::new();
    let app = world.tenant(1, false);
    let [one, two, three] = [1, 2, 3].map(|number| world.user(&app, number));
    let shared = world.room(&app, 1, &[one, two]);
    world.room(&app, 2, &[three]);
    let may = |user: UserId, other: UserId| {
        let other = other.to_string();
        let who = identity(&app, user);
        block_on(decisions::may_see(&world.store, &who, &other)).map_err(checked)
    };
    assert_eq!(may(one, one), Ok(vec![]));
    assert_eq!(
        (may(one, two), may(two, one)),
        (Ok(vec![shared]), Ok(vec![shared]))
    );
    assert_eq!(may(one, three), Err("not_visible"));
    assert_eq!(may(one, UserId::from_random(bytes(9))), Err("not_visible"));
    let leaves = Pair {
        tenant: app.id,
        room: shared,
        user: two,
    };
    block_on(membership::remove(&world.store, leaves)).unwrap();
    assert_eq!(
        (may(one, two), may(two, one)),
        (Err("not_visible"), Err("not_visible"))
    );
    block_on(membership::add(&world.store, leaves)).unwrap();
    assert_eq!(may(one, two), Ok(vec![shared]));
    assert_eq!(
        block_on(removal::remove_room(&world.store, app.id, shared)),
        Ok(true)
    );
    assert_eq!(may(one, two), Err("not_visible"));
    assert_eq!(
        block_on(removal::remove_user(&world.store, app.id, one)),
        Ok(true)
    );
    assert_eq!(may(one, one), Err("not_visible"));
}

#[test]
fn rooms_come_in_pages() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let rooms: Vec<_> = (1..=250)
        .map(|number| world.room(&app, number, &[user]))
        .collect();
    let who = identity(&app, user);
    let mut found = Vec::new();
    let mut cursor = None;
    let mut pages = 0;
    loop {
        let page = decisions::rooms(&world.store, &who, cursor.as_deref());
        let (page, calls, _) = world.reads(|| block_on(page).unwrap());
        assert!(page.ids.len() <= 100 && calls <= 4);
        found.extend(page.ids);
        pages += 1;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!((found, pages), (rooms, 3));
    let wrong = block_on(decisions::rooms(&world.store, &who, Some("x"))).map_err(checked);
    assert_eq!(wrong, Err("invalid_cursor"));
    let nobody = identity(&app, UserId::from_random(bytes(9)));
    let unknown = block_on(decisions::rooms(&world.store, &nobody, None)).map_err(checked);
    assert_eq!(unknown, Err("unknown_user"));
}

#[test]
fn a_decision_reads_as_little_as_it_can() {
    let world = World::new();
    let app = world.tenant(1, false);
    let (user, other) = (world.user(&app, 1), world.user(&app, 2));
    let room = world.room(&app, 1, &[user, other]).to_string();
    let who = identity(&app, user);
    let name = user.to_string();
    let (_, calls, keys) = world.reads(|| world.by_user(None, &name));
    assert_eq!((calls, keys), (2, 5), "log in by user id");
    let (_, calls, keys) = world.reads(|| world.by_user(Some(app.id), &name));
    assert_eq!((calls, keys), (1, 4), "log in by user id and app");
    let token = signed(
        "HS256",
        &json!({"sub": user, "app": app.id}),
        app.secret.expose(),
    );
    let (_, calls, keys) = world.reads(|| world.by_token(None, &token));
    assert_eq!((calls, keys), (1, 11), "log in by token");
    let (_, calls, keys) =
        world.reads(|| block_on(decisions::may_publish(&world.store, &who, &room)));
    assert_eq!((calls, keys), (1, 4), "publish as a member");
    let stranger = identity(&app, world.user(&app, 3));
    let (_, calls, keys) =
        world.reads(|| block_on(decisions::may_publish(&world.store, &stranger, &room)));
    // The rule by itself, after a batch of what would make a member.
    assert_eq!((calls, keys), (1, 4 + 1), "publish as no member");
    let (_, calls, keys) = world.reads(|| block_on(decisions::may_see(&world.store, &who, &name)));
    assert_eq!((calls, keys), (1, 3), "see oneself");
    let name = other.to_string();
    let (_, calls, keys) = world.reads(|| block_on(decisions::may_see(&world.store, &who, &name)));
    assert_eq!((calls, keys), (4, 6 + 1 + 2 + 1), "see another");
    let (_, calls, keys) = world.reads(|| block_on(decisions::rooms(&world.store, &who, None)));
    assert_eq!((calls, keys), (4, 4 + 1 + 1 + 1), "rooms");
}

#[test]
fn a_record_of_a_newer_version_is_a_refusal() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    world.store.put(
        &sschat_domain::key::app(app.id),
        br#"{"v":9,"anything":[]}"#,
    );
    assert_eq!(
        world.by_user(None, &user.to_string()),
        Err("unreadable_record")
    );
}
