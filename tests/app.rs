//! An API key, and what one does with it over REST.

use crate::host::Host;
use crate::rest::{Answer, Rest};
use serde_json::Value;
use std::sync::Arc;

/// A registered app.
#[derive(Debug, Clone)]
pub struct App {
    /// The client that everything is sent with.
    pub rest: Arc<Rest>,
    /// The API key.
    pub key: String,
    /// The public id.
    pub id: String,
    /// What signs user tokens.
    pub secret: String,
}

impl App {
    /// Registers an app at `host`.
    pub async fn register(host: &Host) -> Self {
        Self::register_with(host, "").await
    }

    /// Registers an app with a JSON body.
    pub async fn register_with(host: &Host, body: &str) -> Self {
        let rest = Arc::new(Rest::new(host.address()));
        let headers: &[_] = if body.is_empty() {
            &[]
        } else {
            &[("content-type", "application/json")]
        };
        let answer = rest
            .send("POST", "/api/register", headers, body.to_owned())
            .await
            .expect(201)
            .json();
        let text = |name: &str| {
            answer[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {answer}"))
                .to_owned()
        };
        Self {
            key: text("api_key"),
            id: text("app_id"),
            secret: text("secret"),
            rest,
        }
    }

    /// The same app at another host (a restarted one, or a second).
    pub fn at(&self, host: &Host) -> Self {
        Self {
            rest: Arc::new(Rest::new(host.address())),
            ..self.clone()
        }
    }

    /// Sends a request with the API key in the query, the seed's way.
    pub async fn call(&self, method: &str, path: &str) -> Answer {
        let joint = if path.contains('?') { '&' } else { '?' };
        self.rest
            .call(method, &format!("{path}{joint}apikey={}", self.key))
            .await
    }

    /// `GET path` with the API key, expecting 200.
    pub async fn get(&self, path: &str) -> Value {
        self.call("GET", path).await.expect(200).json()
    }

    /// Creates a room.
    pub async fn room(&self) -> String {
        let answer = self.call("POST", "/api/room").await.expect(201).json();
        answer["room_id"].as_str().unwrap().to_owned()
    }

    /// Creates a user.
    pub async fn user(&self) -> String {
        let answer = self.call("POST", "/api/user").await.expect(201).json();
        answer["user_id"].as_str().unwrap().to_owned()
    }

    /// Creates a room with `N` new members.
    pub async fn room_of<const N: usize>(&self) -> (String, [String; N]) {
        let room = self.room().await;
        let mut users = Vec::with_capacity(N);
        for _ in 0..N {
            let user = self.user().await;
            self.add(&room, &user).await;
            users.push(user);
        }
        (room, users.try_into().unwrap())
    }

    /// Makes `user` a member of `room`.
    pub async fn add(&self, room: &str, user: &str) {
        self.call("PUT", &format!("/api/room/{room}/{user}/add"))
            .await
            .expect(200);
    }

    /// Ends the membership of `user` in `room`.
    pub async fn remove(&self, room: &str, user: &str) {
        self.call("PUT", &format!("/api/room/{room}/{user}/remove"))
            .await
            .expect(200);
    }

    /// Deletes a room.
    pub async fn delete_room(&self, room: &str) {
        self.call("DELETE", &format!("/api/room/{room}"))
            .await
            .expect(200);
    }

    /// Deletes a user.
    pub async fn delete_user(&self, user: &str) {
        self.call("DELETE", &format!("/api/user/{user}"))
            .await
            .expect(200);
    }

    /// Deletes the API key itself.
    pub async fn delete(&self) {
        self.rest
            .call("DELETE", &format!("/api/register/{}", self.key))
            .await
            .expect(200);
    }

    /// The ids of all pages of a listing, in order. `pick` finds the page's ids and its `next`.
    pub async fn pages(
        &self,
        path: &str,
        limit: usize,
        pick: impl Fn(&Value) -> (&Value, &Value),
    ) -> Vec<String> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{joint}limit={limit}");
            if let Some(cursor) = &cursor {
                page.push_str("&cursor=");
                page.push_str(cursor);
            }
            let answer = self.get(&page).await;
            let (ids, next) = pick(&answer);
            let ids = ids
                .as_array()
                .unwrap_or_else(|| panic!("no list: {answer}"));
            assert!(ids.len() <= limit, "{} ids on a page of {limit}", ids.len());
            all.extend(ids.iter().map(|id| id.as_str().unwrap().to_owned()));
            match next {
                Value::Null => return all,
                Value::String(next) => cursor = Some(next.clone()),
                other => panic!("next is {other}"),
            }
        }
    }
}
