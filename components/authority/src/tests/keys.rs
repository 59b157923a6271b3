//! Public keys, and what else a tenant may want of tokens.

use super::signer::Signer;
use super::tokens::signed;
use super::*;
use sschat_domain::signing::{self, Algorithm, Jwk, Tokens};
use sschat_jws::{Key, parse_pem};

/// Where keys are told.
const URL: &str = "https://keys.example/set";

impl World {
    fn want(&self, tenant: &Tenant, tokens: &Tokens) {
        assert_eq!(
            block_on(signing::want(&self.store, tenant.id, tokens)),
            Ok(true)
        );
    }

    fn tell(&self, tenant: &Tenant, keys: &Value) {
        let at = sschat_domain::key::key_set(tenant.id);
        let kept = format!("{URL}\n{keys}");
        self.store.put(&at, kept.as_bytes());
    }
}

fn three() -> [Signer; 3] {
    [Signer::rsa(), Signer::p256(), Signer::ed25519()]
}

#[test]
fn a_public_key_verifies_by_its_own_algorithm_alone() {
    for signer in three() {
        let world = World::new();
        let (app, other) = (world.tenant(1, true), world.tenant(2, true));
        let user = world.user(&app, 1);
        let claims = json!({"sub": user, "app": app.id});
        let token = signer.sign(&claims, None);
        assert_eq!(world.by_token(None, &token), Err("invalid_token"));
        let keys = vec![signer.public(None)];
        world.want(
            &other,
            &Tokens {
                keys: keys.clone(),
                ..Tokens::default()
            },
        );
        assert_eq!(
            world.by_token(None, &token),
            Err("invalid_token"),
            "another's key"
        );
        world.want(
            &app,
            &Tokens {
                keys,
                ..Tokens::default()
            },
        );
        assert_eq!(
            world.by_token(None, &token),
            Ok(None),
            "{}",
            signer.algorithm()
        );
        assert_eq!(
            world.by_token(None, &signer.sign(&claims, Some("any"))),
            Ok(None)
        );
        // What it signed is of no use under another name, nor in other words.
        for algorithm in ["none", "HS256", "RS256", "ES256", "EdDSA", "RS512", "ES384"] {
            if algorithm != signer.algorithm() {
                let forged = signer.sign_as(algorithm, &claims, None);
                assert_eq!(
                    world.by_token(None, &forged),
                    Err("invalid_token"),
                    "{algorithm}"
                );
            }
        }
        let (_, signature) = token.rsplit_once('.').unwrap();
        let (said, _) = signer
            .sign(&json!({"sub": user, "app": app.id, "x": 1}), None)
            .rsplit_once('.')
            .map(|(said, _)| (said.to_owned(), ()))
            .unwrap();
        assert_eq!(
            world.by_token(None, &format!("{said}.{signature}")),
            Err("invalid_token")
        );
        for stranger in [Signer::p256(), Signer::ed25519()] {
            let forged = stranger.sign(&claims, None);
            assert_eq!(world.by_token(None, &forged), Err("invalid_token"));
        }
    }
}

/// The oldest trick: a public key is known to all, and taken for a secret it signs all.
#[test]
fn a_public_key_is_never_a_secret() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let claims = json!({"sub": user, "app": app.id});
    for signer in three() {
        let public = signer.public(None);
        let texts = [&public.n, &public.x].into_iter().flatten();
        for text in texts {
            world.want(
                &app,
                &Tokens {
                    keys: vec![public.clone()],
                    ..Tokens::default()
                },
            );
            let forged = signed("HS256", &claims, text);
            assert_eq!(world.by_token(None, &forged), Err("invalid_token"));
        }
    }
}

#[test]
fn an_algorithm_that_is_not_wanted_is_refused() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let claims = json!({"sub": user, "app": app.id});
    let signer = Signer::ed25519();
    let keys = vec![signer.public(None)];
    let (shared, public) = (
        signed("HS512", &claims, app.secret.expose()),
        signer.sign(&claims, None),
    );
    for (algorithms, wanted) in [
        (vec![], [Ok(None), Ok(None)]),
        (vec![Algorithm::EdDsa], [Err("invalid_token"), Ok(None)]),
        (vec![Algorithm::Hs512], [Ok(None), Err("invalid_token")]),
        (
            vec![Algorithm::Hs256],
            [Err("invalid_token"), Err("invalid_token")],
        ),
    ] {
        world.want(
            &app,
            &Tokens {
                algorithms,
                keys: keys.clone(),
                ..Tokens::default()
            },
        );
        assert_eq!(
            [&shared, &public].map(|token| world.by_token(None, token)),
            wanted
        );
    }
}

