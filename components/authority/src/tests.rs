//! Tests of the decisions, over records that the domain wrote.

use crate::decisions::{self, Clock, Credential, Identity, Refusal};
use crate::token::TOKEN_LIMIT;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use sschat_domain::membership::{self, Outcome, Pair};
use sschat_domain::memory::{Memory, block_on};
use sschat_domain::record::{App, Secret};
use sschat_domain::{ApiKey, AppId, RoomId, UserId, removal, tenant};
use std::cell::Cell;

const NOW: u64 = 1_800_000_000;

/// A clock that counts how often it is read.
#[derive(Default)]
struct Watch(Cell<u32>);

impl Clock for Watch {
    fn now(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        NOW
    }
}

struct World {
    store: Memory,
    watch: Watch,
}

/// A tenant that the test made.
struct Tenant {
    id: AppId,
    key: ApiKey,
    secret: Secret,
}

fn bytes(number: u8) -> [u8; 16] {
    [number; 16]
}

impl World {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            watch: Watch::default(),
        }
    }

    fn tenant(&self, number: u8, require_token: bool) -> Tenant {
        let (id, key) = (
            AppId::from_random(bytes(number)),
            ApiKey::from_random(bytes(number)),
        );
        let secret = Secret::from_random([number; 32]);
        let app = App {
            key: key.digest(),
            label: None,
            require_token,
            secrets: vec![secret.clone()],
        };
        block_on(tenant::register(&self.store, id, &app)).unwrap();
        Tenant { id, key, secret }
    }

    fn user(&self, tenant: &Tenant, number: u8) -> UserId {
        let user = UserId::from_random(bytes(number));
        assert_eq!(
            block_on(tenant::create_user(&self.store, tenant.id, user)),
            Ok(true)
        );
        user
    }

    fn room(&self, tenant: &Tenant, number: u8, members: &[UserId]) -> RoomId {
        let room = RoomId::from_random(bytes(number));
        assert_eq!(
            block_on(tenant::create_room(&self.store, tenant.id, room)),
            Ok(true)
        );
        for &user in members {
            let pair = Pair {
                tenant: tenant.id,
                room,
                user,
            };
            assert_eq!(
                block_on(membership::add(&self.store, pair)),
                Ok(Outcome::Done)
            );
        }
        room
    }

    fn log_in(&self, presented: Credential<'_>) -> Result<(Identity, Option<u64>), &'static str> {
        let login = block_on(decisions::log_in(&self.store, &self.watch, presented));
        login
            .map(|login| (login.who, login.expires))
            .map_err(checked)
    }

    fn by_user(&self, app: Option<AppId>, user: &str) -> Result<Identity, &'static str> {
        let app = app.map(|app| app.to_string());
        let presented = Credential {
            app: app.as_deref(),
            user: Some(user),
            token: None,
        };
        self.log_in(presented).map(|(who, _)| who)
    }

    fn by_token(&self, app: Option<AppId>, token: &str) -> Result<Option<u64>, &'static str> {
        let app = app.map(|app| app.to_string());
        let presented = Credential {
            app: app.as_deref(),
            user: None,
            token: Some(token),
        };
        self.log_in(presented).map(|(_, expires)| expires)
    }

    /// The get-many calls, and the keys read, that a decision takes.
    fn reads<T>(&self, decide: impl FnOnce() -> T) -> (T, u64, u64) {
        let (calls, keys) = (self.store.batches_read(), self.store.operations());
        let verdict = decide();
        let calls = self.store.batches_read() - calls;
        (verdict, calls, self.store.operations() - keys)
    }
}

