//! Tests of the decisions, over records that the domain wrote.

use crate::decisions::{self, Clock, Credential, Identity, Refusal};
use crate::name::Name;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use sschat_domain::membership::{self, Outcome, Pair};
use sschat_domain::memory::{Memory, block_on};
use sschat_domain::record::{App, Secret};
use sschat_domain::{ApiKey, AppId, RoomId, UserId, removal, tenant};
use sschat_jws::TOKEN_LIMIT;
use std::cell::Cell;

mod keys;
mod open;
mod passes;
mod policies;
mod revocation;
mod rules;
mod signer;
mod tokens;

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

    /// Whoever knows the id of this app joins and publishes.
    fn open(&self, tenant: &Tenant) {
        let key = sschat_domain::key::policy(tenant.id);
        self.store.put(&key, br#"{"v":1,"rule":"open"}"#);
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
            fallback: None,
            user: Some(user),
            token: None,
        };
        self.log_in(presented).map(|(who, _)| who)
    }

    fn by_token(&self, app: Option<AppId>, token: &str) -> Result<Option<u64>, &'static str> {
        let app = app.map(|app| app.to_string());
        let presented = Credential {
            app: app.as_deref(),
            fallback: None,
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

fn identity(tenant: &Tenant, user: UserId) -> Identity {
    Identity {
        tenant: tenant.id,
        user: Name::Id(user),
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
