//! Rotated secrets, what a token says beside its user, and tokens for one room.

use super::tokens::signed;
use super::*;
use crate::decisions::{Joined, Pass};
use sschat_domain::signing;

impl World {
    fn rotate(&self, tenant: &Tenant, number: u8) -> Secret {
        let fresh = Secret::from_random([number; 32]);
        assert_eq!(
            block_on(signing::rotate(&self.store, tenant.id, &fresh)),
            Ok(true)
        );
        fresh
    }

    fn by_pass(&self, who: &Identity, room: &str, token: &str) -> Result<Joined, &'static str> {
        let pass = Some(Pass {
            token,
            client: "c1",
        });
        block_on(decisions::may_join(
            &self.store,
            &self.watch,
            who,
            room,
            pass,
        ))
        .map_err(checked)
    }
}

#[test]
fn two_secrets_are_valid_at_a_time() {
    let world = World::new();
    let app = world.tenant(1, true);
    let user = world.user(&app, 1);
    let record = block_on(tenant::authenticate(&world.store, &app.key))
        .unwrap()
        .unwrap()
        .app;
    let claims = json!({"sub": user, "app": app.id});
    let valid = |secrets: &[&Secret]| {
        let tokens = secrets
            .iter()
            .map(|secret| signed("HS256", &claims, secret.expose()));
        tokens
            .map(|token| world.by_token(None, &token).is_ok())
            .collect::<Vec<_>>()
    };
    let retire = || block_on(signing::retire(&world.store, app.id, &record));
    assert_eq!(retire(), Ok(false), "the only one stays");
    let first = &app.secret;
    let second = world.rotate(&app, 20);
    assert_eq!(valid(&[first, &second]), [true, true]);
    assert_eq!(retire(), Ok(true));
    assert_eq!(valid(&[first, &second]), [false, true]);
    assert_eq!(retire(), Ok(false));
    let third = world.rotate(&app, 30);
    assert_eq!(valid(&[first, &second, &third]), [false, true, true]);
    let mut last = (second, third);
    for number in 31..50 {
        let next = world.rotate(&app, number);
        assert_eq!(
            valid(&[first, &last.0, &last.1, &next]),
            [false, false, true, true]
        );
        last = (last.1, next);
        assert_eq!(
            block_on(signing::count(&world.store, app.id, &record)),
            Ok(2)
        );
    }
    // Nothing of it is left behind.
    assert_eq!(
        block_on(removal::remove_tenant(&world.store, &app.key)),
        Ok(true)
    );
    while block_on(removal::sweep(&world.store)).unwrap() {}
    let prefix = format!("{}/", app.id);
    assert!(
        world
            .store
            .keys()
            .iter()
            .all(|key| !key.starts_with(&prefix))
    );
    let late = signing::rotate(&world.store, app.id, &app.secret);
    assert_eq!(block_on(late), Ok(false));
    assert!(
        world
            .store
            .keys()
            .iter()
            .all(|key| !key.starts_with(&prefix))
    );
}

/// A rotation that broke off has taken a number and written nothing.
#[test]
fn rotations_that_break_off_bring_nothing_back() {
    let world = World::new();
    let app = world.tenant(1, true);
    let user = world.user(&app, 1);
    let claims = json!({"sub": user, "app": app.id});
    let token = |secret: &Secret| signed("HS256", &claims, secret.expose());
    let rotations = format!("{}/secrets", app.id);
    let break_off = || {
        use sschat_domain::Write;
        block_on(world.store.increment(&rotations, 1)).unwrap();
    };
    let second = world.rotate(&app, 2);
    let third = world.rotate(&app, 3);
    break_off();
    assert!(world.by_token(None, &token(&second)).is_ok());
    let fourth = world.rotate(&app, 4);
    assert!(world.by_token(None, &token(&third)).is_ok());
    for _ in 0..3 {
        break_off();
    }
    let fifth = world.rotate(&app, 5);
    for (secret, valid) in [
        (&app.secret, false),
        (&second, false),
        (&third, false),
        (&fifth, true),
    ] {
        assert_eq!(world.by_token(None, &token(secret)).is_ok(), valid);
    }
    let _ = fourth;
}

