//! The rule `open`: whoever knows the app's id joins and publishes.

use super::tokens::signed;
use super::*;

/// The decision that lets somebody speak, for any name.
fn publishes(world: &World, tenant: &Tenant, user: &str, room: &str) -> Result<(), &'static str> {
    let who = Identity::parse(&tenant.id.to_string(), user).map_err(checked)?;
    let published = block_on(decisions::may_publish(&world.store, &who, room)).map_err(checked);
    let joined = block_on(decisions::may_join(
        &world.store,
        &world.watch,
        &who,
        room,
        None,
    ))
    .map_err(checked);
    assert_eq!(joined.map(|_| ()), published);
    published
}

#[test]
fn any_name_is_a_login_where_the_app_is_named() {
    let world = World::new();
    let (app, closed) = (world.tenant(1, false), world.tenant(2, false));
    let user = world.user(&app, 1);
    world.open(&app);
    let stranger = UserId::from_random(bytes(9)).to_string();
    let longest = "a".repeat(64);
    for name in ["ann", "a.b_c:d@e-F9", &longest, &stranger] {
        let who = world.by_user(Some(app.id), name).unwrap();
        assert_eq!(
            (who.tenant, who.user.to_string()),
            (app.id, name.to_owned())
        );
        assert_eq!(world.by_user(Some(closed.id), name), Err("unknown_user"));
        assert_eq!(world.by_user(None, name), Err("unknown_user"));
    }
    for wrong in ["", " ", "a b", "a/b", "ä", "a\n", &"a".repeat(65)] {
        assert_eq!(world.by_user(Some(app.id), wrong), Err("unknown_user"));
    }
    let registered = user.to_string();
    assert_eq!(
        world.by_user(None, &registered),
        Ok(identity(&app, user)),
        "a registered user leads to the app"
    );
    assert_eq!(world.watch.0.get(), 0, "the clock was read");
}

#[test]
fn no_name_is_a_login_too() {
    let world = World::new();
    let (app, closed, strict) = (
        world.tenant(1, false),
        world.tenant(2, false),
        world.tenant(3, true),
    );
    world.open(&app);
    world.open(&strict);
    let nameless = |app: Option<String>| {
        let presented = Credential {
            app: app.as_deref(),
            fallback: None,
            ..Credential::default()
        };
        let login = world.log_in(presented);
        login.map(|(who, _)| (who.tenant, who.user.to_string()))
    };
    assert_eq!(
        nameless(Some(app.id.to_string())),
        Ok((app.id, String::new()))
    );
    assert_eq!(nameless(Some(strict.id.to_string())), Err("token_required"));
    for app in [
        None,
        Some(closed.id.to_string()),
        Some(AppId::from_random(bytes(9)).to_string()),
        Some("app_x".to_owned()),
    ] {
        assert_eq!(nameless(app), Err("no_credential"));
    }
}

#[test]
fn a_fallback_counts_where_nothing_else_names_an_app() {
    let world = World::new();
    let (app, dev) = (world.tenant(1, false), world.tenant(2, false));
    world.open(&dev);
    let user = world.user(&app, 1);
    let [named, fallback] = [&app, &dev].map(|tenant| tenant.id.to_string());
    let log_in = |credential: Credential<'_>| {
        let fallback = Some(fallback.as_str());
        let login = world.log_in(Credential {
            fallback,
            ..credential
        });
        login.map(|(who, _)| (who.tenant, who.user.to_string()))
    };
    assert_eq!(log_in(Credential::default()), Ok((dev.id, String::new())));
    let user = user.to_string();
    let bare = Credential {
        user: Some(&user),
        ..Credential::default()
    };
    assert_eq!(log_in(bare), Ok((dev.id, user.clone())));
    let by_address = Credential {
        app: Some(&named),
        ..bare
    };
    assert_eq!(log_in(by_address), Ok((app.id, user.clone())));
    let token = |claims: serde_json::Value, tenant: &Tenant| {
        signed("HS256", &claims, tenant.secret.expose())
    };
    let by = |token: &str| {
        log_in(Credential {
            token: Some(token),
            ..Credential::default()
        })
    };
    let unnamed = json!({ "sub": user });
    assert_eq!(
        by(&token(unnamed.clone(), &dev)),
        Ok((dev.id, user.clone()))
    );
    assert_eq!(by(&token(unnamed, &app)), Err("invalid_token"));
    let claimed = json!({ "sub": user, "app": app.id });
    assert_eq!(by(&token(claimed.clone(), &app)), Ok((app.id, user)));
    assert_eq!(by(&token(claimed, &dev)), Err("invalid_token"));
}

#[test]
fn an_app_that_wants_tokens_gets_them() {
    let world = World::new();
    let app = world.tenant(1, true);
    let user = world.user(&app, 1);
    let secret = app.secret.expose();
    let token = |subject: &str| signed("HS256", &json!({"sub": subject, "app": app.id}), secret);
    assert_eq!(world.by_token(None, &token("ann")), Err("invalid_token"));
    world.open(&app);
    for name in ["ann", &user.to_string()] {
        assert_eq!(world.by_user(Some(app.id), name), Err("token_required"));
        assert_eq!(world.by_token(None, &token(name)), Ok(None));
    }
    let stranger = UserId::from_random(bytes(9)).to_string();
    assert_eq!(world.by_token(None, &token(&stranger)), Ok(None));
    for wrong in ["", "a b"] {
        assert_eq!(world.by_token(None, &token(wrong)), Err("invalid_token"));
    }
    let forged = signed("HS256", &json!({"sub": "ann", "app": app.id}), "guess");
    assert_eq!(world.by_token(None, &forged), Err("invalid_token"));
    let (ann, ben) = (token("ann"), Some("ben"));
    let presented = Credential {
        app: None,
        fallback: None,
        user: ben,
        token: Some(&ann),
    };
    assert_eq!(world.log_in(presented), Err("unknown_user"));
}

