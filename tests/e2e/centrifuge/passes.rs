//! Subscription tokens, rooms that a token names, and what it says of its user.

use super::{Client, code, info};
use serde_json::{Value, json};
use sschat_tests::token::{now, sign, unsigned};
use sschat_tests::{App, Host};

/// Subscribes with this token; the reply.
async fn subscribe(client: &mut Client, room: &str, token: &str) -> Value {
    let command = json!({"subscribe": {"channel": room, "token": token}});
    client.ask(command).await
}

#[tokio::test]
async fn a_token_lets_its_user_hear_a_room_and_not_speak() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let guest = app.user().await;
    let (mut alice, said) = Client::of(&host, &app, &alice).await;
    let (mut client, _) = Client::of(&host, &app, &guest).await;
    let bare = json!({"subscribe": {"channel": room}});
    assert_eq!(code(&client.ask(bare).await), 103, "no member");
    let token = sign(
        &json!({"sub": guest, "channel": room, "exp": now() + 60}),
        &app.secret,
    );
    let reply = subscribe(&mut client, &room, &token).await;
    assert_eq!(reply["subscribe"]["expires"], true, "{reply}");
    let ttl = reply["subscribe"]["ttl"].as_u64().unwrap();
    assert!((50..=60).contains(&ttl), "{ttl}");
    assert_eq!(code(&subscribe(&mut client, &room, &token).await), 105);
    let publish = json!({"publish": {"channel": room, "data": 1}});
    assert_eq!(code(&client.ask(publish.clone()).await), 103);
    alice.ask(publish).await;
    let (channel, push) = client.push().await;
    assert_eq!((&channel, &push["pub"]["data"]), (&json!(room), &json!(1)));
    assert_eq!(push["pub"]["info"]["client"], said["client"]);
}

#[tokio::test]
async fn tokens_that_let_nobody_hear_a_room() {
    let host = Host::plain().await;
    let (app, other) = (App::register(&host).await, App::register(&host).await);
    let (room, [alice]) = app.room_of().await;
    let (second, guest) = (app.room().await, app.user().await);
    let (mut client, connected) = Client::of(&host, &app, &guest).await;
    let good = json!({"sub": guest, "channel": room});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims, &app.secret)
    };
    for (token, wanted) in [
        (unsigned(&good), 103),
        (sign(&good, &other.secret), 103),
        (with("channel", json!(second)), 103),
        (with("sub", json!(alice)), 103),
        (with("nbf", json!(now() + 3_600)), 103),
        (with("client", json!("another")), 103),
        (with("exp", json!(now() - 5)), 109),
        ("nonsense".to_owned(), 103),
        ("x".repeat(10_000), 103),
    ] {
        let reply = subscribe(&mut client, &room, &token).await;
        assert_eq!(code(&reply), wanted, "{token}: {reply}");
    }
    let nowhere = format!("room_{:032x}", 7);
    let token = sign(&json!({"sub": guest, "channel": nowhere}), &app.secret);
    assert_eq!(code(&subscribe(&mut client, &nowhere, &token).await), 103);
    // None of them did the session any harm.
    let reply = subscribe(
        &mut client,
        &room,
        &with("client", connected["client"].clone()),
    )
    .await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    assert!(reply["subscribe"].get("expires").is_none(), "{reply}");
    let refresh =
        json!({"sub_refresh": {"channel": second, "token": with("exp", json!(now() + 9))}});
    assert_eq!(
        code(&client.ask(refresh).await),
        103,
        "no such subscription"
    );
}

