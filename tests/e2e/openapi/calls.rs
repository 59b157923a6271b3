//! Calls whose answers are held against the document: of policies, and of what is said.

use super::Judge;
use bytes::Bytes;
use sschat_tests::App;
use sschat_tests::policy::on_command;

pub(super) async fn check_policies(judge: &mut Judge, app: &App) {
    for (id, method, path, body) in [
        ("showPolicy", "GET", "", Bytes::new()),
        ("promoteCandidate", "POST", "/promote", Bytes::new()),
        ("changePolicy", "PUT", "", on_command()),
        ("changePolicy", "PUT", "?mode=shadow", on_command()),
        ("changePolicy", "PUT", "?rule=open", Bytes::new()),
        ("changePolicy", "PUT", "?rule=closed", Bytes::new()),
        ("changePolicy", "PUT", "", "no component".into()),
        ("showPolicy", "GET", "", Bytes::new()),
        ("promoteCandidate", "POST", "/promote", Bytes::new()),
        ("dropCandidate", "DELETE", "/candidate", Bytes::new()),
        ("showPolicyConfig", "GET", "/config", Bytes::new()),
        ("setPolicyConfig", "PUT", "/config", "[1]".into()),
        ("setPolicyConfig", "PUT", "/config", "[".into()),
        ("showPolicyConfig", "GET", "/config", Bytes::new()),
        ("deletePolicyConfig", "DELETE", "/config", Bytes::new()),
        ("deletePolicy", "DELETE", "", Bytes::new()),
        ("changePolicy", "POST", "", Bytes::new()),
    ] {
        judge.check(id, &app.policy(method, path, body).await);
    }
    let nobody = app.rest.call("GET", "/api/policy").await;
    judge.check("showPolicy", &nobody);
    let (room, [user]) = app.room_of().await;
    for query in [
        format!("action=publish&user={user}&room={room}"),
        format!("action=publish&user={user}&room=none"),
        format!("action=rooms&user={user}"),
        format!("action=login&user={user}"),
        "action=fly&user=x".to_owned(),
    ] {
        let path = format!("/api/explain?{query}&apikey={}", app.key);
        judge.check("explain", &app.rest.get(&path).await);
    }
}

