//! Bad input gets a clear answer, and disturbs nobody else.

mod building;
mod components;
mod connections;
mod messages;
mod requests;
mod stalled;
mod startup;

use sschat_tests::{App, Chat, Host};

/// Two members whose conversation must go on whatever others do.
struct Bystanders {
    app: App,
    room: String,
    alice: String,
    a: Chat,
    b: Chat,
}

impl Bystanders {
    async fn meet(host: &Host) -> Self {
        let app = App::register(host).await;
        let (room, [alice, bob]) = app.room_of().await;
        let a = Chat::as_user(host, &alice).await;
        let b = Chat::as_user(host, &bob).await;
        Self {
            app,
            room,
            alice,
            a,
            b,
        }
    }

    /// Fails unless REST and messages still work on connections that were open before.
    async fn still_talk(&mut self) {
        self.a.say(&self.room, "still here").await;
        self.b
            .expect_message("still here", &self.alice, &self.room)
            .await;
        self.app.get(&format!("/api/room/{}", self.room)).await;
    }
}

/// A connection with a message that is refused with `code`, and that goes on afterwards.
async fn refused(host: &Host, user: &str, message: &str, code: &str) {
    let mut chat = Chat::as_user(host, user).await;
    chat.send_text(message).await;
    let refusal = chat.refusal().await;
    assert_eq!(refusal["code"], code, "{message}: {refusal}");
    let keys: Vec<_> = refusal.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "data", "type"], "{refusal}");
    assert_eq!(
        chat.ping(user).await["data"],
        "online",
        "the connection goes on after {message:?}"
    );
}
