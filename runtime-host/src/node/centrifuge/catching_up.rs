//! Catching up: a client takes its seat in a channel at a known position, and is given what it missed before.
//!
//! From the moment that a client begins to catch up, what is said in the channel is set aside for it, and the history
//! is read meanwhile. What the history has, and after its top what was set aside, goes into the answer; in the same
//! turn the client takes its seat. So nothing is lost in between and nothing comes twice: what was given an offset
//! before the history was read is mailed before the answer is ([`Channel::settle`]).
//!
//! Whoever is on hold, or in doubt about what has changed, is answered nothing until that is over: a member who was
//! removed meanwhile must not read the history.

use super::Until;
use super::recovery::{Aside, CatchUp, Caught, Claim, Purpose, Read, read};
use crate::broker::{Channel, Publication as Said};
use crate::hub::ConnectionKey;
use crate::node::publish::Taken;
use crate::node::{Command, Heard, Sessions};
use crate::policy::memo::Watcher;
use crate::socket::Turn;
use sschat_protocol::centrifuge::{Disconnect, Failure};
use std::sync::Arc;

impl Sessions {
    /// Begins to catch up with a channel, which the client hears from now on. What it is told, where that is known at
    /// once; else the history is being read.
    pub(super) fn catch_up(
        &mut self,
        key: ConnectionKey,
        heard: &Heard,
        (purpose, claim): (Purpose, Option<Claim>),
    ) -> Option<Caught> {
        let (shard, channel) = (self.shard, &heard.channel);
        let node = Arc::clone(&self.node);
        channel.entered(shard);
        if !node.broker.keeps_history() {
            return Some(Caught::heard_since(None, claim.is_some()));
        }
        // After it entered: whatever is said from now on finds it here.
        if let Some(position) = node.broker.position(channel, shard)
            && claim.as_ref().is_none_or(|claim| claim.is(position))
        {
            return Some(Caught::at(position, claim.is_some()));
        }
        let watcher = self.session(key)?.watcher;
        let reading = read(&node.broker, channel, claim.clone());
        self.clients.caught += 1;
        let serial = self.clients.caught;
        let catch_up = CatchUp {
            serial,
            heard: heard.clone(),
            purpose,
            claim,
            aside: Aside::default(),
            read: None,
        };
        self.client(key)?.catching_up.push(catch_up);
        let catching = self.clients.catching_up.entry(channel.id).or_default();
        catching.push(watcher);
        let channel = Arc::clone(channel);
        let attended = node.broker.attend(std::slice::from_ref(&channel));
        self.node.runtime.spawn(async move {
            if let Some(attended) = attended {
                attended.await;
            }
            let read = reading.await;
            if let Err(error) = &read {
                tracing::warn!(%error, "history was not read");
            }
            channel.settle();
            node.post
                .tell(shard, Command::CaughtUp(watcher, serial, read));
        });
        None
    }

    /// Sets a publication aside for those who catch up with its channel.
    pub(in crate::node) fn set_aside(&mut self, channel: &Channel, said: Taken<'_>) {
        let Some(watchers) = self.clients.catching_up.get(&channel.id) else {
            return;
        };
        // What no history keeps is for those alone who are there already.
        if said.stamp.is_none() {
            return;
        }
        let limit = self.node.settings.recovery_bytes;
        let publication = Arc::new(Said {
            message: said.message.into(),
            from: said.from.into(),
            by: said.by.cloned(),
            tags: said.tags.cloned(),
            stamp: said.stamp,
        });
        for watcher in watchers.clone() {
            let key = self.find(watcher);
            let Some(client) = key.and_then(|key| self.client(key)) else {
                continue;
            };
            let of_channel = |it: &&mut CatchUp| it.heard.channel.id == channel.id;
            if let Some(catch_up) = client.catching_up.iter_mut().find(of_channel) {
                catch_up.set_aside(&publication, limit);
            }
        }
    }

    /// The history of a channel was read.
    pub(in crate::node) fn caught_up(
        &mut self,
        (watcher, serial): (Watcher, u64),
        read: Read,
        turn: &mut Turn<'_>,
    ) {
        let Some(key) = self.find(watcher) else {
            return;
        };
        let Some(client) = self.client(key) else {
            return;
        };
        let this = |it: &&mut CatchUp| it.serial == serial;
        // It may have given up.
        let Some(catch_up) = client.catching_up.iter_mut().find(this) else {
            return;
        };
        catch_up.read = Some(read);
        self.answer_what_is_known(key, turn);
    }

    /// Takes out what the client catches up with and is to be told now.
    pub(super) fn take_caught_up(
        &mut self,
        key: ConnectionKey,
        mut which: impl FnMut(&CatchUp) -> bool,
    ) -> Option<CatchUp> {
        let session = self.session(key)?;
        let watcher = session.watcher;
        let catching = &mut session.client.as_deref_mut()?.catching_up;
        let at = catching.iter().position(&mut which)?;
        let catch_up = catching.swap_remove(at);
        if catching.is_empty() {
            *catching = Vec::new();
        }
        self.forget_catching_up(watcher, catch_up.heard.channel.id);
        Some(catch_up)
    }

