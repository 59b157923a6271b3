//! The state, exported and imported between stores of both kinds.

use serde_json::{Value, json};
use sschat_tests::token::sign;
use sschat_tests::{App, Chat, Host, Options, Redis, Terminal};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tempfile::TempDir;

/// What a file says of each key.
fn entries(text: &str) -> BTreeMap<String, Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let keys = lines.filter(|line: &Value| line["key"].is_string());
    keys.map(|line| (line["key"].as_str().unwrap().to_owned(), line))
        .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn runtime(terminal: &Terminal, redis: &Redis) -> String {
    let text = format!(
        "[key_value_store.default]\ntype = \"redis\"\nurl = \"{}\"\n",
        redis.url()
    );
    terminal.file("runtime.toml", &text)
}

/// Everything that an app has is there, and its members talk.
async fn holds(host: &Host, app: &App, room: &str, users: &[String; 2]) {
    let app = app.at(host);
    let mut members: Vec<String> = serde_json::from_value(
        app.get(&format!("/api/room/{room}")).await["data"]["members"].clone(),
    )
    .unwrap();
    members.sort();
    let mut wanted = users.to_vec();
    wanted.sort();
    assert_eq!(members, wanted);
    let [alice, bob] = users;
    let token = sign(&json!({"sub": alice, "app": app.id}), &app.secret);
    let mut a = Chat::connect(host).await;
    a.send(&json!({"command": "login", "token": token})).await;
    assert_eq!(a.next().await["type"], "login");
    let mut b = Chat::as_user(host, bob).await;
    b.say(room, "moved").await;
    a.expect_message("moved", bob, room).await;
    // What was counted goes on from there.
    let user = app.user().await;
    app.add(room, &user).await;
    let remove = format!("/api/room/{room}/{user}/remove");
    app.call("PUT", &remove).await.expect(200);
    app.call("DELETE", &format!("/api/user/{user}"))
        .await
        .expect(200);
}

#[tokio::test]
async fn from_a_database_to_redis_and_back_everything_is_there() {
    let terminal = Terminal::default();
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = |folder: &TempDir| folder.path().to_str().unwrap().to_owned();
    let host = Host::start(Options::new().state(first.path())).await;
    let app = App::register(&host).await;
    let (room, users) = app.room_of().await;
    holds(&host, &app, &room, &users).await;
    // The host runs on meanwhile.
    let out = terminal.file("out.jsonl", "");
    let exported = terminal
        .run(&["export", "--state-dir", &path(&first), &out])
        .await;
    assert!(exported.ok().contains(" keys"));
    holds(&host, &app, &room, &users).await;
    let busy = terminal
        .run(&["import", "--merge", "--state-dir", &path(&first), &out])
        .await;
    busy.refused(1, &["in use by another sschat process"]);
    drop(host);
    let redis = Redis::start();
    let runtime = runtime(&terminal, &redis);
    let to_redis = ["import", "--runtime-config-file", &runtime, &out];
    terminal.run(&to_redis).await.ok();
    let again = terminal.run(&to_redis).await;
    again.refused(1, &["is not empty", "--replace", "--merge"]);
    let options = || Options::new().args(&["--runtime-config-file", &runtime]);
    let host = Host::start(options()).await;
    holds(&host, &app, &room, &users).await;
    // A host that runs hears of what is put in beside it.
    let replaced = [&to_redis[..1], &["--replace"], &to_redis[1..]].concat();
    terminal.run(&replaced).await.ok();
    holds(&host, &app, &room, &users).await;
    let back = terminal.file("back.jsonl", "");
    terminal
        .run(&["export", "--runtime-config-file", &runtime, &back])
        .await
        .ok();
    drop(host);
    // Rooms' logs and what hosts say of themselves are no state.
    let keys = |file: &str| entries(&read(file)).into_keys().collect::<Vec<_>>();
    assert!(keys(&back).iter().all(|key| !key.starts_with("sschat-")));
    let state = path(&second);
    terminal
        .run(&["import", "--state-dir", &state, &back])
        .await
        .ok();
    let host = Host::start(Options::new().state(second.path())).await;
    holds(&host, &app, &room, &users).await;
    drop(host);
    // From a database to a database nothing changes at all.
    let third = TempDir::new().unwrap();
    terminal
        .run(&["import", "--state-dir", &path(&third), &out])
        .await
        .ok();
    let same = terminal.file("same.jsonl", "");
    terminal
        .run(&["export", "--state-dir", &path(&third), &same])
        .await
        .ok();
    assert_eq!(entries(&read(&same)), entries(&read(&out)));
    assert!(keys(&out).iter().any(|key| key.ends_with("/count")));
}

