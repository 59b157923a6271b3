//! Reads who is online at another host, after a word of it was missed.

use super::hosts::keys;
use super::presence::{Rooms, User};
use super::record::text;
use super::{Shared, locked};
use crate::broker::Mail;
use redis::Value;
use std::collections::HashMap;
use std::sync::Arc;

impl<M: Mail> Shared<M> {
    /// Reads them until there is nothing newer to be read.
    pub(super) async fn read_users(self: Arc<Self>, host: u64) {
        loop {
            let link = self.link.borrow().clone();
            let mut read = None;
            if let Some(link) = link {
                let (users, number) = keys(host);
                let mut command = redis::cmd("EVALSHA");
                command.arg(&link.scripts.users).arg(2);
                command.arg(number).arg(users);
                let answer = link.call(&command).await.ok();
                read = answer.as_ref().and_then(users_of);
            }
            let heard = locked(&self.presence.inner).mirror.read(host, read);
            self.announce(heard.changes);
            if !heard.read {
                return;
            }
        }
    }
}

/// What the script answers: the number, and users with their rooms.
fn users_of(answer: &Value) -> Option<(u64, HashMap<User, Rooms>)> {
    let Value::Array(answer) = answer else {
        return None;
    };
    let [number, Value::Array(entries)] = &answer[..] else {
        return None;
    };
    let number = text(number)?.parse().ok()?;
    let entries = entries.chunks_exact(2).map(|entry| {
        let user = serde_json::from_str(text(&entry[0])?).ok()?;
        Some((user, serde_json::from_str(text(&entry[1])?).ok()?))
    });
    Some((number, entries.collect::<Option<_>>()?))
}
