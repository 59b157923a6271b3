//! Who is in a room, for a client that hears it.

use super::{Done, Until};
use crate::hub::ConnectionKey;
use crate::node::Sessions;
use crate::node::roll::{Asker, Present, Roll};
use crate::socket::Turn;
use sschat_protocol::centrifuge::{ClientInfo, Failure, Reply};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Sessions {
    /// Asks every host and shard who is in a room, for a client that hears it and may know. Rooms with more sessions on
    /// this host than the limit of presence don't say.
    pub(super) fn presence(
        &mut self,
        key: ConnectionKey,
        (id, room): (u32, &str),
        counted: bool,
        out: &mut Vec<u8>,
    ) -> Done {
        let node = Arc::clone(&self.node);
        let shard = self.shard;
        let Some(session) = self.session(key) else {
            return Done::Next;
        };
        let asker = Asker::Session {
            shard,
            session: session.watcher,
            command: id,
            counted,
        };
        let channel = match session.place(room) {
            Some(place) if place.presence => Arc::clone(&place.channel),
            _ => return self.refused(key, id, &Failure::PERMISSION_DENIED, out),
        };
        if channel.members.load(Ordering::Relaxed) > node.settings.presence_limit {
            return self.refused(key, id, &Failure::NOT_AVAILABLE, out);
        }
        match node.others.clone() {
            None => node.post.ask_who_hears(&channel, Some(Vec::new()), asker),
            Some(others) => {
                let post = node.post.clone();
                node.runtime.spawn(async move {
                    let elsewhere = others.present(&channel.tenant, &channel.room).await;
                    let elsewhere = elsewhere.ok().map(|present| {
                        let present = present.into_iter();
                        present.map(Present::from).collect()
                    });
                    post.ask_who_hears(&channel, elsewhere, asker);
                });
            }
        }
        Done::Wait(Until::Answer)
    }

    /// Everybody has said: the client that asked gets its answer.
    pub(in crate::node) fn rolled(&mut self, roll: &Roll, turn: &mut Turn<'_>) {
        let Asker::Session {
            session,
            command,
            counted,
            ..
        } = roll.asker()
        else {
            return;
        };
        let Some(key) = self.find(*session) else {
            return;
        };
        if !roll.is_complete() {
            self.say(key, turn, |session, _, _, out| {
                session.refused(*command, &Failure::INTERNAL, out);
            });
            self.go_on_after(key, Until::Answer, turn);
            return;
        }
        let present = roll.present();
        let clients: Vec<_> = present
            .iter()
            .map(|present| ClientInfo {
                user: &present.user,
                client: &present.client,
                conn_info: present.info.as_deref().unwrap_or_default().as_bytes(),
                ..ClientInfo::default()
            })
            .collect();
        let users: HashSet<_> = present.iter().map(|present| &present.user).collect();
        let reply = match counted {
            false => Reply::Presence(&clients),
            true => Reply::PresenceStats {
                clients: clients.len() as u32,
                users: users.len() as u32,
            },
        };
        self.say(key, turn, |session, _, _, out| {
            session.replied(*command, &reply, out);
        });
        self.go_on_after(key, Until::Answer, turn);
    }
}