#[test]
fn a_token_names_rooms_and_says_who_its_user_is() {
    let world = World::new();
    let app = world.tenant(1, true);
    let user = world.user(&app, 1);
    let login = |claims: Value| {
        let mut all = json!({"sub": user, "app": app.id});
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        let token = signed("HS256", &all, app.secret.expose());
        let presented = Credential {
            token: Some(&token),
            ..Credential::default()
        };
        let login = block_on(decisions::log_in(&world.store, &world.watch, presented));
        login
            .map(|login| (login.info, login.channels))
            .map_err(checked)
    };
    assert_eq!(login(json!({})), Ok((None, vec![])));
    let said = login(
        json!({"info": {"b": 1, "a": [1.50]}, "channels": ["x", "y"], "subs": {"y": {}, "z": {"info": 1}}}),
    );
    let channels = ["x", "y", "z"].map(str::to_owned).to_vec();
    assert_eq!(
        said,
        Ok((Some(r#"{"a":[1.5],"b":1}"#.to_owned()), channels))
    );
    let many: Vec<String> = (0..129).map(|number| number.to_string()).collect();
    for bad in [
        json!({"channels": many}),
        json!({"channels": "x"}),
        json!({"channels": [1]}),
        json!({"subs": []}),
    ] {
        assert_eq!(login(bad.clone()), Err("invalid_token"), "{bad}");
    }
}

#[test]
fn a_pass_lets_its_user_hear_its_room_and_no_more() {
    let world = World::new();
    let (app, other) = (world.tenant(1, false), world.tenant(2, false));
    let (alice, bob) = (world.user(&app, 1), world.user(&app, 2));
    let (room, second, theirs) = (
        world.room(&app, 1, &[]),
        world.room(&app, 2, &[]),
        world.room(&other, 3, &[]),
    );
    let who = identity(&app, alice);
    let name = room.to_string();
    let pass = |claims: &Value| signed("HS256", claims, app.secret.expose());
    let good = json!({"sub": alice, "channel": room});
    assert_eq!(
        world.by_pass(&who, &name, &pass(&good)),
        Ok(Joined::default())
    );
    let mut more = good.clone();
    more["exp"] = (NOW + 60).into();
    more["client"] = "c1".into();
    let joined = world.by_pass(&who, &name, &pass(&more)).unwrap();
    assert_eq!(joined.expires, Some(NOW + 60));
    // It lets nobody speak, and a login is another matter.
    let publish = block_on(decisions::may_publish(&world.store, &who, &name));
    assert_eq!(publish.map_err(checked), Err("not_a_member"));
    for (claims, verdict) in [
        (json!({"sub": alice, "channel": second}), "invalid_token"),
        (json!({"sub": bob, "channel": room}), "invalid_token"),
        (json!({"channel": room}), "invalid_token"),
        (json!({"sub": alice}), "invalid_token"),
        (
            json!({"sub": alice, "channel": room, "client": "c2"}),
            "invalid_token",
        ),
        (
            json!({"sub": alice, "channel": room, "nbf": NOW + 3_600}),
            "invalid_token",
        ),
        (
            json!({"sub": alice, "channel": room, "exp": NOW}),
            "token_expired",
        ),
    ] {
        assert_eq!(
            world.by_pass(&who, &name, &pass(&claims)),
            Err(verdict),
            "{claims}"
        );
    }
    let forged = signed("HS256", &good, other.secret.expose());
    assert_eq!(world.by_pass(&who, &name, &forged), Err("invalid_token"));
    let unknown = json!({"sub": alice, "channel": theirs});
    assert_eq!(
        world.by_pass(&who, &theirs.to_string(), &pass(&unknown)),
        Err("not_a_member")
    );
    // A member whose pass is wrong is told so, as Centrifugo does.
    assert_eq!(world.by_pass(&who, &name, "x"), Err("invalid_token"));
    assert_eq!(
        block_on(removal::remove_user(&world.store, app.id, alice)),
        Ok(true)
    );
    assert_eq!(
        world.by_pass(&who, &name, &pass(&good)),
        Err("unknown_user")
    );
}
