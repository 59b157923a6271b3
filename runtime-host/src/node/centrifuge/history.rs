//! What was said in a channel. Nothing is kept yet: whoever asks is told so, and never that it recovered.

use super::Done;
use crate::broker::Channel;
use crate::hub::ConnectionKey;
use crate::node::Sessions;
use sschat_protocol::centrifuge::{Failure, History, Publication, Reply};

/// A part of a channel's history.
struct Kept<'a> {
    publications: Vec<Publication<'a>>,
    epoch: &'a str,
    offset: u64,
}

/// The publications that a client asks for, where the channel keeps any. The one place that will ask the broker.
fn kept<'a>(_: &'a Channel, _: &History<'_>) -> Option<Kept<'a>> {
    None
}

impl Sessions {
    /// Answers what was said in a channel, to those who hear it.
    pub(super) fn history(
        &mut self,
        key: ConnectionKey,
        (id, asked): (u32, &History<'_>),
        out: &mut Vec<u8>,
    ) -> Done {
        let place = self.session(key).and_then(|it| it.place(&asked.channel));
        let Some(channel) = place.map(|place| place.channel.clone()) else {
            return self.refused(key, id, &Failure::PERMISSION_DENIED, out);
        };
        let Some(kept) = kept(&channel, asked) else {
            return self.refused(key, id, &Failure::NOT_AVAILABLE, out);
        };
        let reply = Reply::History {
            publications: &kept.publications,
            epoch: kept.epoch,
            offset: kept.offset,
        };
        self.replied(key, id, &reply, out)
    }
}
