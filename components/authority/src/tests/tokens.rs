//! Logins by token.

use super::*;

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token of these claims, signed with that algorithm.
pub(super) fn signed(algorithm: &str, claims: &Value, secret: &str) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = match algorithm {
        "HS384" => mac::<Hmac<Sha384>>(&signed, secret),
        "HS512" => mac::<Hmac<Sha512>>(&signed, secret),
        _ => mac::<Hmac<Sha256>>(&signed, secret),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn mac<M: Mac + hmac::digest::KeyInit>(text: &str, secret: &str) -> Vec<u8> {
    let mac = <M as Mac>::new_from_slice(secret.as_bytes()).unwrap();
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

#[test]
fn a_token_is_believed_once_verified() {
    let world = World::new();
    let (app, other) = (world.tenant(1, true), world.tenant(2, true));
    let user = world.user(&app, 1);
    let secret = app.secret.expose();
    let claims = json!({"sub": user, "app": app.id});
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = signed(algorithm, &claims, secret);
        assert_eq!(world.by_token(None, &token), Ok(None));
        assert_eq!(world.by_token(Some(app.id), &token), Ok(None));
        assert_eq!(world.by_token(Some(other.id), &token), Err("invalid_token"));
        let forged = signed(algorithm, &claims, other.secret.expose());
        assert_eq!(world.by_token(None, &forged), Err("invalid_token"));
        let cut = &token[..token.len() - 4];
        assert_eq!(world.by_token(None, cut), Err("invalid_token"));
    }
    // The app may be named by the connection alone, but by somebody.
    let nameless = signed("HS256", &json!({"sub": user}), secret);
    assert_eq!(world.by_token(Some(app.id), &nameless), Ok(None));
    assert_eq!(world.by_token(None, &nameless), Err("invalid_token"));
    assert_eq!(
        world.by_token(Some(other.id), &nameless),
        Err("invalid_token")
    );
    // Signed by the other app, for a user that is not its own.
    let foreign = signed(
        "HS256",
        &json!({"sub": user, "app": other.id}),
        other.secret.expose(),
    );
    assert_eq!(world.by_token(None, &foreign), Err("unknown_user"));
    assert_eq!(world.watch.0.get(), 0, "the clock was read without need");
}

#[test]
fn tokens_that_are_none() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let secret = app.secret.expose();
    let claims = json!({"sub": user, "app": app.id});
    let good = signed("HS256", &claims, secret);
    let with_header = |header: Value| {
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(mac::<Hmac<Sha256>>(&text, secret));
        format!("{text}.{signature}")
    };
    assert_eq!(
        world.by_token(None, &with_header(json!({"alg": "HS256"}))),
        Ok(None)
    );
    let mut wrong = vec![
        String::new(),
        "..".to_owned(),
        "a.b".to_owned(),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims)),
        "x".repeat(TOKEN_LIMIT + 1),
        with_header(json!({"alg": "none"})),
        with_header(json!({"alg": "None"})),
        with_header(json!({"alg": "hs256"})),
        with_header(json!({"alg": "RS256"})),
        with_header(json!({"typ": "JWT"})),
        with_header(json!(["HS256", null])),
        with_header(json!({"alg": "HS256", "crit": ["exp"], "exp": 1})),
    ];
    for claims in [
        json!({"app": app.id}),
        json!({"sub": user, "app": "app_x"}),
        json!({"sub": 1, "app": app.id}),
        json!({"sub": "admin", "app": app.id}),
        json!({"sub": user, "app": AppId::from_random(bytes(9))}),
        json!({"sub": user, "app": app.id, "exp": "later"}),
        json!([user, app.id, null, null, null]),
        json!("claims"),
    ] {
        wrong.push(signed("HS256", &claims, secret));
    }
    for token in wrong {
        assert_eq!(
            world.by_token(None, &token),
            Err("invalid_token"),
            "{token}"
        );
    }
    // A bare id beside the token may only repeat it.
    let (name, other) = (user.to_string(), world.user(&app, 2).to_string());
    for (said, verdict) in [(&name, Ok(())), (&other, Err("unknown_user"))] {
        let presented = Credential {
            app: None,
            fallback: None,
            user: Some(said),
            token: Some(&good),
        };
        assert_eq!(world.log_in(presented).map(|_| ()), verdict);
    }
}

#[test]
fn the_times_of_a_token_hold() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let with = |times: Value| {
        let mut claims = json!({"sub": user, "app": app.id});
        claims
            .as_object_mut()
            .unwrap()
            .extend(times.as_object().unwrap().clone());
        world.by_token(None, &signed("HS256", &claims, app.secret.expose()))
    };
    assert_eq!(with(json!({"exp": NOW + 1})), Ok(Some(NOW + 1)));
    assert_eq!(with(json!({"exp": NOW as f64 + 1.5})), Ok(Some(NOW + 1)));
    assert_eq!(world.watch.0.get(), 2);
    for exp in [
        json!(NOW),
        json!(NOW - 1),
        json!(0),
        json!(-5),
        json!(-1e300),
    ] {
        assert_eq!(with(json!({"exp": exp})), Err("token_expired"));
    }
    assert_eq!(with(json!({"nbf": NOW, "iat": NOW})), Ok(None));
    assert_eq!(
        with(json!({"nbf": NOW + 30})),
        Ok(None),
        "clocks differ a little"
    );
    assert_eq!(with(json!({"nbf": NOW + 3_600})), Err("invalid_token"));
    assert_eq!(with(json!({"iat": NOW + 3_600})), Err("invalid_token"));
    assert_eq!(with(json!({"exp": 1e300})), Ok(Some(u64::MAX)));
}
