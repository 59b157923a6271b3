//! Tokens that were taken back.

use super::tokens::signed;
use super::*;
use sschat_domain::id::TokenDigest;
use sschat_domain::revocation::{self, Revoked, Subject};

impl World {
    fn revoke(&self, tenant: &Tenant, subject: Subject<'_>, before: Option<u64>) {
        let wanted = before.map_or(Revoked::token(None), Revoked::before);
        let done = block_on(revocation::revoke(
            &self.store,
            tenant.id,
            subject,
            wanted,
            NOW,
        ));
        assert_eq!(done, Ok(revocation::Outcome::Done));
    }
}

#[test]
fn a_token_is_revoked_by_its_id() {
    let world = World::new();
    let (app, other) = (world.tenant(1, false), world.tenant(2, false));
    let user = world.user(&app, 1);
    let token = |jti: Value| {
        signed(
            "HS256",
            &json!({"sub": user, "app": app.id, "jti": jti}),
            app.secret.expose(),
        )
    };
    let (one, two) = (token(json!("one")), token(json!("two")));
    let log_in = |token: &str| world.by_token(None, token).map(|_| ());
    world.revoke(&other, Subject::Token(TokenDigest::of("one")), None);
    assert_eq!(log_in(&one), Ok(()), "that is another tenant's");
    world.revoke(&app, Subject::Token(TokenDigest::of("one")), None);
    assert_eq!((log_in(&one), log_in(&two)), (Err("token_revoked"), Ok(())));
    assert_eq!(log_in(&token(Value::Null)), Ok(()));
    assert_eq!(world.watch.0.get(), 0, "the clock was read without need");
    let (_, calls, keys) = world.reads(|| log_in(&two));
    assert_eq!((calls, keys), (1, 12), "one batch");
    block_on(revocation::restore(
        &world.store,
        app.id,
        Subject::Token(TokenDigest::of("one")),
    ))
    .unwrap();
    assert_eq!(log_in(&one), Ok(()));
}

#[test]
fn tokens_are_revoked_by_when_they_were_made() {
    let world = World::new();
    let app = world.tenant(1, false);
    let (ann, bob) = (world.user(&app, 1), world.user(&app, 2));
    let log_in = |user: UserId, iat: Value| {
        let claims = json!({"sub": user, "app": app.id, "iat": iat});
        world
            .by_token(None, &signed("HS256", &claims, app.secret.expose()))
            .map(|_| ())
    };
    world.revoke(&app, Subject::User(ann), Some(NOW));
    for (iat, verdict) in [
        (json!(NOW - 1), Err("token_revoked")),
        (json!(NOW as f64 - 0.5), Err("token_revoked")),
        (Value::Null, Err("token_revoked")),
        (json!(NOW), Ok(())),
        (json!(NOW + 1), Ok(())),
    ] {
        assert_eq!(log_in(ann, iat), verdict);
    }
    assert_eq!(log_in(bob, json!(NOW - 1)), Ok(()));
    assert_eq!(log_in(bob, Value::Null), Ok(()));
    world.revoke(&app, Subject::All, Some(NOW - 10));
    assert_eq!(log_in(bob, json!(NOW - 11)), Err("token_revoked"));
    assert_eq!(log_in(bob, json!(NOW - 10)), Ok(()));
    assert_eq!(
        log_in(ann, json!(NOW - 5)),
        Err("token_revoked"),
        "the later one counts"
    );
}

#[test]
fn names_without_a_record_and_passes_are_revoked_too() {
    let world = World::new();
    let app = world.tenant(1, false);
    world.open(&app);
    let ann = world.user(&app, 1);
    let token = |claims: Value| signed("HS256", &claims, app.secret.expose());
    let guest = token(json!({"sub": "guest", "app": app.id, "iat": 5}));
    world.revoke(&app, Subject::Name("guest"), Some(NOW));
    assert_eq!(world.by_token(None, &guest), Err("token_revoked"));
    let pass = token(json!({"sub": ann, "channel": "news", "jti": "p", "iat": 5}));
    let who = identity(&app, ann);
    let join = || {
        let pass = decisions::Pass {
            token: &pass,
            client: "",
        };
        let joined = decisions::may_join(&world.store, &world.watch, &who, "news", Some(pass));
        block_on(joined).map(|_| ()).map_err(checked)
    };
    assert_eq!(join(), Ok(()));
    world.revoke(&app, Subject::User(ann), Some(6));
    assert_eq!(join(), Err("token_revoked"));
    block_on(revocation::restore(
        &world.store,
        app.id,
        Subject::User(ann),
    ))
    .unwrap();
    assert_eq!(join(), Ok(()));
    world.revoke(&app, Subject::Token(TokenDigest::of("p")), None);
    assert_eq!(join(), Err("token_revoked"));
}