#[tokio::test]
async fn a_subscription_is_refreshed_or_ends() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (kept, lost, guest) = (app.room().await, app.room().await, app.user().await);
    let (mut client, _) = Client::of(&host, &app, &guest).await;
    let token = |room: &str, exp: u64| {
        sign(
            &json!({"sub": guest, "channel": room, "exp": exp}),
            &app.secret,
        )
    };
    for room in [&kept, &lost] {
        let reply = subscribe(&mut client, room, &token(room, now() + 3)).await;
        assert_eq!(reply["subscribe"]["expires"], true, "{reply}");
    }
    let refresh =
        |room: &str, token: String| json!({"sub_refresh": {"channel": room, "token": token}});
    let other = client.ask(refresh(&kept, token(&lost, now() + 60))).await;
    assert_eq!(code(&other), 103);
    let late = client.ask(refresh(&kept, token(&kept, now() - 1))).await;
    assert_eq!(code(&late), 109);
    let reply = client.ask(refresh(&kept, token(&kept, now() + 600))).await;
    let ttl = reply["sub_refresh"]["ttl"].as_u64().unwrap();
    assert!(
        reply["sub_refresh"]["expires"] == true && ttl > 500,
        "{reply}"
    );
    // The other one has its token's end and 25 seconds; pings come meanwhile.
    loop {
        let text = client.chat.next_text().await;
        if text == "{}" {
            client.chat.send_text("{}").await;
            continue;
        }
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["push"]["channel"], json!(lost), "{line}");
        assert_eq!(line["push"]["unsubscribe"]["code"], 2501, "{line}");
        break;
    }
    let say = async |room: &str| {
        let path = format!("/api/room/{room}/message?apikey={}", app.key);
        app.rest.send("POST", &path, &[], "7").await
    };
    say(&lost).await.expect(200);
    say(&kept).await.expect(200);
    let (channel, _) = client.push().await;
    assert_eq!(
        channel,
        json!(kept),
        "and the one that was refreshed goes on"
    );
}

#[tokio::test]
async fn a_room_that_goes_away_ends_what_a_token_gave() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, guest) = (app.room().await, app.user().await);
    let (mut client, _) = Client::of(&host, &app, &guest).await;
    let token = sign(&json!({"sub": guest, "channel": room}), &app.secret);
    assert!(subscribe(&mut client, &room, &token).await["subscribe"].is_object());
    app.call("DELETE", &format!("/api/room/{room}"))
        .await
        .expect(200);
    let (channel, push) = client.push().await;
    assert_eq!(
        (channel, &push["unsubscribe"]["code"]),
        (json!(room), &json!(2000))
    );
}

/// The rooms that a connect subscribed to, sorted.
fn subscribed(connected: &Value) -> Vec<&str> {
    let subs = connected["connect"]["subs"].as_object().expect("subs");
    let mut rooms: Vec<&str> = subs.keys().map(String::as_str).collect();
    rooms.sort_unstable();
    rooms
}

#[tokio::test]
async fn rooms_that_a_token_names_are_subscribed_where_its_user_may_hear_them() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice]) = app.room_of().await;
    let stranger = app.room().await;
    let claims = json!({"sub": alice, "channels": [room, stranger], "subs": {"lobby": {}}});
    let connect = json!({"connect": {"token": sign(&claims, &app.secret)}});
    let mut client = Client::open(&host, &app).await;
    let connected = client.ask(connect.clone()).await;
    assert_eq!(subscribed(&connected), [room.as_str()]);
    // With the rule `open` there are no members, and a token's rooms are how a server subscribes.
    app.call("PUT", "/api/policy?rule=open").await.expect(200);
    let mut client = Client::open(&host, &app).await;
    let connected = client.ask(connect).await;
    let mut wanted = [room.as_str(), &stranger, "lobby"];
    wanted.sort_unstable();
    assert_eq!(subscribed(&connected), wanted);
}

#[tokio::test]
async fn what_a_token_says_of_its_user_is_shown_to_others() {
    let host = Host::plain().await;
    let app = App::register(&host).await;
    let (room, [alice, bob]) = app.room_of().await;
    let (mut bob_client, bob_connected) = Client::of(&host, &app, &bob).await;
    let mut client = Client::open(&host, &app).await;
    let claims = json!({"sub": alice, "info": {"name": "Alice"}});
    let token = sign(&claims, &app.secret);
    let connected = client.ask(json!({"connect": {"token": token}})).await;
    let presence = bob_client.ask(json!({"presence": {"channel": room}})).await;
    let shown = &presence["presence"]["presence"];
    let id = connected["connect"]["client"].as_str().unwrap();
    let mut alices = info(&alice, &connected["connect"]);
    alices["conn_info"] = json!({"name": "Alice"});
    assert_eq!(shown[id], alices, "{presence}");
    let id = bob_connected["client"].as_str().unwrap();
    assert_eq!(shown[id], info(&bob, &bob_connected), "{presence}");
}
