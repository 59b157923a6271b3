//! What is published is heard, and found again.

use super::{offsets, post, posted, said, shelf};
use serde_json::json;
use sschat_tests::{App, Chat, Host, Options};

#[tokio::test]
async fn what_a_backend_says_members_hear() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [one, two]) = app.room_of().await;
    let mut first = Chat::as_user(&host, &one).await;
    let mut second = Chat::as_user(&host, &two).await;
    let (offset, epoch) = posted(&app, &room, "{\"text\":\n\"hello\"}").await;
    assert_eq!(offset, 1);
    for chat in [&mut first, &mut second] {
        chat.expect_message(json!({"text": "hello"}), "", &room)
            .await;
    }
    let path = format!("/api/room/{room}/message?from={one}&apikey={}", app.key);
    app.rest.send("POST", &path, &[], "7").await.expect(200);
    first.expect_message(7, &one, &room).await;
    second.expect_message(7, &one, &room).await;
    second.say(&room, "from a session").await;
    first.expect_message("from a session", &two, &room).await;
    let all = shelf(&app, &room, "").await;
    assert_eq!(all["epoch"], epoch);
    assert_eq!(
        (&all["offset"], &all["complete"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(
        said(&all),
        [json!({"text": "hello"}), json!(7), json!("from a session")]
    );
    assert_eq!(offsets(&all), [1, 2, 3]);
    let from = |at: usize| all["publications"][at]["from"].clone();
    assert_eq!(
        [from(0), from(1), from(2)],
        [json!(null), json!(one), json!(two)]
    );
}

#[tokio::test]
async fn a_page_is_what_was_asked_for() {
    let host = Host::start(Options::new().arg("--history-size").arg("5")).await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let mut epoch = String::new();
    for number in 1..=8 {
        epoch = posted(&app, &room, &number.to_string()).await.1;
    }
    let page = async |query: &str| shelf(&app, &room, query).await;
    assert_eq!(offsets(&page("").await), [4, 5, 6, 7, 8], "five are kept");
    assert_eq!(offsets(&page("?limit=2").await), [4, 5]);
    assert_eq!(offsets(&page("?limit=2&reverse=true").await), [8, 7]);
    let since = page(&format!("?since=6&epoch={epoch}")).await;
    assert_eq!(
        (offsets(&since), &since["complete"]),
        (vec![7, 8], &json!(true))
    );
    assert_eq!(offsets(&page("?since=6&reverse=true").await), [5, 4]);
    let gap = page("?since=2").await;
    assert_eq!(
        (offsets(&gap), &gap["complete"]),
        (vec![4, 5, 6, 7, 8], &json!(false))
    );
    let top = page("?limit=0").await;
    assert_eq!((offsets(&top), &top["offset"]), (vec![], &json!(8)));
}

#[tokio::test]
async fn a_key_that_comes_again_is_said_once() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let mut chat = Chat::as_user(&host, &user).await;
    let path = format!(
        "/api/room/{room}/message?idempotency_key=k&apikey={}",
        app.key
    );
    let first = app.rest.send("POST", &path, &[], "1").await.expect(200);
    let again = app.rest.send("POST", &path, &[], "2").await.expect(200);
    assert_eq!(first.json(), again.json());
    posted(&app, &room, "3").await;
    chat.expect_message(1, "", &room).await;
    chat.expect_message(3, "", &room).await;
}

#[tokio::test]
async fn a_host_without_history_says_so_and_still_publishes() {
    let host = Host::start(Options::new().arg("--history").arg("none")).await;
    host.says("rooms keep no history").await;
    let app = App::register(&host).await;
    let (room, [user]) = app.room_of().await;
    let mut chat = Chat::as_user(&host, &user).await;
    let answer = post(&app, &room, "1").await.expect(200).json();
    assert_eq!(answer, json!({"status": "ok"}));
    chat.expect_message(1, "", &room).await;
    let path = format!("/api/room/{room}/history");
    app.call("GET", &path).await.expect_error(501, "no_history");
}

#[tokio::test]
async fn a_history_in_memory_ends_with_the_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let memory = || {
        let options = Options::new().state(folder.path());
        options.env("SSCHAT_HISTORY", "memory")
    };
    let host = Host::start(memory()).await;
    host.says("in memory: all is lost when the host ends").await;
    let app = App::register(&host).await;
    let room = app.room().await;
    let (_, epoch) = posted(&app, &room, "1").await;
    assert_eq!(said(&shelf(&app, &room, "").await), [json!(1)]);
    host.kill().await;
    let host = Host::start(memory()).await;
    let app = app.at(&host);
    let after = shelf(&app, &room, "").await;
    assert!(said(&after).is_empty());
    assert_ne!(after["epoch"], epoch, "so that nobody recovers across it");
}
