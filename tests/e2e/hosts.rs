//! Three hosts on one Redis: what is said at one reaches every member at all of them, once
//! and in order, whatever is killed meanwhile.

use crate::history::{offsets, post, posted, said, shelf};
use serde_json::json;
use sschat_tests::{App, Chat, Cluster, Host, Options, Redis, Sentinel, within};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Within this time the users of a dead host are offline everywhere.
const LEASE: Duration = Duration::from_secs(10);

pub(crate) struct Shared {
    pub(crate) redis: Redis,
    /// What carries publications and presence, where that is not the same Redis.
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl Shared {
    pub(crate) fn start() -> Self {
        let (redis, folder) = (Redis::start(), TempDir::new().unwrap());
        let config = format!(
            "[key_value_store.default]\ntype = \"redis\"\nurl = {:?}\n",
            redis.url()
        );
        std::fs::write(folder.path().join("runtime.toml"), config).unwrap();
        Self {
            redis,
            cluster: None,
            folder,
        }
    }

    /// As [`Shared::start`], with a cluster for publications and presence.
    pub(crate) fn clustered() -> Self {
        Self {
            cluster: Some(Cluster::start()),
            ..Self::start()
        }
    }

    /// How a host of these is started.
    pub(crate) fn options(&self) -> Options {
        let file = self.folder.path().join("runtime.toml");
        let options = Options::new().arg("--runtime-config-file").arg(file);
        match &self.cluster {
            Some(cluster) => options.arg("--broker-url").arg(cluster.urls()),
            None => options,
        }
    }

    pub(crate) async fn host(&self) -> Host {
        Host::start(self.options().arg("--history-size").arg("1000")).await
    }
}

/// Fails unless the next messages are `from..to`, each once and in order.
async fn hears(chat: &mut Chat, (from, to): (u64, u64), room: &str, speaker: &str) {
    for number in from..to {
        chat.expect_message(number, speaker, room).await;
    }
}

#[tokio::test]
async fn all_members_on_all_hosts_hear_everything_once_and_in_order() {
    let mut shared = Shared::start();
    let (a, b, c) = (
        shared.host().await,
        shared.host().await,
        shared.host().await,
    );
    let app = App::register(&a).await;
    let (room, [alice, bob, carol, dave]) = app.room_of().await;
    let mut speaker = Chat::as_user(&a, &alice).await;
    let mut listeners = Vec::new();
    for host in [&a, &b, &c] {
        for user in [&bob, &carol] {
            listeners.push(Chat::as_user(host, user).await);
        }
    }
    let mut doomed = Chat::as_user(&c, &dave).await;
    for number in 0..300_u64 {
        speaker.say(&room, number).await;
    }
    hears(&mut doomed, (0, 300), &room, &alice).await;
    for chat in &mut listeners {
        hears(chat, (0, 300), &room, &alice).await;
    }
    // A host is killed in the midst of it; the others miss nothing.
    listeners.truncate(4);
    for number in 300..400_u64 {
        speaker.say(&room, number).await;
    }
    drop(c);
    for number in 400..500_u64 {
        speaker.say(&room, number).await;
    }
    for chat in &mut listeners {
        hears(chat, (300, 500), &room, &alice).await;
    }
    // So is Redis, which comes back with what it had written.
    for number in 500..600_u64 {
        speaker.say(&room, number).await;
    }
    shared.redis.kill();
    for number in 600..650_u64 {
        speaker.say(&room, number).await;
    }
    shared.redis.restart();
    for number in 650..700_u64 {
        speaker.say(&room, number).await;
    }
    for chat in &mut listeners {
        hears(chat, (500, 700), &room, &alice).await;
    }
}

#[tokio::test]
async fn history_is_one_on_all_hosts() {
    let shared = Shared::start();
    let (a, b) = (shared.host().await, shared.host().await);
    let app = App::register(&a).await;
    let other = app.at(&b);
    let (room, [_alice]) = app.room_of().await;
    let mut places = Vec::new();
    for (index, app) in [&app, &other, &app, &other].into_iter().enumerate() {
        places.push(posted(app, &room, &index.to_string()).await);
    }
    assert!(places.iter().map(|it| it.0).eq(1..=4), "{places:?}");
    assert!(places.iter().all(|it| it.1 == places[0].1), "{places:?}");
    for app in [&app, &other] {
        let all = shelf(app, &room, "").await;
        assert_eq!(
            (said(&all), offsets(&all)),
            (
                vec![json!(0), json!(1), json!(2), json!(3)],
                vec![1, 2, 3, 4]
            )
        );
        assert_eq!(all["epoch"], places[0].1);
    }
}

#[tokio::test]
async fn a_primary_that_died_is_replaced_by_what_sentinels_say() {
    let mut sentinel = Sentinel::start();
    let folder = TempDir::new().unwrap();
    let start = async || {
        let file = folder.path().join("runtime.toml");
        let url = sentinel.url();
        let config = format!("[key_value_store.default]\ntype = \"redis\"\nurl = {url:?}\n");
        std::fs::write(&file, config).unwrap();
        Host::start(Options::new().arg("--runtime-config-file").arg(file)).await
    };
    let (a, b) = (start().await, start().await);
    let app = App::register(&a).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut speaker = Chat::as_user(&a, &alice).await;
    let mut listener = Chat::as_user(&b, &bob).await;
    for number in 0..20_u64 {
        speaker.say(&room, number).await;
    }
    hears(&mut listener, (0, 20), &room, &alice).await;
    sentinel.fail_over();
    // Refused as temporary until the host has found the other one, which it looks for each second at least.
    let accepted = async {
        loop {
            match post(&app, &room, "20").await {
                answer if answer.status == 200 => return answer.json(),
                answer => answer.expect(503),
            };
        }
    };
    let said = within("the host has found it", accepted).await;
    assert_eq!(said["offset"], 21, "{said}");
    hears(&mut listener, (20, 21), &room, "").await;
    // The state is there, and changes as before.
    let carol = app.user().await;
    app.at(&b).add(&room, &carol).await;
    let mut third = Chat::as_user(&b, &carol).await;
    speaker.say(&room, 21).await;
    for chat in [&mut listener, &mut third] {
        hears(chat, (21, 22), &room, &alice).await;
    }
    app.remove(&room, &bob).await;
    listener.membership(&room, "remove").await;
}

#[tokio::test]
async fn a_cluster_carries_what_is_said() {
    let shared = Shared::clustered();
    let (a, b) = (shared.host().await, shared.host().await);
    let app = App::register(&a).await;
    for _ in 0..12 {
        let (room, [alice, bob]) = app.room_of().await;
        let mut speaker = Chat::as_user(&a, &alice).await;
        let mut listener = Chat::as_user(&b, &bob).await;
        speaker.presence(&bob, "online").await;
        for number in 0..20_u64 {
            speaker.say(&room, number).await;
        }
        hears(&mut listener, (0, 20), &room, &alice).await;
        assert_eq!(shelf(&app.at(&b), &room, "").await["offset"], 20);
        listener.close().await;
        speaker.presence(&bob, "offline").await;
    }
}

#[tokio::test]
async fn a_dead_host_s_users_go_offline_within_a_lease_and_nobody_else() {
    let shared = Shared::start();
    let (a, b) = (shared.host().await, shared.host().await);
    let doomed = shared.host().await;
    let app = App::register(&a).await;
    let (_, [alice, bob, carol]) = app.room_of().await;
    let mut watcher = Chat::as_user(&a, &alice).await;
    let _bob_there = Chat::as_user(&b, &bob).await;
    watcher.presence(&bob, "online").await;
    let _bob = Chat::as_user(&doomed, &bob).await;
    let _carol = Chat::as_user(&doomed, &carol).await;
    watcher.presence(&carol, "online").await;
    let killed = Instant::now();
    drop(doomed);
    // The next word is Carol's end: Bob was not told twice, and is not told to be gone.
    let frame = within("a lease", watcher.next()).await;
    assert_eq!(
        frame,
        json!({"type": "presense", "data": "offline", "from": carol})
    );
    assert!(killed.elapsed() <= LEASE, "{:?}", killed.elapsed());
    assert_eq!(watcher.ping(&bob).await["data"], "online");
    assert_eq!(watcher.ping(&carol).await["data"], "offline");
}

#[tokio::test]
async fn presence_survives_a_redis_that_is_killed() {
    let mut shared = Shared::start();
    let (a, b) = (shared.host().await, shared.host().await);
    let app = App::register(&a).await;
    let (room, [alice, bob]) = app.room_of().await;
    let mut watcher = Chat::as_user(&a, &alice).await;
    let mut there = Chat::as_user(&b, &bob).await;
    watcher.presence(&bob, "online").await;
    shared.redis.kill();
    shared.redis.restart();
    there.say(&room, "still here").await;
    let frame = watcher.next().await;
    assert_eq!(
        frame["data"], "still here",
        "nobody is told to have gone: {frame}"
    );
    there.close().await;
    watcher.presence(&bob, "offline").await;
}
