//! Hosts on one Redis: REST at one, sockets at another, and a program that writes as Spin's
//! components do beside them.

use serde_json::json;
use sschat_tests::{App, Chat, Host, Options, Redis, within};
use std::fmt::Write as _;
use std::time::Instant;
use tempfile::TempDir;

/// The documented close code of a session whose user, app or key is gone.
const REVOKED: u16 = 4501;

/// Hosts on one Redis, and what they need.
struct Shared {
    redis: Redis,
    folder: TempDir,
}

impl Shared {
    fn start() -> Self {
        Self::on(Redis::start())
    }

    fn on(redis: Redis) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = String::from("[key_value_store.default]\ntype = \"redis\"\n");
        writeln!(config, "url = {:?}", redis.url()).unwrap();
        std::fs::write(folder.path().join("runtime.toml"), config).unwrap();
        Self { redis, folder }
    }

    fn file(&self) -> String {
        let path = self.folder.path().join("runtime.toml");
        path.to_str().unwrap().to_owned()
    }

    fn options(&self) -> Options {
        Options::new().arg("--runtime-config-file").arg(self.file())
    }

    async fn host(&self) -> Host {
        Host::start(self.options()).await
    }

    /// Reads of any kind that Redis has answered.
    fn reads(&self) -> u64 {
        let reads = ["get", "mget", "eval_ro", "exists", "scan", "strlen"];
        reads.iter().map(|command| self.redis.calls(command)).sum()
    }
}

#[tokio::test]
async fn rest_at_one_host_changes_sessions_at_another() {
    let shared = Shared::start();
    let (api, realtime) = (shared.host().await, shared.host().await);
    let app = App::register(&api).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&realtime, &alice).await;
    let mut b = Chat::as_user(&realtime, &bob).await;
    for round in 0..30 {
        a.say(&room, round).await;
        b.expect_message(round, &alice, &room).await;
        app.remove(&room, &bob).await;
        b.membership(&room, "remove").await;
        b.say(&room, "not from me").await;
        assert_eq!(b.refusal().await["code"], "not_a_member");
        app.add(&room, &bob).await;
        b.membership(&room, "add").await;
    }
    // What one host wrote the other's components read at once.
    let other = app.at(&realtime);
    let carol = app.user().await;
    other.add(&room, &carol).await;
    let rooms = &app.get(&format!("/api/user/{carol}")).await["data"]["rooms"];
    assert_eq!(*rooms, json!([room]));
    app.delete_user(&bob).await;
    b.expect_close(REVOKED).await;
    app.delete().await;
    a.expect_close(REVOKED).await;
}

#[tokio::test]
async fn a_program_that_writes_as_spin_does_evicts_a_session() {
    let shared = Shared::start();
    let host = shared.host().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    let key = format!("{}/member/{room}/{bob}", tenant(&shared.redis, &room, &bob));
    assert_eq!(shared.redis.run(&["DEL", &key]).number(), 1);
    b.membership(&room, "remove").await;
    a.say(&room, "still here?").await;
    b.say(&room, "no").await;
    assert_eq!(b.refusal().await["code"], "not_a_member");
}

/// What the keys of the tenant of `user` begin with.
fn tenant(redis: &Redis, room: &str, user: &str) -> String {
    let pattern = format!("*/member/{room}/{user}");
    let found = redis.run(&["KEYS", &pattern]);
    let sschat_tests::redis::Reply::Array(Some(keys)) = found else {
        panic!("{found:?}")
    };
    let key = keys.first().expect("the membership is there").text();
    key.split('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_publication_reads_nothing() {
    let shared = Shared::start();
    let (api, realtime) = (shared.host().await, shared.host().await);
    let app = App::register(&api).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&realtime, &alice).await;
    let mut b = Chat::as_user(&realtime, &bob).await;
    a.say(&room, "first").await;
    b.expect_message("first", &alice, &room).await;
    let (before, start) = (shared.reads(), Instant::now());
    // Some leases long, so that the feed was proven anew meanwhile.
    let mut said = 0;
    while said < 1_000 || start.elapsed().as_secs() < 3 {
        a.say(&room, said).await;
        b.expect_message(said, &alice, &room).await;
        said += 1;
    }
    assert_eq!(shared.reads(), before, "after {said} publications");
}

