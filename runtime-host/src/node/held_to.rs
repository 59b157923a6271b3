//! What a session is held to by the settings of its tenant. Looked up with its grant, so
//! that a change counts from the session's next command on; a session of a tenant that says
//! nothing has nothing of this.

use super::Sessions;
use crate::hub::ConnectionKey;
use crate::socket::Turn;
use crate::wasm::authority::Limits;
use sschat_protocol::centrifuge::session::{Millis, Rate, Settings};
use sschat_protocol::seed::{self, Step};

/// How many seconds' worth of commands may come at once.
const BURST: u32 = 5;

/// See the module's documentation.
pub(super) struct HeldTo {
    /// The limits within those of the host.
    pub(super) settings: Settings,
    /// The pace of a session of the seed's protocol; the other protocol keeps its own.
    rate: Rate,
    limits: Limits,
}

impl HeldTo {
    fn new(limits: Limits, host: &Settings) -> Self {
        let least = |most: usize, wanted: Option<u32>| {
            wanted.map_or(most, |wanted| most.min(wanted as usize))
        };
        let channels = least(host.channels, limits.channels);
        let wanted = limits.commands_per_second;
        let pace = wanted.map_or(host.commands_per_second, |wanted| {
            wanted.min(host.commands_per_second)
        });
        // Who comes back subscribes to all its channels at once.
        let coming_back = u32::try_from(channels)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let burst = pace.saturating_mul(BURST).max(coming_back);
        let settings = Settings {
            channels,
            channel_length: least(host.channel_length, limits.channel_length),
            payload: least(host.payload, limits.message_size),
            commands_per_second: pace,
            burst: wanted.map_or(host.burst, |_| burst.min(host.burst)),
            ..host.clone()
        };
        Self {
            settings,
            rate: Rate::default(),
            limits,
        }
    }
}

impl Sessions {
    /// Holds a session to these limits from now on.
    pub(super) fn hold_to(
        &mut self,
        key: ConnectionKey,
        limits: Option<&Limits>,
        turn: &mut Turn<'_>,
    ) {
        let host = self.clients.settings();
        let fresh = limits.map(|limits| Box::new(HeldTo::new(*limits, host)));
        let Some(session) = self
            .sessions
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return;
        };
        let before = session.held_to.as_ref().map(|held| held.limits);
        if before.as_ref() == limits {
            return;
        }
        session.held_to = fresh;
        turn.bound(key, limits.and_then(|limits| limits.queue_size));
    }

    /// What follows from a message of the seed's protocol; `again` where it waited for a decision.
    pub(super) fn step<'a>(&mut self, key: ConnectionKey, text: &'a str, again: bool) -> Step<'a> {
        let now: Millis = self.clients.now();
        let nobody = seed::Session {
            logged_in: false,
            longest: usize::MAX,
            pace: None,
        };
        let mut session = self.session(key).map_or(nobody, |session| {
            let held = session.held_to.as_deref_mut();
            seed::Session {
                logged_in: session.who.is_some(),
                longest: held.as_ref().map_or(usize::MAX, |it| it.settings.payload),
                pace: held
                    .filter(|held| held.limits.commands_per_second.is_some())
                    .map(|held| (&mut held.rate, &held.settings)),
            }
        });
        match again {
            true => session.again(text),
            false => session.command(text, now),
        }
    }

    /// How many rooms a session may name, where its tenant says so, and how long their names may be.
    pub(super) fn may_name(&mut self, key: ConnectionKey) -> Option<(usize, usize)> {
        let held = self.session(key)?.held_to.as_deref()?;
        Some((held.settings.channels, held.settings.channel_length))
    }
}