    fn forget_catching_up(&mut self, watcher: Watcher, channel: u64) {
        if let Some(watchers) = self.clients.catching_up.get_mut(&channel) {
            watchers.retain(|it| *it != watcher);
            if watchers.is_empty() {
                self.clients.catching_up.remove(&channel);
            }
        }
    }

    /// The client gives up catching up with channels, which it does not hear then.
    pub(in crate::node) fn give_up_catching(
        &mut self,
        key: ConnectionKey,
        mut which: impl FnMut(&Heard) -> bool,
    ) -> Vec<(Heard, Option<u32>)> {
        let mut given_up = Vec::new();
        while let Some(catch_up) = self.take_caught_up(key, |it| which(&it.heard)) {
            catch_up.heard.channel.left(self.shard);
            let command = match catch_up.purpose {
                Purpose::Subscribe(asked) => Some(asked.id),
                Purpose::Connect | Purpose::Membership => None,
            };
            given_up.push((catch_up.heard, command));
        }
        given_up
    }

    /// Whether the client catches up with this channel.
    pub(in crate::node) fn is_catching_up(&mut self, key: ConnectionKey, channel: u64) -> bool {
        let client = self.client(key);
        client.is_some_and(|it| {
            it.catching_up
                .iter()
                .any(|it| it.heard.channel.id == channel)
        })
    }

    /// The client catches up with nothing any more, and its connect is not answered.
    pub(in crate::node) fn stop_catching_up(&mut self, key: ConnectionKey) {
        if !self.is_client(key) {
            return;
        }
        self.give_up_catching(key, |_| true);
        let welcome = self.client(key).and_then(|client| client.welcome.take());
        for (heard, _) in welcome.into_iter().flat_map(|it| it.caught) {
            heard.channel.left(self.shard);
        }
    }

    /// Answers a client what it waits for, as far as that is known and may be told now.
    pub(in crate::node) fn answer_what_is_known(
        &mut self,
        key: ConnectionKey,
        turn: &mut Turn<'_>,
    ) {
        let doubt = self.doubts();
        let Some(session) = self.session(key) else {
            return;
        };
        let (watcher, held, granted) = (session.watcher, session.held, session.granted);
        let Some(client) = session.client.as_deref_mut() else {
            return;
        };
        if doubt {
            return self.clients.in_doubt.push(watcher);
        }
        if let Some(welcome) = &client.welcome {
            let mut open = client.catching_up.iter();
            // A newer grant is on its way otherwise, and begins this anew.
            if welcome.admission.epoch >= held && open.all(CatchUp::is_read) {
                if client.catching_up.iter().any(CatchUp::is_in_vain) {
                    return self.disconnect(key, &Disconnect::SERVER_ERROR, turn);
                }
                self.welcome(key, turn);
            }
            return;
        }
        if held > granted {
            return;
        }
        let mut budget = self.node.settings.recovery_bytes;
        while let Some(catch_up) = self.take_caught_up(key, CatchUp::is_read) {
            let (heard, purpose) = (catch_up.heard.clone(), catch_up.purpose.clone());
            if catch_up.is_in_vain() {
                if self.caught_nothing(key, &heard.channel, &purpose, turn) {
                    continue;
                }
                return;
            }
            let caught = catch_up.caught(&mut budget);
            match purpose {
                Purpose::Subscribe(asked) => {
                    let mut out = std::mem::take(&mut self.clients.replies);
                    self.subscribed(key, asked, (&heard, &caught), &mut out, turn);
                    self.flush(key, out, turn);
                    self.go_on_after(key, Until::Answer, turn);
                }
                Purpose::Connect | Purpose::Membership => {
                    self.take_member(key, (&heard, &caught), turn);
                }
            }
        }
        self.answer_history(key, turn);
        self.answer_call(key, turn);
    }

    /// The history of a channel can't be read just now: the client tries again, where it may. Whether it is still there.
    fn caught_nothing(
        &mut self,
        key: ConnectionKey,
        channel: &Channel,
        purpose: &Purpose,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Purpose::Subscribe(asked) = purpose else {
            channel.left(self.shard);
            self.disconnect(key, &Disconnect::SERVER_ERROR, turn);
            return false;
        };
        self.stays_away(key, channel);
        let id = asked.id;
        self.say(key, turn, |session, _, _, out| {
            session.refused(id, &Failure::INTERNAL, out);
        });
        self.go_on_after(key, Until::Answer, turn);
        self.is_client(key)
    }

    /// Answers those who were in doubt before.
    pub(super) fn answer_after_doubt(&mut self, turn: &mut Turn<'_>) {
        for watcher in std::mem::take(&mut self.clients.in_doubt) {
            if let Some(key) = self.find(watcher) {
                self.answer_what_is_known(key, turn);
            }
        }
    }
}