#[tokio::test]
async fn sessions_outlive_a_redis_that_is_killed_and_comes_back() {
    let mut shared = Shared::start();
    let host = shared.host().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    a.say(&room, "before").await;
    b.expect_message("before", &alice, &room).await;
    shared.redis.kill();
    let status = within("REST fails", app.call("GET", &format!("/api/room/{room}"))).await;
    assert!(status.status >= 500, "{}", status.status);
    shared.redis.restart();
    // Held, not refused: what is said meanwhile waits for the decision.
    a.say(&room, "after").await;
    b.expect_message("after", &alice, &room).await;
    app.remove(&room, &bob).await;
    b.membership(&room, "remove").await;
}

/// A host that was stopped, while a member was removed at another, wakes up to what that
/// member's friend said meanwhile.
#[tokio::test]
async fn a_host_that_was_stopped_delivers_nothing_to_who_was_removed_meanwhile() {
    let shared = Shared::start();
    let (api, realtime) = (shared.host().await, shared.host().await);
    let app = App::register(&api).await;
    let (room, [alice, bob, carol]) = app.room_of().await;
    let mut a = Chat::as_user(&realtime, &alice).await;
    let mut b = Chat::as_user(&realtime, &bob).await;
    let mut c = Chat::as_user(&realtime, &carol).await;
    for round in 0..5 {
        c.say(&room, "before").await;
        a.expect_message("before", &carol, &room).await;
        b.expect_message("before", &carol, &room).await;
        realtime.signal("STOP").await;
        app.remove(&room, &bob).await;
        a.say(&room, round).await;
        // Longer than the feed's lease: nobody is pushed.
        shared.redis.run(&["BLPOP", "nothing", "1.2"]);
        realtime.signal("CONT").await;
        c.expect_message(round, &alice, &room).await;
        let heard = b.next().await;
        assert_eq!(heard["type"], "room", "{heard}");
        assert_eq!(heard["data"], "remove", "{heard}");
        app.add(&room, &bob).await;
        b.membership(&room, "add").await;
    }
}

#[tokio::test]
async fn a_state_that_is_gone_ends_its_sessions() {
    let shared = Shared::start();
    let host = shared.host().await;
    let app = App::register(&host).await;
    let (_, [alice]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    shared.redis.run(&["FLUSHALL"]);
    a.expect_close(REVOKED).await;
}

#[tokio::test]
async fn a_redis_with_tls_has_to_prove_itself() {
    let shared = Shared::on(Redis::start_tls());
    let authority = shared.redis.authority();
    let trusting = shared
        .options()
        .env("SSL_CERT_FILE", authority.to_str().unwrap());
    let host = Host::start(trusting).await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut a = Chat::as_user(&host, &alice).await;
    let mut b = Chat::as_user(&host, &bob).await;
    a.say(&room, "hello").await;
    b.expect_message("hello", &alice, &room).await;
    let (status, said) = Host::refused(shared.options()).await;
    assert!(!status.success() && said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn check_says_what_redis_is_like() {
    let repository = sschat_tests::host::repository();
    let manifest = repository.to_str().unwrap();
    let careless = Shared::on(Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]));
    let file = careless.file();
    let arguments = ["check", "--from", manifest, "--runtime-config-file", &file];
    let (status, said) = Host::run(&arguments).await;
    assert!(status.success(), "{said}");
    for what in ["Redis 7", "noeviction", "appendonly yes"] {
        assert!(said.contains(what), "{what:?} is missing:\n{said}");
    }
    let mut gone = Shared::start();
    gone.redis.kill();
    let file = gone.file();
    let arguments = ["check", "--from", manifest, "--runtime-config-file", &file];
    let (status, said) = Host::run(&arguments).await;
    assert!(
        !status.success() && said.contains("key_value_store.default"),
        "{said}"
    );
}