/// What one commit wrote is in it as a whole or not at all, however busy the host is.
#[tokio::test]
async fn an_export_is_of_one_moment() {
    let terminal = Terminal::default();
    let state = TempDir::new().unwrap();
    let host = Host::start(Options::new().state(state.path())).await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let busy = {
        let (app, room) = (app.clone(), room.clone());
        tokio::spawn(async move {
            loop {
                let user = app.user().await;
                app.add(&room, &user).await;
            }
        })
    };
    let folder = state.path().to_str().unwrap();
    let mut sizes = BTreeSet::new();
    for _ in 0..8 {
        let out = terminal.file("out.jsonl", "");
        terminal
            .run(&["export", "--state-dir", folder, &out])
            .await
            .ok();
        let found = entries(&read(&out));
        let prefix = |what: &str| format!("{}/{what}/", app.id);
        // A user's record and the pointer to its tenant are of one commit.
        let records = found
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix("user")));
        let records: BTreeSet<&str> = records.collect();
        let pointers = found
            .keys()
            .filter_map(|key| key.strip_prefix("index/user/"));
        assert_eq!(records, pointers.collect::<BTreeSet<_>>());
        sizes.insert(found.len());
    }
    busy.abort();
    assert!(sizes.len() > 1, "the host was busy: {sizes:?}");
}

#[tokio::test]
async fn a_file_that_is_not_whole_changes_nothing() {
    let terminal = Terminal::default();
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let host = Host::start(Options::new().state(from.path())).await;
    App::register(&host).await.room().await;
    let out = terminal.file("out.jsonl", "");
    let from = from.path().to_str().unwrap();
    terminal
        .run(&["export", "--state-dir", from, &out])
        .await
        .ok();
    let whole = read(&out);
    let lines: Vec<&str> = whole.lines().collect();
    let last = lines.len();
    let without_end = lines[..last - 1].join("\n") + "\n";
    let to = to.path().to_str().unwrap();
    for (text, words) in [
        (String::new(), "line 1: the file ends here"),
        ("{}\n".to_owned(), "line 1: this is no export"),
        (
            whole.replacen(":1,", ":2,", 1),
            "line 1: the format is 2; this program reads 1",
        ),
        (without_end, "the file ends here, before its end"),
        (
            whole[..whole.len() / 2].to_owned(),
            "the file ends here, before its end",
        ),
        (whole.replacen("slot", "slut", 1), "its digest is another"),
        (
            whole.replacen("\"key\"", "\"kay\"", 1),
            "line 2: this is neither a key nor the end",
        ),
        (
            [lines[0], lines[last - 1], ""].join("\n"),
            "line 2: the file is not what was written",
        ),
    ] {
        let file = terminal.file("wrong.jsonl", &text);
        let refused = terminal.run(&["import", "--state-dir", to, &file]).await;
        refused.refused(1, &[words]);
        let checked = terminal.run(&["import", "--check", &file]).await;
        checked.refused(1, &[words]);
    }
    assert!(!Path::new(to).join("sqlite_key_value.db").exists());
    let checked = terminal.run(&["import", "--check", &out]).await.ok();
    assert!(checked.contains("is whole"), "{checked}");
    let nothing = terminal
        .run(&["export", "--state-dir", "/nowhere", &out])
        .await;
    nothing.refused(1, &["/nowhere"]);
    assert_eq!(read(&out), whole, "what was there before is there still");
    let unknown = ["export", "--state-dir", from, "--label", "other", &out];
    terminal
        .run(&unknown)
        .await
        .refused(1, &["there are default"]);
}