#[test]
fn issuer_and_audience_hold_where_they_are_wanted() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let with = |claims: Value| {
        let mut all = json!({"sub": user, "app": app.id, "jti": "one"});
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        world.by_token(None, &signed("HS256", &all, app.secret.expose()))
    };
    assert_eq!(with(json!({"iss": "whoever", "aud": "whatever"})), Ok(None));
    for bad in [
        json!({"iss": 1}),
        json!({"aud": {}}),
        json!({"jti": 1}),
        json!({"info": "x", "nbf": "y"}),
    ] {
        assert_eq!(with(bad), Err("invalid_token"));
    }
    let (issuer, audience) = (Some("us".to_owned()), Some("chat".to_owned()));
    world.want(
        &app,
        &Tokens {
            issuer,
            audience,
            ..Tokens::default()
        },
    );
    for (claims, verdict) in [
        (json!({"iss": "us", "aud": "chat"}), Ok(None)),
        (json!({"iss": "us", "aud": ["mail", "chat"]}), Ok(None)),
        (json!({"iss": "us", "aud": ["mail"]}), Err("invalid_token")),
        (json!({"iss": "us", "aud": []}), Err("invalid_token")),
        (json!({"iss": "them", "aud": "chat"}), Err("invalid_token")),
        (json!({"aud": "chat"}), Err("invalid_token")),
        (json!({"iss": "us"}), Err("invalid_token")),
    ] {
        assert_eq!(with(claims.clone()), verdict, "{claims}");
    }
}

#[test]
fn a_key_server_tells_keys_by_their_names() {
    let world = World::new();
    let app = world.tenant(1, false);
    let user = world.user(&app, 1);
    let claims = json!({"sub": user, "app": app.id});
    let (one, two) = (Signer::p256(), Signer::rsa());
    let jwks_url = Some(URL.to_owned());
    world.want(
        &app,
        &Tokens {
            jwks_url,
            ..Tokens::default()
        },
    );
    let token = one.sign(&claims, Some("one"));
    assert_eq!(
        world.by_token(None, &token),
        Err("unknown_signing_key"),
        "nothing is told yet"
    );
    world.tell(
        &app,
        &json!({"keys": [{"kty": "unheard of"}, 1, one.public(Some("one"))]}),
    );
    assert_eq!(world.by_token(None, &token), Ok(None));
    assert_eq!(
        world.by_token(None, &one.sign(&claims, None)),
        Ok(None),
        "any, where none is named"
    );
    assert_eq!(
        world.by_token(None, &two.sign(&claims, Some("two"))),
        Err("unknown_signing_key")
    );
    assert_eq!(
        world.by_token(None, &two.sign(&claims, None)),
        Err("invalid_token")
    );
    let forged = Signer::p256().sign(&claims, Some("one"));
    assert_eq!(world.by_token(None, &forged), Err("invalid_token"));
    world.tell(&app, &json!({"keys": [two.public(Some("two"))]}));
    assert_eq!(
        world.by_token(None, &two.sign(&claims, Some("two"))),
        Ok(None)
    );
    assert_eq!(
        world.by_token(None, &token),
        Err("unknown_signing_key"),
        "it is told no more"
    );
    let at = sschat_domain::key::key_set(app.id);
    let elsewhere = format!(
        "https://keys.example/se\n{}",
        json!({"keys": [one.public(None)]})
    );
    world.store.put(&at, elsewhere.as_bytes());
    assert_eq!(
        world.by_token(None, &token),
        Err("unknown_signing_key"),
        "another server told it"
    );
    for nonsense in [json!([]), json!({"keys": 1}), json!("x")] {
        world.tell(&app, &nonsense);
        assert_eq!(world.by_token(None, &token), Err("unknown_signing_key"));
    }
}

#[test]
fn keys_that_are_none() {
    let good = Signer::p256().public(None);
    assert!(Key::parse(&good).is_ok());
    let off_the_curve = Jwk {
        y: good.x.clone(),
        ..good.clone()
    };
    let weak = Jwk {
        kty: "OKP".into(),
        crv: Some("Ed25519".into()),
        x: Some(URL_SAFE_NO_PAD.encode([0; 32])),
        ..good.clone()
    };
    let small = Jwk {
        kty: "RSA".into(),
        n: Some(URL_SAFE_NO_PAD.encode([0xff; 128])),
        e: Some("AQAB".into()),
        ..good.clone()
    };
    let encrypts = Jwk {
        usage: Some("enc".into()),
        ..good.clone()
    };
    let other = Jwk {
        alg: Some("ES512".into()),
        ..good.clone()
    };
    let curve = Jwk {
        crv: Some("P-384".into()),
        ..good
    };
    for bad in [off_the_curve, weak, small, encrypts, other, curve] {
        assert!(Key::parse(&bad).is_err(), "{bad:?}");
    }
    for text in [
        "",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ] {
        assert!(parse_pem(text).is_err());
    }
}

/// Keys in PEM, as `openssl` writes them, are those of the same numbers.
#[test]
fn keys_in_pem() {
    for (pem, kty) in [
        (include_str!("../../../../tests/keys/rsa.pem"), "RSA"),
        (include_str!("../../../../tests/keys/p256.pem"), "EC"),
        (include_str!("../../../../tests/keys/ed25519.pem"), "OKP"),
    ] {
        let jwk = parse_pem(pem).unwrap().to_jwk(Some("k".to_owned()));
        assert_eq!((&*jwk.kty, jwk.kid.as_deref()), (kty, Some("k")));
        assert_eq!(Key::parse(&jwk).unwrap().to_jwk(jwk.kid.clone()), jwk);
        if kty == "RSA" {
            assert_eq!(jwk, Signer::rsa().public(Some("k")));
        }
    }
}
