//! Commands that come in: which are in order, and what is said to the others.

use super::{Millis, Phase, Session, Settings, Step, limits::Pace};
use crate::{
    centrifuge::{
        Command, Delta, Disconnect, Failure, Format, MAX_DEPTH, Reply, Request, Subscribe, is_json,
    },
    nesting,
};

/// Why a command goes no further.
enum Refusal {
    /// An error in its reply.
    Error(Failure),
    /// The end of the session.
    Close(Disconnect),
    /// It was answered, and nothing follows.
    Answered,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Error(failure)
    }
}

impl From<Disconnect> for Refusal {
    fn from(disconnect: Disconnect) -> Self {
        Self::Close(disconnect)
    }
}

impl Session {
    /// Takes a command of the client. Replies that need no node are appended to `out`.
    pub fn command<'a>(
        &mut self,
        now: Millis,
        settings: &Settings,
        command: Command<'a>,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        let checked = self
            .in_order(&command)
            .and_then(|()| self.paced(now, settings, &command))
            .and_then(|()| self.check(settings, &command, out));
        match checked {
            Ok(()) => Step::Act(command),
            Err(Refusal::Answered) => Step::Done,
            Err(Refusal::Close(disconnect)) => Step::Close(disconnect),
            Err(Refusal::Error(failure)) => {
                self.error(command.id, &failure, out);
                Step::Done
            }
        }
    }

    /// What must be so of every command, else the client does not speak this protocol.
    fn in_order(&mut self, command: &Command<'_>) -> Result<(), Refusal> {
        let is_connect = matches!(command.request, Request::Connect(_));
        let expected = match self.phase {
            Phase::Fresh => is_connect,
            Phase::Connected => !is_connect,
            Phase::Connecting | Phase::Refused => false,
        };
        if !expected {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        match (&command.request, command.id) {
            (Request::Pong, 0) if self.pinged => {
                self.pinged = false;
                self.pong_by = super::NEVER;
                Err(Refusal::Answered)
            }
            (Request::Pong, _) => Err(Disconnect::BAD_REQUEST.into()),
            (Request::Send(_), 0) => Ok(()),
            (_, 0) => Err(Disconnect::BAD_REQUEST.into()),
            (_, id) if self.ids.insert(id) => Ok(()),
            _ => Err(Disconnect::BAD_REQUEST.into()),
        }
    }

    fn paced(
        &mut self,
        now: Millis,
        settings: &Settings,
        command: &Command<'_>,
    ) -> Result<(), Refusal> {
        match self.rate.pace(now, settings) {
            Pace::Fine => Ok(()),
            // Nobody would learn that a message without an answer was dropped.
            Pace::Fast if matches!(command.request, Request::Send(_)) => {
                Err(Disconnect::TOO_MANY_REQUESTS.into())
            }
            Pace::Fast => Err(Failure::TOO_MANY_REQUESTS.into()),
            Pace::Flood => Err(Disconnect::TOO_MANY_REQUESTS.into()),
        }
    }

    fn check(
        &mut self,
        settings: &Settings,
        command: &Command<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        match &command.request {
            Request::Connect(connect) => {
                self.payload(settings, connect.data)?;
                self.phase = Phase::Connecting;
            }
            Request::Subscribe(subscribe) => self.may_subscribe(settings, command.id, subscribe)?,
            Request::Unsubscribe(it) => {
                named(&it.channel)?;
                return self.unsubscribe_asked(command.id, &it.channel, out);
            }
            Request::Publish(it) => {
                self.channel_name(settings, &it.channel)?;
                if it.kind != 0 {
                    return Err(Failure::NOT_AVAILABLE.into());
                }
                self.publication(settings, it.data)?;
            }
            Request::Presence(it) | Request::PresenceStats(it) => {
                self.channel_name(settings, &it.channel)?;
            }
            Request::History(it) => self.channel_name(settings, &it.channel)?,
            Request::Rpc(it) => self.payload(settings, it.data)?,
            Request::Send(it) => {
                if self.payload(settings, it.data).is_err() {
                    return Err(Disconnect::BAD_REQUEST.into());
                }
            }
            Request::Refresh(it) => {
                // A session that does not end by itself has no token to refresh.
                if it.token.is_empty() || self.ends == super::NEVER {
                    return Err(Disconnect::BAD_REQUEST.into());
                }
            }
            Request::SubRefresh(it) => {
                named(&it.channel)?;
                let entry = self.channels.get(&it.channel);
                if !entry.ok_or(Failure::PERMISSION_DENIED)?.expires() {
                    return Err(Disconnect::BAD_REQUEST.into());
                }
                if it.token.is_empty() {
                    return Err(Failure::BAD_REQUEST.into());
                }
            }
            Request::Ping => {
                self.reply(command.id, &Reply::Ping, out);
                return Err(Refusal::Answered);
            }
            Request::Pong => return Err(Refusal::Answered),
        }
        Ok(())
    }

    fn may_subscribe(
        &mut self,
        settings: &Settings,
        id: u32,
        subscribe: &Subscribe<'_>,
    ) -> Result<(), Refusal> {
        let channel = subscribe.channel.as_ref();
        self.channel_name(settings, channel)?;
        if subscribe.kind != 0 {
            return Err(Failure::NOT_AVAILABLE.into());
        }
        if subscribe.delta == Delta::Unknown {
            return Err(Disconnect::BAD_REQUEST.into());
        }
        if subscribe.filter.as_ref().is_some_and(|it| !it.check()) {
            return Err(Failure::BAD_REQUEST.into());
        }
        self.payload(settings, subscribe.data)?;
        if self.channels.get(channel).is_some() || self.channels.pending(channel).is_some() {
            return Err(Failure::ALREADY_SUBSCRIBED.into());
        }
        if self.channels.of_client() >= settings.channels {
            return Err(Failure::LIMIT_EXCEEDED.into());
        }
        self.channels.begin(id, channel);
        Ok(())
    }

    /// An unsubscribe succeeds, whatever there was. One that overtakes its subscribe is answered after it.
    fn unsubscribe_asked(
        &mut self,
        id: u32,
        channel: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if let Some(pending) = self.channels.pending(channel)
            && pending.left.is_none()
        {
            pending.left = Some(id);
            return Err(Refusal::Answered);
        }
        let entry = self.channels.remove(channel);
        self.reply(id, &Reply::Unsubscribe, out);
        entry.map(drop).ok_or(Refusal::Answered)
    }

    fn channel_name(&self, settings: &Settings, channel: &str) -> Result<(), Refusal> {
        named(channel)?;
        if channel.len() > settings.channel_length {
            return Err(Failure::BAD_REQUEST.into());
        }
        Ok(())
    }

    /// A payload for the backend: of bounded size and, in JSON, of bounded depth.
    fn payload(&self, settings: &Settings, payload: &[u8]) -> Result<(), Refusal> {
        if payload.len() > settings.payload {
            return Err(Failure::LIMIT_EXCEEDED.into());
        }
        let deep = |text| nesting::exceeds(text, MAX_DEPTH);
        if self.format == Format::Json && str::from_utf8(payload).is_ok_and(deep) {
            return Err(Failure::BAD_REQUEST.into());
        }
        Ok(())
    }

    /// A payload for the members of a channel, who may all speak JSON.
    fn publication(&self, settings: &Settings, payload: &[u8]) -> Result<(), Refusal> {
        self.payload(settings, payload)?;
        let unchecked = self.format == Format::Protobuf && settings.json_only;
        if payload.is_empty() || (unchecked && !is_json(payload)) {
            return Err(Failure::BAD_REQUEST.into());
        }
        Ok(())
    }
}

/// No SDK leaves out the channel.
fn named(channel: &str) -> Result<(), Refusal> {
    if channel.is_empty() {
        return Err(Disconnect::BAD_REQUEST.into());
    }
    Ok(())
}
