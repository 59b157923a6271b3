//! What a tenant chose, as the component says it.

use super::{Limits, Terms};
use crate::bindings::authority::sschat::policy::types;

impl From<types::Limits> for Limits {
    fn from(said: types::Limits) -> Self {
        Self {
            channels: said.channels,
            message_size: said.message_size,
            queue_size: said.queue_size,
            channel_length: said.channel_length,
            commands_per_second: said.commands_per_second,
        }
    }
}

impl From<types::Terms> for Terms {
    fn from(said: types::Terms) -> Self {
        Self {
            message_size: said.message_size,
            history_size: said.history_size,
            history_age: said.history_age,
        }
    }
}
