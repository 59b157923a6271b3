//! Tokens that are signed with private keys: the app names the public ones, or a server
//! that tells them.

use super::{Client, REVOKED, code};
use serde_json::{Value, json};
use sschat_tests::keys::{AUTHORITY, KeyServer, Signer};
use sschat_tests::token::now;
use sschat_tests::{App, Host, Options};

/// What a connect with this token comes to: the client, and the reply.
async fn connect(host: &Host, app: &App, token: &str) -> (Client, Value) {
    let mut client = Client::open(host, app).await;
    let reply = client.ask(json!({"connect": {"token": token}})).await;
    (client, reply)
}

async fn keeps_out(host: &Host, app: &App, token: &str) {
    let mut client = Client::open(host, app).await;
    client.send(json!({"connect": {"token": token}})).await;
    client.expect_close(3500).await;
}

fn claims(user: &str) -> Value {
    json!({"sub": user, "exp": now() + 600})
}

async fn app_with(host: &Host, tokens: &Value) -> App {
    let body = json!({"require_token": true, "tokens": tokens}).to_string();
    App::register_with(host, &body).await
}

/// A host that may ask servers on this machine.
async fn local() -> Host {
    Host::start(Options::new().arg("--private-key-servers")).await
}

#[tokio::test]
async fn public_keys_of_every_kind_let_their_signers_in() {
    let host = Host::plain().await;
    let signers = Signer::all();
    let keys: Vec<Value> = signers.iter().map(|signer| signer.public(None)).collect();
    let app = app_with(&host, &json!({"keys": keys})).await;
    let (_, [alice]) = app.room_of().await;
    let mut clients = Vec::new();
    for signer in &signers {
        let (client, reply) = connect(&host, &app, &signer.sign(&claims(&alice), None)).await;
        assert!(
            reply["connect"].is_object(),
            "{}: {reply}",
            signer.algorithm()
        );
        clients.push(client);
        for algorithm in ["none", "HS256"] {
            keeps_out(
                &host,
                &app,
                &signer.sign_as(algorithm, &claims(&alice), None),
            )
            .await;
        }
    }
    for stranger in [Signer::p256(), Signer::ed25519()] {
        keeps_out(&host, &app, &stranger.sign(&claims(&alice), None)).await;
    }
    // One key is taken back: whoever came by it goes at once, the others stay.
    let path = format!("/api/register/{}/tokens", app.key);
    let body = json!({"keys": keys[1..]}).to_string();
    app.rest.send("PUT", &path, &[], body).await.expect(200);
    clients[0].expect_close(REVOKED).await;
    for client in &mut clients[1..] {
        assert_eq!(client.ask(json!({"ping": {}})).await["ping"], json!({}));
    }
}

