//! What the node answers, and what it does of its own accord.

use super::{Millis, NEVER, Phase, Session, Settings};
use crate::centrifuge::{Connected, Disconnect, Failure, Push, Reply, Subscription, Unsubscribed};

/// The longest time that a token may have left, in seconds: a year. More is an error of whoever made it.
const MAX_TTL: u32 = 365 * 24 * 3600;

impl Session {
    /// The answer to a connect: it is granted.
    ///
    /// The intervals of pings are the settings', not `grant`'s. A session that `expires` ends unless it is refreshed.
    ///
    /// # Errors
    /// [`Disconnect::CHANNEL_LIMIT`] for more subscriptions than the settings allow.
    pub fn connected(
        &mut self,
        now: Millis,
        settings: &Settings,
        id: u32,
        grant: &Connected<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Disconnect> {
        if grant.subs.len() > settings.server_channels {
            return Err(Disconnect::CHANNEL_LIMIT);
        }
        self.phase = Phase::Connected;
        self.ends = ends(
            now,
            lasts(grant.expires, grant.ttl),
            settings.refresh_within,
        );
        self.first_ping(now, settings);
        for (channel, result) in grant.subs {
            let ends = sub_ends(now, settings, result);
            self.channels.insert(channel, ends, result, true);
        }
        let connected = Connected {
            ping: settings.ping_every,
            pong: settings.ping_every > 0 && settings.pong_within > 0,
            ttl: grant.ttl.min(MAX_TTL),
            ..*grant
        };
        self.reply(id, &Reply::Connect(&connected), out);
        Ok(())
    }

    /// The answer to a subscribe: it is granted. `false` if the client left meanwhile, which it is told: the node stops
    /// the deliveries.
    pub fn subscribed(
        &mut self,
        now: Millis,
        settings: &Settings,
        id: u32,
        result: &Subscription<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(pending) = self.channels.end(id) else {
            return false;
        };
        self.reply(id, &Reply::Subscribe(result), out);
        if let Some(left) = pending.left {
            self.reply(left, &Reply::Unsubscribe, out);
            return false;
        }
        let ends = sub_ends(now, settings, result);
        // A subscription that the server made meanwhile stays; to the client it is the same one.
        self.channels.insert(&pending.channel, ends, result, false);
        true
    }

    /// The answer to a refresh: how many seconds the session lasts, if it ends.
    pub fn refreshed(
        &mut self,
        now: Millis,
        settings: &Settings,
        id: u32,
        ttl: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let ttl = ttl.map(|ttl| ttl.min(MAX_TTL));
        self.ends = ends(now, ttl, settings.refresh_within);
        self.reply(id, &Reply::Refresh(ttl), out);
    }

    /// The answer to a sub_refresh: how many seconds the subscription lasts, if it ends.
    pub fn sub_refreshed(
        &mut self,
        now: Millis,
        settings: &Settings,
        (id, channel): (u32, &str),
        ttl: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let ttl = ttl.map(|ttl| ttl.min(MAX_TTL));
        let ends = ends(now, ttl, settings.sub_refresh_within);
        self.channels.extend(channel, ends);
        self.reply(id, &Reply::SubRefresh(ttl), out);
    }

    /// The answer to a publish, presence, presence_stats, history or rpc.
    pub fn replied(&self, id: u32, reply: &Reply<'_>, out: &mut Vec<u8>) {
        self.reply(id, reply, out);
    }

    /// The answer to any command: it is refused, and the session goes on. After a refused connect nothing more is
    /// taken from the client, which comes back (if the failure is temporary) or goes away.
    pub fn refused(&mut self, id: u32, failure: &Failure, out: &mut Vec<u8>) {
        if self.phase == Phase::Connecting {
            self.phase = Phase::Refused;
        }
        let pending = self.channels.end(id);
        self.error(id, failure, out);
        if let Some(left) = pending.and_then(|pending| pending.left) {
            self.reply(left, &Reply::Unsubscribe, out);
        }
    }

    /// The server subscribes the client. `Ok(false)`, and nothing said, if it is subscribed already.
    ///
    /// # Errors
    /// [`Disconnect::CHANNEL_LIMIT`] for one more than the settings allow.
    pub fn subscribe(
        &mut self,
        now: Millis,
        settings: &Settings,
        channel: &str,
        result: &Subscription<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Disconnect> {
        if self.channels.get(channel).is_some() {
            return Ok(false);
        }
        if self.channels.of_server() >= settings.server_channels {
            return Err(Disconnect::CHANNEL_LIMIT);
        }
        let ends = sub_ends(now, settings, result);
        self.channels.insert(channel, ends, result, true);
        self.push(channel, &Push::Subscribe(result), out);
        Ok(true)
    }

    /// The server ends a subscription, whoever made it. `false`, and nothing said, if there is none. One that is under
    /// way is ended by refusing it.
    pub fn unsubscribe(&mut self, channel: &str, reason: &Unsubscribed, out: &mut Vec<u8>) -> bool {
        let there = self.channels.remove(channel).is_some();
        if there {
            self.push(channel, &Push::Unsubscribe(reason), out);
        }
        there
    }

    /// The backend says something to this session alone.
    pub fn message(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.push("", &Push::Message(payload), out);
    }

    /// The backend extends the session: how many seconds it lasts, if it ends.
    pub fn refresh(
        &mut self,
        now: Millis,
        settings: &Settings,
        ttl: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let ttl = ttl.map(|ttl| ttl.min(MAX_TTL));
        self.ends = ends(now, ttl, settings.refresh_within);
        self.push("", &Push::Refresh(ttl), out);
    }
}

fn lasts(expires: bool, ttl: u32) -> Option<u32> {
    expires.then_some(ttl.min(MAX_TTL))
}

fn ends(now: Millis, ttl: Option<u32>, within: Millis) -> Millis {
    let lasts = |ttl| now.saturating_add(u64::from(ttl) * 1000);
    ttl.map_or(NEVER, |ttl| lasts(ttl).saturating_add(within))
}

fn sub_ends(now: Millis, settings: &Settings, result: &Subscription<'_>) -> Millis {
    ends(
        now,
        lasts(result.expires, result.ttl),
        settings.sub_refresh_within,
    )
}