pub(super) async fn check_tokens(judge: &mut Judge, app: &App) {
    let path = format!("/api/register/{}", app.key);
    let nobody = "/api/register/apikey_00000000000040008000000000000000";
    let key = include_str!("../../keys/ed25519.pem").replace('\n', "\\n");
    let wanted = format!(r#"{{"keys":["{key}"],"algorithms":["EdDSA","HS256"],"issuer":"us"}}"#);
    for (id, method, path, body) in [
        ("rotateSecret", "POST", format!("{path}/secret"), ""),
        ("retireSecret", "DELETE", format!("{path}/secret"), ""),
        ("retireSecret", "DELETE", format!("{path}/secret"), ""),
        ("rotateSecret", "POST", format!("{nobody}/secret"), ""),
        ("retireSecret", "PUT", format!("{path}/secret"), ""),
        ("setTokens", "PUT", format!("{path}/tokens"), &*wanted),
        ("setTokens", "PUT", format!("{path}/tokens"), "[]"),
        ("showTokens", "GET", format!("{path}/tokens"), ""),
        ("showTokens", "GET", format!("{nobody}/tokens"), ""),
        ("setTokens", "PUT", format!("{path}/tokens"), "{}"),
    ] {
        let answer = app.rest.send(method, &path, &[], body.to_owned()).await;
        judge.check(id, &answer);
    }
}

pub(super) async fn check_rooms(judge: &mut Judge, app: &App) {
    let (room, [user]) = app.room_of().await;
    let say = format!("/api/room/{room}/message");
    let shown = format!("/api/room/{room}/history");
    let quoted = format!(r#""channel":"{room}""#);
    for (id, method, path, body) in [
        ("say", "POST", format!("{say}?from=u"), "1".to_owned()),
        ("say", "POST", say.clone(), "[".to_owned()),
        (
            "say",
            "POST",
            "/api/room/none/message".into(),
            "1".to_owned(),
        ),
        ("say", "PUT", say, "1".to_owned()),
        ("showHistory", "GET", shown.clone(), String::new()),
        (
            "showHistory",
            "GET",
            format!("{shown}?limit=x"),
            String::new(),
        ),
        (
            "showHistory",
            "GET",
            format!("{shown}?since=1&epoch=x"),
            String::new(),
        ),
        (
            "apiPublish",
            "POST",
            "/api/publish".into(),
            format!(r#"{{{quoted},"data":1}}"#),
        ),
        ("apiPublish", "POST", "/api/publish".into(), "{}".into()),
        ("apiPublish", "POST", "/api/publish".into(), "[".into()),
        (
            "apiBroadcast",
            "POST",
            "/api/broadcast".into(),
            format!(r#"{{"channels":["{room}","x"],"data":1}}"#),
        ),
        (
            "apiHistory",
            "POST",
            "/api/history".into(),
            format!(r#"{{{quoted},"limit":-1}}"#),
        ),
        (
            "apiPresence",
            "POST",
            "/api/presence".into(),
            format!("{{{quoted}}}"),
        ),
        (
            "apiPresenceStats",
            "POST",
            "/api/presence_stats".into(),
            format!("{{{quoted}}}"),
        ),
        (
            "apiHistoryRemove",
            "POST",
            "/api/history_remove".into(),
            format!("{{{quoted}}}"),
        ),
        (
            "apiSubscribe",
            "POST",
            "/api/subscribe".into(),
            format!(r#"{{"user":"{user}",{quoted}}}"#),
        ),
        (
            "apiUnsubscribe",
            "POST",
            "/api/unsubscribe".into(),
            format!(r#"{{"user":"{user}",{quoted}}}"#),
        ),
        (
            "apiDisconnect",
            "POST",
            "/api/disconnect".into(),
            format!(r#"{{"user":"{user}","disconnect":{{"code":4000}}}}"#),
        ),
        (
            "apiRefresh",
            "POST",
            "/api/refresh".into(),
            format!(r#"{{"user":"{user}"}}"#),
        ),
        ("apiChannels", "POST", "/api/channels".into(), String::new()),
        ("apiInfo", "POST", "/api/info".into(), "{}".into()),
        (
            "apiBatch",
            "POST",
            "/api/batch".into(),
            r#"{"commands":[{"info":{}}]}"#.into(),
        ),
    ] {
        let headers = [("x-api-key", &app.key[..])];
        let answer = app.rest.send(method, &path, &headers, body).await;
        judge.check(id, &answer);
    }
}

pub(super) async fn check_events(judge: &mut Judge, app: &App) {
    for (id, method, path, body) in [
        ("showWebhook", "GET", "/api/webhook", ""),
        ("readEvents", "GET", "/api/events", ""),
        ("rotateWebhookSecret", "POST", "/api/webhook/secret", ""),
        ("setWebhook", "PUT", "/api/webhook", "[]"),
        ("setWebhook", "PUT", "/api/webhook", r#"{"kinds":["join"]}"#),
        (
            "setWebhook",
            "PUT",
            "/api/webhook",
            r#"{"url":"https://h/"}"#,
        ),
        ("setWebhook", "PATCH", "/api/webhook", ""),
        ("showWebhook", "GET", "/api/webhook", ""),
        ("rotateWebhookSecret", "POST", "/api/webhook/secret", ""),
        ("retireWebhookSecret", "DELETE", "/api/webhook/secret", ""),
        ("readEvents", "GET", "/api/events?since=x", ""),
        ("readEvents", "POST", "/api/events", ""),
        ("deleteWebhook", "DELETE", "/api/webhook", ""),
        ("deleteWebhook", "DELETE", "/api/webhook", ""),
    ] {
        let headers = [("x-api-key", &app.key[..])];
        let answer = app.rest.send(method, path, &headers, body.to_owned()).await;
        judge.check(id, &answer);
    }
    judge.check("readEvents", &app.rest.call("GET", "/api/events").await);
    // A stream ends with the settings; where they went before it began, once more.
    loop {
        app.webhook(&serde_json::json!({})).await;
        let (read, _) = tokio::join!(
            app.call("GET", "/api/events?since=start"),
            app.call("DELETE", "/api/webhook")
        );
        judge.check("readEvents", &read);
        if read.status == 200 {
            return;
        }
    }
}