#[tokio::test]
async fn a_key_server_is_asked_once_for_all_and_again_for_a_new_key() {
    let host = local().await;
    let server = KeyServer::plain().await;
    let (one, two) = (Signer::p256(), Signer::ed25519());
    server.tell(&[one.public(Some("one"))]);
    let app = app_with(&host, &json!({"jwks_url": server.url()})).await;
    let (_, [alice]) = app.room_of().await;
    let mut joining = Vec::new();
    for number in 0..8 {
        let mut all = claims(&alice);
        all["jti"] = number.to_string().into();
        joining.push(one.sign(&all, Some("one")));
    }
    let joined = futures::future::join_all(joining.iter().map(|token| connect(&host, &app, token)));
    let mut clients = joined.await;
    for (_, reply) in &clients {
        assert!(reply["connect"].is_object(), "{reply}");
    }
    assert_eq!(server.asked(), 1, "eight came at once");
    // Forgers name keys as they like; the server is left alone.
    for kid in ["two", "three"] {
        keeps_out(&host, &app, &two.sign(&claims(&alice), Some(kid))).await;
    }
    assert_eq!(server.asked(), 1);
    // Another wish that changes nothing for them; then another server, which knows them not.
    server.tell(&[two.public(Some("two"))]);
    let path = format!("/api/register/{}/tokens", app.key);
    let same = json!({"jwks_url": server.url(), "algorithms": ["ES256", "EdDSA"]}).to_string();
    app.rest.send("PUT", &path, &[], same).await.expect(200);
    for (client, _) in &mut clients {
        assert_eq!(client.ask(json!({"ping": {}})).await["ping"], json!({}));
    }
    let other = json!({"jwks_url": format!("{}?other", server.url())}).to_string();
    app.rest.send("PUT", &path, &[], other).await.expect(200);
    for (client, _) in &mut clients {
        client.expect_close(REVOKED).await;
    }
    let (_, reply) = connect(&host, &app, &two.sign(&claims(&alice), Some("two"))).await;
    assert!(reply["connect"].is_object(), "{reply}");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_restarted_host_knows_the_keys_without_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Host::start(
            Options::new()
                .arg("--private-key-servers")
                .state(folder.path()),
        )
    };
    let host = start().await;
    let server = KeyServer::plain().await;
    let signer = Signer::p256();
    server.tell(&[signer.public(Some("k"))]);
    let app = app_with(&host, &json!({"jwks_url": server.url()})).await;
    let (_, [alice]) = app.room_of().await;
    let token = signer.sign(&claims(&alice), Some("k"));
    assert!(connect(&host, &app, &token).await.1["connect"].is_object());
    host.kill().await;
    server.answer("500 Oh", "");
    let host = start().await;
    let app = app.at(&host);
    let (mut client, reply) = connect(&host, &app, &token).await;
    assert!(reply["connect"].is_object(), "{reply}");
    assert_eq!(client.ask(json!({"ping": {}})).await["ping"], json!({}));
}

#[tokio::test]
async fn a_server_that_fails_is_a_passing_trouble() {
    let host = local().await;
    let signer = Signer::ed25519();
    let big = "x".repeat(100_000);
    let elsewhere = KeyServer::plain().await;
    elsewhere.tell(&[signer.public(Some("k"))]);
    let redirect = format!("302 Found\r\nlocation: {}", elsewhere.url());
    for (status, body) in [("500 Oh", ""), ("200 OK", &*big), (&*redirect, "")] {
        let server = KeyServer::plain().await;
        server.answer(status, body);
        let app = app_with(&host, &json!({"jwks_url": server.url()})).await;
        let (_, [alice]) = app.room_of().await;
        let (_, reply) = connect(&host, &app, &signer.sign(&claims(&alice), Some("k"))).await;
        assert_eq!(
            (code(&reply), &reply["error"]["temporary"]),
            (&json!(100), &json!(true))
        );
        assert_eq!(server.asked(), 1, "{status}");
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect is followed");
}

/// Whoever registers names an address; it is not to be one of the operator's own.
#[tokio::test]
async fn private_addresses_are_not_asked_unless_the_operator_says_so() {
    let host = Host::start(Options::new().env("SSL_CERT_FILE", AUTHORITY)).await;
    let signer = Signer::p256();
    for server in [KeyServer::plain().await, KeyServer::secure().await] {
        server.tell(&[signer.public(Some("k"))]);
        let app = app_with(&host, &json!({"jwks_url": server.url()})).await;
        let (_, [alice]) = app.room_of().await;
        let (_, reply) = connect(&host, &app, &signer.sign(&claims(&alice), Some("k"))).await;
        assert_eq!(code(&reply), 100, "{reply}");
        assert_eq!(server.asked(), 0, "{}", server.url());
    }
}

#[tokio::test]
async fn a_key_server_is_who_it_says() {
    let server = KeyServer::secure().await;
    let signer = Signer::p256();
    server.tell(&[signer.public(Some("k"))]);
    let private = || Options::new().arg("--private-key-servers");
    for (options, trusted) in [
        (private().env("SSL_CERT_FILE", AUTHORITY), true),
        (private(), false),
    ] {
        let host = Host::start(options).await;
        let app = app_with(&host, &json!({"jwks_url": server.url()})).await;
        let (_, [alice]) = app.room_of().await;
        let (_, reply) = connect(&host, &app, &signer.sign(&claims(&alice), Some("k"))).await;
        assert_eq!(reply["connect"].is_object(), trusted, "{reply}");
    }
}