fn checked(refusal: Refusal) -> &'static str {
    let code = refusal.code;
    assert!(
        code.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    );
    code
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token of these claims, signed with that algorithm.
fn signed(algorithm: &str, claims: &Value, secret: &str) -> String {
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
fn a_bare_user_id_is_a_login_unless_the_app_wants_tokens() {
    let world = World::new();
    let (app, other, strict) = (
        world.tenant(1, false),
        world.tenant(2, false),
        world.tenant(3, true),
    );
    let (user, guarded) = (world.user(&app, 1), world.user(&strict, 3));
    let name = user.to_string();
    let who = Identity {
        tenant: app.id,
        user,
    };
    assert_eq!(world.by_user(None, &name), Ok(who));
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

#[test]
fn members_publish_and_nobody_else() {
    let world = World::new();
    let (app, other) = (world.tenant(1, false), world.tenant(2, false));
    let (user, guest) = (world.user(&app, 1), world.user(&app, 2));
    let stranger = world.user(&other, 3);
    let room = world.room(&app, 1, &[user]);
    let theirs = world.room(&other, 2, &[stranger]);
    let may = |tenant: AppId, user: UserId, room: &str| {
        let verdict = decisions::may_publish(&world.store, Identity { tenant, user }, room);
        block_on(verdict).map_err(|refusal| (checked(refusal.clone()), refusal.reason))
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
        let who = Identity {
            tenant: app.id,
            user,
        };
        let other = other.to_string();
        block_on(decisions::may_see(&world.store, who, &other)).map_err(checked)
    };
    assert_eq!(may(one, one), Ok(()));
    assert_eq!((may(one, two), may(two, one)), (Ok(()), Ok(())));
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
    assert_eq!(may(one, two), Ok(()));
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
    let who = Identity {
        tenant: app.id,
        user,
    };
    let mut found = Vec::new();
    let mut cursor = None;
    let mut pages = 0;
    loop {
        let page = decisions::rooms(&world.store, who, cursor.as_deref());
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
    let wrong = block_on(decisions::rooms(&world.store, who, Some("x"))).map_err(checked);
    assert_eq!(wrong, Err("invalid_cursor"));
    let nobody = Identity {
        tenant: app.id,
        user: UserId::from_random(bytes(9)),
    };
    let unknown = block_on(decisions::rooms(&world.store, nobody, None)).map_err(checked);
    assert_eq!(unknown, Err("unknown_user"));
}

#[test]
fn a_decision_reads_as_little_as_it_can() {
    let world = World::new();
    let app = world.tenant(1, false);
    let (user, other) = (world.user(&app, 1), world.user(&app, 2));
    let room = world.room(&app, 1, &[user, other]).to_string();
    let who = Identity {
        tenant: app.id,
        user,
    };
    let name = user.to_string();
    let (_, calls, keys) = world.reads(|| world.by_user(None, &name));
    assert_eq!((calls, keys), (2, 3), "log in by user id");
    let (_, calls, keys) = world.reads(|| world.by_user(Some(app.id), &name));
    assert_eq!((calls, keys), (1, 2), "log in by user id and app");
    let token = signed(
        "HS256",
        &json!({"sub": user, "app": app.id}),
        app.secret.expose(),
    );
    let (_, calls, keys) = world.reads(|| world.by_token(None, &token));
    assert_eq!((calls, keys), (1, 2), "log in by token");
    let (_, calls, keys) =
        world.reads(|| block_on(decisions::may_publish(&world.store, who, &room)));
    assert_eq!((calls, keys), (1, 4), "publish");
    let (_, calls, keys) = world.reads(|| block_on(decisions::may_see(&world.store, who, &name)));
    assert_eq!((calls, keys), (1, 2), "see oneself");
    let name = other.to_string();
    let (_, calls, keys) = world.reads(|| block_on(decisions::may_see(&world.store, who, &name)));
    assert_eq!((calls, keys), (4, 5 + 1 + 2 + 1), "see another");
    let (_, calls, keys) = world.reads(|| block_on(decisions::rooms(&world.store, who, None)));
    assert_eq!((calls, keys), (4, 3 + 1 + 1 + 1), "rooms");
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
