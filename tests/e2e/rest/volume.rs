//! Many members, many at once, and a host that is killed meanwhile.

use super::{members, rooms, set};
use sschat_tests::{App, Host, Options, Rest};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_of_2500_is_read_in_pages() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (app, room) = (app.clone(), room.clone());
        tasks.spawn(async move {
            let mut users = Vec::new();
            for _ in 0..250 {
                let user = app.user().await;
                app.add(&room, &user).await;
                users.push(user);
            }
            users
        });
    }
    let added: BTreeSet<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(added.len(), 2_500);

    let path = format!("/api/room/{room}");
    let first = app.get(&path).await;
    let most = first["data"]["members"].as_array().unwrap().len();
    assert!(most <= 1_000, "{most} members on a page");
    assert!(
        first["data"]["next"].is_string(),
        "{}",
        first["data"]["next"]
    );
    for limit in [1_000, 333] {
        let all = app
            .pages(&path, limit, |page| {
                (&page["data"]["members"], &page["data"]["next"])
            })
            .await;
        assert_eq!(all.len(), 2_500, "none is listed twice");
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), added);
    }
    let users = app
        .pages("/api/user", 1_000, |page| {
            (&page["data"]["users"], &page["data"]["next"])
        })
        .await;
    assert_eq!(users.into_iter().collect::<BTreeSet<_>>(), added);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "cursor=%2e%2e",
        "cursor=",
    ] {
        app.call("GET", &format!("{path}?{bad}")).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_one_room_lose_nothing() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..64 {
        let (app, room) = (app.clone(), room.clone());
        tasks.spawn(async move {
            let user = app.user().await;
            app.add(&room, &user).await;
            if turn % 2 == 0 {
                app.remove(&room, &user).await;
            }
            (turn % 2 == 1).then_some(user)
        });
    }
    let stay: BTreeSet<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(members(&app.get(&format!("/api/room/{room}")).await), stay);
    for user in &stay {
        assert_eq!(
            rooms(&app.get(&format!("/api/user/{user}")).await),
            set([&room])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let state = tempfile::tempdir().unwrap();
    let options = || Options::new().state(state.path());
    let host = Host::start(options()).await;
    let app = App::register(&host).await;
    let (room, [keeps]) = app.room_of().await;

    // Writers go on until the host is gone; each reports what was acknowledged.
    let (acknowledged, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (address, key, room) = (host.address(), app.key.clone(), room.clone());
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                loop {
                    let rest = Rest::new(address);
                    let made = rest
                        .call("POST", &format!("/api/user?apikey={key}"))
                        .await
                        .expect(201)
                        .json();
                    let user = made["user_id"].as_str().unwrap().to_owned();
                    rest.call("PUT", &format!("/api/room/{room}/{user}/add?apikey={key}"))
                        .await
                        .expect(200);
                    if acknowledged.send(user).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(acknowledged);
    let mut users = BTreeSet::from([keeps]);
    while users.len() < 100 {
        users.insert(
            sschat_tests::within("an acknowledged add", seen.recv())
                .await
                .unwrap(),
        );
    }
    host.kill().await;
    for writer in writers {
        // Its last request met a host that is gone.
        let _ = writer.await;
    }
    while let Some(user) = seen.recv().await {
        users.insert(user);
    }

    let host = Host::start(options()).await;
    let app = app.at(&host);
    let path = format!("/api/room/{room}");
    let found = app.pages(&path, 1_000, |page| {
        (&page["data"]["members"], &page["data"]["next"])
    });
    let found: BTreeSet<String> = found.await.into_iter().collect();
    let lost: Vec<_> = users.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged members are lost",
        lost.len(),
        users.len()
    );
    for user in &users {
        assert_eq!(
            rooms(&app.get(&format!("/api/user/{user}")).await),
            set([&room])
        );
    }
}