#[test]
fn everybody_publishes_anywhere_within_the_tenant() {
    let world = World::new();
    let (app, closed) = (world.tenant(1, false), world.tenant(2, false));
    let (user, room) = (world.user(&app, 1), world.room(&app, 1, &[]).to_string());
    let theirs = world.room(&closed, 2, &[]).to_string();
    let user = user.to_string();
    let longest = "r".repeat(255);
    for name in ["", "ann", &user] {
        assert_eq!(publishes(&world, &app, name, &room), Err("not_a_member"));
    }
    world.open(&app);
    for name in ["", "ann", &user] {
        // Another tenant's room id is but a name here: nothing of that room is read.
        for room in [&room, "lobby", "a:b#c?d/e", &longest, &theirs] {
            assert_eq!(publishes(&world, &app, name, room), Ok(()), "{name} {room}");
            assert_eq!(publishes(&world, &closed, name, room), Err("not_a_member"));
        }
        for wrong in ["", "a b", "ä", "a\u{7f}", "a\n", &"r".repeat(256)] {
            assert_eq!(publishes(&world, &app, name, wrong), Err("not_a_member"));
        }
    }
    let removed = block_on(removal::remove_tenant(&world.store, &app.key));
    assert_eq!(removed, Ok(true));
    assert_eq!(publishes(&world, &app, "ann", "lobby"), Err("not_a_member"));
    assert_eq!(publishes(&world, &app, &user, &room), Err("not_a_member"));
}

#[test]
fn everybody_sees_everybody_and_only_the_registered_have_rooms() {
    let world = World::new();
    let app = world.tenant(1, false);
    let [one, two] = [1, 2].map(|number| world.user(&app, number));
    let room = world.room(&app, 1, &[one]);
    let name = |name: &str| Identity::parse(&app.id.to_string(), name).unwrap();
    let sees = |who: &Identity, other: &str| {
        block_on(decisions::may_see(&world.store, who, other)).map_err(checked)
    };
    let rooms = |who: &Identity| {
        let page = block_on(decisions::rooms(&world.store, who, None));
        page.map(|page| page.ids).map_err(checked)
    };
    let stranger = UserId::from_random(bytes(9)).to_string();
    let named = [&one.to_string(), &two.to_string(), "ann", "", &stranger];
    for other in &named[1..] {
        assert_eq!(sees(&name(&one.to_string()), other), Err("not_visible"));
    }
    for who in &named[2..] {
        assert_eq!(sees(&name(who), who), Err("not_visible"));
        assert_eq!(rooms(&name(who)), Err("unknown_user"));
    }
    world.open(&app);
    for who in named {
        for other in named {
            assert_eq!(sees(&name(who), other), Ok(vec![]));
        }
        assert_eq!(sees(&name(who), "a b"), Err("not_visible"));
    }
    assert_eq!(rooms(&name(&one.to_string())), Ok(vec![room]));
    for who in &named[1..] {
        assert_eq!(rooms(&name(who)), Ok(vec![]));
    }
}

#[test]
fn an_open_app_costs_no_more_calls() {
    let world = World::new();
    let app = world.tenant(1, false);
    let (user, other) = (world.user(&app, 1), world.user(&app, 2));
    let room = world.room(&app, 1, &[]).to_string();
    world.open(&app);
    let registered = identity(&app, user);
    let bare = Identity::parse(&app.id.to_string(), "ann").unwrap();
    let (_, calls, keys) = world.reads(|| world.by_user(Some(app.id), "ann"));
    assert_eq!((calls, keys), (1, 3), "log in by name");
    for (who, room, wanted) in [
        (&registered, room.as_str(), (1, 5)),
        (&registered, "lobby", (1, 2)),
        (&bare, room.as_str(), (1, 2)),
    ] {
        let decide = || {
            let join = decisions::may_join(&world.store, &world.watch, who, room, None);
            block_on(join).map(|_| ())
        };
        let (verdict, calls, keys) = world.reads(decide);
        assert_eq!((verdict, (calls, keys)), (Ok(()), wanted), "{room}");
    }
    let other = other.to_string();
    let decide = || block_on(decisions::may_see(&world.store, &registered, &other));
    let (verdict, calls, keys) = world.reads(decide);
    assert_eq!((verdict, calls, keys), (Ok(vec![]), 1, 6), "see another");
}

#[test]
fn a_rule_of_a_newer_version_is_a_refusal() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let key = sschat_domain::key::policy(app.id);
    world.store.put(&key, br#"{"v":2,"rule":"half-open"}"#);
    let unreadable = Err("unreadable_record");
    let login = world.by_user(Some(app.id), "ann").map(drop);
    assert_eq!(login, unreadable);
    assert_eq!(publishes(&world, &app, "ann", "lobby"), unreadable);
    assert_eq!(
        publishes(&world, &app, &user.to_string(), "lobby"),
        unreadable
    );
}
